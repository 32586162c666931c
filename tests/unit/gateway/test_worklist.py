"""A modality gets what it asks for, in the characters it can show."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from engine.errors import ParseError
from engine.store.imaging import StepQuery
from engine.store.worklist import Step
from pacs_gateway.query.identifier import decoded, encoded
from pacs_gateway.transfer_syntaxes import IMPLICIT_VR_LITTLE_ENDIAN
from pacs_gateway.worklist import answer, query_of

STEP = Step(
    service_request="sr1",
    facility="baishi",
    accession="26010200001",
    study_uid="1.2.3",
    patient_id="P1",
    issuer="baishi",
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


def query(**keys: str) -> Dataset:
    """A query as modalities send it: keys of the step stand in the sequence."""
    identifier, step = Dataset(), Dataset()
    for keyword, value in keys.items():
        in_step = keyword.startswith("Scheduled") or keyword == "Modality"
        setattr(step if in_step else identifier, keyword, value)
    identifier.ScheduledProcedureStepSequence = Sequence([step])
    return identifier


FULL = {
    "PatientName": "",
    "PatientID": "",
    "AccessionNumber": "",
    "StudyInstanceUID": "",
    "PatientBirthDate": "",
    "RequestedProcedureDescription": "",
    "ScheduledStationAETitle": "DR_BAISHI",
    "ScheduledProcedureStepStartDate": "",
    "ScheduledProcedureStepStartTime": "",
    "Modality": "",
}


@pytest.mark.parametrize(
    ("label", "name", "procedure"),
    [
        ("ISO_IR 192", "OUYANG^XIAODONG=欧阳小东", "胸部正位"),
        ("GB18030", "OUYANG^XIAODONG=欧阳小东", "胸部正位"),
        ("GBK", "OUYANG^XIAODONG=欧阳小东", "胸部正位"),
        ("ISO_IR 100", "OUYANG^XIAODONG", "XR-CHEST"),
        ("", "OUYANG^XIAODONG", "XR-CHEST"),
        ("\\ISO 2022 IR 58", "OUYANG^XIAODONG", "XR-CHEST"),
        ("NONSENSE", "OUYANG^XIAODONG", "XR-CHEST"),
    ],
)
def test_a_name_comes_in_the_charset_that_was_asked_for_or_in_pinyin(label: str, name: str, procedure: str) -> None:
    told = answer(query(SpecificCharacterSet=label, **FULL), STEP, "DR_BAISHI")
    assert told.PatientName == name
    assert told.RequestedProcedureDescription == procedure
    if name.isascii():
        assert str(told).isascii()


def test_times_are_those_of_the_clock_on_the_wall_in_china() -> None:
    step = answer(query(**FULL), STEP, "DR_BAISHI").ScheduledProcedureStepSequence[0]
    assert (step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime) == ("20260102", "003000")


def test_only_what_is_asked_for_is_told_and_all_of_it() -> None:
    told = answer(query(PatientName="", PatientWeight="", ScheduledStationAETitle=""), STEP, "DR_BAISHI")
    assert {element.keyword for element in told} == {"PatientName", "PatientWeight", "ScheduledProcedureStepSequence"}
    assert [element.keyword for element in told.ScheduledProcedureStepSequence[0]] == ["ScheduledStationAETitle"]
    assert told.PatientWeight is None


def test_an_empty_sequence_asks_for_everything_in_it() -> None:
    identifier = Dataset()
    identifier.ScheduledProcedureStepSequence = Sequence([])
    told = answer(identifier, STEP, "DR_BAISHI")
    assert told.ScheduledProcedureStepSequence[0].Modality == "DX"


def test_a_step_for_any_station_is_told_as_the_asking_stations_own() -> None:
    told = answer(query(ScheduledStationAETitle=""), STEP, "DR_BAISHI")
    assert told.ScheduledProcedureStepSequence[0].ScheduledStationAETitle == "DR_BAISHI"


@pytest.mark.parametrize("name", ["a=b\\c^d", "x\r\n\0y", "<script>alert(1)</script>"])
def test_a_name_cannot_break_out_of_its_value(name: str) -> None:
    step = Step(
        **{field: getattr(STEP, field) for field in Step.__slots__} | {"patient_name": name, "patient_name_latin": ""}
    )
    told = answer(query(SpecificCharacterSet="ISO_IR 192", PatientName=""), step, "DR_BAISHI")
    assert "\\" not in str(told.PatientName)
    assert "=" not in str(told.PatientName)
    assert str(told.PatientName).isprintable()


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, StepQuery()),
        ({"PatientName": "ZHANG^SAN^^^"}, StepQuery(patient_name="ZHANG?SAN")),
        ({"PatientName": "ZHANG*"}, StepQuery(patient_name="ZHANG*")),
        ({"PatientName": "=张*"}, StepQuery(patient_name="张*")),
        ({"AccessionNumber": "A1"}, StepQuery(numbers=("A1",))),
        ({"RequestedProcedureID": "A1"}, StepQuery(numbers=("A1",))),
        ({"AccessionNumber": "A1", "RequestedProcedureID": "R*"}, StepQuery(numbers=("A1", "R*"))),
        ({"ScheduledProcedureStepID": "A1"}, StepQuery(numbers=("A1",))),
        ({"ScheduledPerformingPhysicianName": "LI^SI"}, StepQuery(physician="LI?SI")),
        ({"StudyInstanceUID": "1.2\\1.3"}, StepQuery(study_uids=("1.2", "1.3"))),
        ({"Modality": "DX"}, StepQuery(modality="DX")),
        ({"ScheduledProcedureStepStartDate": "20260102"}, StepQuery(from_on=date(2026, 1, 2), to_on=date(2026, 1, 2))),
        ({"ScheduledProcedureStepStartDate": "20260102-"}, StepQuery(from_on=date(2026, 1, 2))),
        ({"ScheduledProcedureStepStartDate": "-20260102"}, StepQuery(to_on=date(2026, 1, 2))),
        (
            {"ScheduledProcedureStepStartDate": "20260101-20260102"},
            StepQuery(from_on=date(2026, 1, 1), to_on=date(2026, 1, 2)),
        ),
        (
            {"ScheduledProcedureStepStartTime": "0800-1200"},
            StepQuery(from_at=time(8), to_at=time(12, 0, 0, 999_999)),
        ),
    ],
    ids=str,
)
def test_matching_keys_become_a_query(keys: dict[str, str], expected: StepQuery) -> None:
    assert query_of(query(**keys)) == expected


@pytest.mark.parametrize(
    "keys",
    [
        {"ScheduledProcedureStepStartDate": "2026-01-02"},
        {"ScheduledProcedureStepStartDate": "20260231"},
        {"ScheduledProcedureStepStartDate": "today"},
        {"ScheduledProcedureStepStartTime": "2500"},
    ],
    ids=str,
)
def test_a_date_that_is_none_is_refused(keys: dict[str, str]) -> None:
    with pytest.raises(ParseError) as raised:
        query_of(query(**keys))
    assert raised.value.code == "query-malformed"


@pytest.mark.parametrize(
    ("label", "codec"),
    [(None, "gb18030"), (None, "utf-8"), ("ISO_IR 100", "utf-8"), ("ISO_IR 192", "gb18030"), ("GB18030", "utf-8")],
)
def test_a_name_is_read_as_it_was_meant_whatever_its_label_says(label: str | None, codec: str) -> None:
    identifier = query(PatientName="ZHANG*", ScheduledPerformingPhysicianName="LI****")
    if label is not None:
        identifier.SpecificCharacterSet = label
    sent = encoded(identifier, IMPLICIT_VR_LITTLE_ENDIAN)
    name, physician = "张*".encode(codec), "李*".encode(codec)
    sent = sent.replace(b"ZHANG*", name.ljust(6, b" ")).replace(b"LI****", physician.ljust(6, b" "))
    asked = query_of(decoded(sent, IMPLICIT_VR_LITTLE_ENDIAN))
    assert (asked.patient_name, asked.physician) == ("张*", "李*")


def test_keys_that_cannot_be_read_are_refused() -> None:
    identifier = query(PatientName="x\x07y")
    with pytest.raises(ParseError) as raised:
        query_of(decoded(encoded(identifier, IMPLICIT_VR_LITTLE_ENDIAN), IMPLICIT_VR_LITTLE_ENDIAN))
    assert raised.value.code == "query-malformed"


def test_a_query_without_a_step_matches_every_step() -> None:
    assert query_of(Dataset()) == StepQuery()
