"""A scheduled step that is written straight to bytes is the very one that pydicom writes, or it is left to pydicom."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, cast

import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from engine.store.worklist import Step
from pacs_gateway.query.identifier import UNREADABLE, decoded, encoded
from pacs_gateway.query.usual import Unusual
from pacs_gateway.worklist import answer, said_of
from pacs_gateway.worklist_answers import PlainSteps

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
AE = "DR_BAISHI"
LABELS = ("", "ISO_IR 192", "GB18030", "GBK", "ISO_IR 100", "\\ISO 2022 IR 58", "nonsense")
STEP = Step(
    service_request="sr1",
    facility="baishi",
    accession="26010200001",
    study_uid="1.2.3",
    patient_id="P1",
    issuer="白石乡卫生院",
    patient_name="欧阳小东",
    patient_name_latin="OUYANG^XIAODONG",
    birth_on=date(1970, 1, 31),
    sex="F",
    modality="DX",
    station_ae="",
    procedure_code="XR-CHEST",
    procedure_text="胸部正位",
    body_part="CHEST",
    requested_by="王医生",
    placer="O1",
    scheduled_at=datetime(2026, 1, 1, 16, 30, tzinfo=UTC),
    state="scheduled",
)
KNOWN = said_of(STEP, AE, "")
ITEM: Mapping[str, object] = dict(*cast("tuple[Mapping[str, object]]", KNOWN["ScheduledProcedureStepSequence"]))
CODE = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
NOT_KNOWN = (
    "KVP",
    "Rows",
    "PixelData",
    "PatientComments",
    "ReferencedStudySequence",
    "OtherPatientIDs",
    "EncapsulatedDocument",
)
"""A short and a long text, numbers, a value of four length bytes, a sequence; all to come back empty."""
NASTY = [
    *(
        "",
        " ",
        "a\\b",
        " a",
        "a ",
        "é",
        "\u200b",
        "a\nb",
        "x" * 100,
        "张" * 40,
        "0",
        "乂乄",
        "€",
        "\ud800",
        "𠮷",
        "１２",
    ),
    *("^^", "=", "==x", "x=", "a=b=c=d", "a^b^c^d^e^f", "a^^^", "lower", "\x1b$B", "UNK NOWN", "\0", "?", "<script>"),
]
FIELDS = ("accession", "study_uid", "patient_id", "issuer", "patient_name", "patient_name_latin", "sex", "modality",
          "station_ae", "procedure_code", "procedure_text", "body_part", "requested_by", "placer")  # fmt: skip


def identifier_of(chance: random.Random, label: str) -> Dataset:
    """Some of everything that could be asked for, as it comes from a client: read from bytes."""
    asked = Dataset()
    if label:
        asked.SpecificCharacterSet = label
    for keyword in chance.sample((*KNOWN, *NOT_KNOWN), chance.randint(0, 12)):
        put(asked, keyword, chance)
    if chance.random() < 0.8:
        item = Dataset()
        for keyword in chance.sample(tuple(ITEM), chance.randint(0, 9)):
            put(item, keyword, chance)
        asked.ScheduledProcedureStepSequence = Sequence([item])
    return asked


def put(asked: Dataset, keyword: str, chance: random.Random) -> None:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    vr = dictionary_VR(tag)
    if vr != "SQ":
        asked.add_new(tag, vr.split(" ")[0], None)
        return
    code = Dataset()
    for inside in chance.sample(CODE, chance.randint(0, 3)):
        setattr(code, inside, "")
    asked.add_new(tag, vr, Sequence([code] * chance.randint(0, 1)))


def as_read(identifier: Dataset, syntax: str) -> Dataset:
    return decoded(encoded(identifier, syntax), syntax)


def by_pydicom(identifier: Dataset, step: Step, syntax: str) -> bytes:
    return encoded(answer(identifier, step, AE), syntax)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
@pytest.mark.parametrize("label", LABELS)
def test_ordinary_steps_are_written_as_pydicom_writes_them(label: str, syntax: str) -> None:
    chance = random.Random(label)
    steps = [
        STEP,
        replace(STEP, station_ae="DR1", birth_on=None, procedure_code="", requested_by="", patient_name_latin=""),
        replace(STEP, patient_name="Li Lei", patient_name_latin="", procedure_text="", body_part=""),
    ]
    for _ in range(40):
        identifier = as_read(identifier_of(chance, label), syntax)
        plain = PlainSteps(identifier, AE, syntax)
        for step in steps:
            assert plain.write(step) == by_pydicom(identifier, step, syntax), identifier


@pytest.mark.parametrize("field", FIELDS)
def test_what_is_written_for_unusual_values_is_the_same_or_nothing(field: str) -> None:
    asked = Dataset()
    for keyword in KNOWN:
        put(asked, keyword, random.Random(0))
    for label in ("", "ISO_IR 192", "GB18030"):
        asked.SpecificCharacterSet = label
        for syntax in (IMPLICIT, EXPLICIT):
            identifier = as_read(asked, syntax)
            plain = PlainSteps(identifier, AE, syntax)
            for value in NASTY:
                changes: dict[str, Any] = {field: value}
                step = replace(STEP, **changes)
                try:
                    written = plain.write(step)
                except Unusual:
                    continue
                try:
                    assert written == by_pydicom(identifier, step, syntax), (field, value)
                except UNREADABLE:
                    pytest.fail(f"pydicom does not write {field} = {value!r}")


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"])
def test_other_transfer_syntaxes_are_left_to_pydicom(syntax: str) -> None:
    with pytest.raises(Unusual):
        PlainSteps(Dataset(), AE, syntax)


def test_a_key_that_is_sent_as_what_it_is_not_is_left_to_pydicom() -> None:
    """A client that sends a name as a sequence gets what it got before: a refusal."""
    odd = Dataset()
    item = Dataset()
    item.PatientID = ""
    odd.add_new(0x00100010, "SQ", Sequence([item]))
    with pytest.raises(Unusual):
        PlainSteps(odd, AE, EXPLICIT).write(STEP)


def test_an_ambiguous_kind_of_value_is_left_to_pydicom() -> None:
    odd = Dataset()
    odd.add_new(0x00280106, "US or SS", None)
    with pytest.raises(Unusual):
        PlainSteps(odd, AE, EXPLICIT)
