"""Segments whose fields stand one place away: found by what the columns hold, said with it, and never guessed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.codecs import er7
from engine.mapping.draft import Ground, draft, samples_of, told, told_of_rows
from engine.mapping.draft.profile import Profile
from engine.mapping.draft.shifting import Shift, shifts
from engine.mapping.lens.structures import Structure
from engine.mapping.loader import load
from engine.mapping.mapped import Context
from engine.mapping.mapping_set import MappingSet
from engine.mapping.testing import run_tests

HEAD = "MSH|^~\\&|HIS|ZLXWSY|H|Q|20260511083012||{}|Z{}|P|2.4||||||UNICODE UTF-8"
PATIENTS = (
    "PID|1||P123^^^HIS^MR||李^秀英||19560312|F|||柏树村3组15号^^曲靖市||13988112233|||M|||530302197808200318",
    "PID|1||P124^^^HIS^MR||王^小花||20150601|女|||下坝村7组^^曲靖市||0874-3322110|||S|||110101199003072316",
)
RESULTS = (
    "OBX|1|NM|SH001^谷丙转氨酶^L||86|U/L|9-50|H|||F|||20240610111500",
    "OBX|2|NM|SH009^钾^L||4.8|mmol/L|3.5-5.3|N|||F|||20240610111500",
)
ORDERS = ("OBR|1|SQ1|BG240610001|FS0012^胸片^L|||20240610093000|||||||||D012^赵^医生||||||20240610101500||DX|F",)
INSURANCES = ("IN1|1|CXJM|330^城乡居民医保|医保局||||||||20240101" + "|" * 24 + "530302197808200318",)
RELATIVES = ("NK1|1|陈^大山|SPO^配偶|柏树村3组15号|13988000011",)
DIAGNOSES = ("DG1|1||I10.x00^高血压病^I10||20240610|A",)
CHARGES = ("FT1|1|T1||20240610|20240613163000|CG|SF0012^胸片^L|||1",)


def moved(lines: tuple[str, ...], at: int, by: int) -> list[str]:
    """The same with what stands at a field, and all behind it, `by` fields later; an empty one goes for -1."""
    found = []
    for line in lines:
        fields = line.split("|")
        assert by > 0 or not fields[at], "only an empty field can be left out"
        behind = fields[at:] if by > 0 else fields[at + 1 :]
        found.append("|".join([*fields[:at], *[""] * by, *behind]))
    return found


def found_in(lines: list[str], kind: str) -> list[Shift]:
    profile = Profile()
    for number, line in enumerate(lines):
        profile.add(er7.parse(f"{HEAD.format(kind, number)}\r{line}\r".encode()))
    return shifts(profile, Structure(kind, "2.4"))


@pytest.mark.parametrize(
    ("lines", "kind", "at", "by", "first"),
    [
        (PATIENTS, "ADT^A04", 3, 1, 4),
        (PATIENTS, "ADT^A04", 7, 1, 8),
        (PATIENTS, "ADT^A04", 12, 1, 17),
        (PATIENTS, "ADT^A04", 19, 1, 20),
        (PATIENTS, "ADT^A04", 4, -1, 4),
        (PATIENTS, "ADT^A04", 12, -1, 12),
        (PATIENTS, "ADT^A04", 18, -1, 18),
        (RESULTS, "ORU^R01", 4, 1, 7),
        (RESULTS, "ORU^R01", 4, -1, 5),
        (RESULTS, "ORU^R01", 9, -1, 10),
        (ORDERS, "ORU^R01", 5, 1, 17),
        (ORDERS, "ORU^R01", 5, -1, 15),
        (INSURANCES, "ADT^A04", 20, 1, 37),
        (INSURANCES, "ADT^A04", 5, -1, 11),
        (RELATIVES, "ADT^A04", 4, 1, 5),
        (DIAGNOSES, "ADT^A04", 2, -1, 2),
        (CHARGES, "DFT^P03", 4, 1, 5),
        (CHARGES, "DFT^P03", 3, -1, 3),
    ],
)
def test_a_shift_of_any_segment_is_found_either_way(
    lines: tuple[str, ...], kind: str, at: int, by: int, first: int
) -> None:
    (shift,) = found_in(moved(lines, at, by), kind)
    assert (shift.by, shift.first) == (-by, first)


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (PATIENTS, "ADT^A04"),
        (RESULTS, "ORU^R01"),
        (ORDERS, "ORU^R01"),
        (INSURANCES, "ADT^A04"),
        (RELATIVES, "ADT^A04"),
        (DIAGNOSES, "ADT^A04"),
        (CHARGES, "DFT^P03"),
    ],
)
def test_what_stands_in_its_place_looks_shifted_nowhere(lines: tuple[str, ...], kind: str) -> None:
    assert found_in(list(lines), kind) == []


def test_two_cards_are_no_shift() -> None:
    assert found_in([f"{PATIENTS[0]}|530302197808200318"], "ADT^A04") == []


def test_a_card_in_the_field_of_a_licence_is_said_with_its_evidence_and_read(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "mappings"
    own.mkdir()
    mistyped = PATIENTS[1].replace("072316", "072317")
    first, second = (moved((line,), 19, 1) for line in (PATIENTS[0], mistyped))
    lines = [HEAD.format("ADT^A31", 1), *first, HEAD.format("ADT^A31", 2), *second]
    samples = tmp_path / "samples.hl7"
    samples.write_text("\r".join(lines), encoding="utf-8")
    made = draft(samples_of([samples]), Ground(folder, own, ["zhuling"], "zhuling"))
    (survey,) = made.surveys
    assert [told(each) for each in survey.shifts] == [
        "PID-20 looks one field later than in the standard: PID-20 holds 居民身份证 numbers "
        "(2 of 2, the check digit right in 1), which belong into PID-19 ssn number patient"
    ]
    assert "pid-19 (PID-20), pid-20 (PID-21), " in told_of_rows(survey.moved)
    for each in made.files:
        place = own / each.file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(each.content)
    own_results = [result for result in run_tests(folder, own) if result.file.startswith("mappings/")]
    assert [failure for result in own_results for failure in result.failures] == []
    mapping = MappingSet(load(folder, ["zhuling"], own)).find("ADT^A31", "zhuling")
    assert mapping is not None
    context = Context("zhuling", "zhuling", "test", datetime(2026, 5, 15, tzinfo=UTC))
    patient = mapping.apply(er7.parse("\r".join(lines[:2]).encode()), context).resources[0]
    assert [each["type"]["coding"][0]["code"] for each in patient["identifier"]] == ["MR", "NNCHN"]


def test_what_others_refer_to_stays_and_a_name_is_no_number_of_a_patient(folder: Path, tmp_path: Path) -> None:
    """A HIS without PID-4: the card stands in PID-18, of which charges have an account, and the name in PID-4."""
    own = tmp_path / "mappings"
    own.mkdir()
    charge = "FT1|1|T1||20240610|20240613163000|CG|SF0012^胸片^L|||1"
    (patient,) = moved(PATIENTS[:1], 4, -1)
    lines = [HEAD.format("DFT^P03", 1), patient, charge]
    samples = tmp_path / "samples.hl7"
    samples.write_text("\r".join(lines), encoding="utf-8")
    made = draft(samples_of([samples]), Ground(folder, own, ["zhuling"], "zhuling"))
    for each in made.files:
        place = own / each.file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(each.content)
    text = (own / "facilities/zhuling/dft_draft.yaml").read_text(encoding="utf-8")
    assert "- {rule: account-id, from: PID-17, with: account_id}" in text
    assert "- {rule: patient-id, from: [PID-3, PID-2, PID-3, PID-18, PID-17], with: patient_id, needed: yes}" in text
    own_results = [result for result in run_tests(folder, own) if result.file.startswith("mappings/")]
    assert [failure for result in own_results for failure in result.failures] == []
