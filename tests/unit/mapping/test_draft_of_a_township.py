"""A township whose HIS shifts fields, has codes of its own and sends many types: the draft of all of it together."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from engine.mapping.draft import Draft, Ground, draft, samples_of, told
from engine.mapping.draft.content import kind_of
from engine.mapping.draft.shifting import shifts
from engine.mapping.lens.structures import Structure
from engine.mapping.testing import run_tests
from tests.unit.mapping.segments import pid, segment

HEAD = "MSH|^~\\&|HIS|ZLXWSY|H|Q|20260511083012||{}|{}|P|2.4"
VISIT = segment("PV1", f1="1", f2="O", f3="NK^内科门诊", f18="MZ20260511001", f43="20260511083000")
"""The number of the visit and the time of admission stand one field early."""
SAMPLES = (
    ("ADT^A04", pid(), VISIT, "ZPI|1|农合|2026-05-11 08:30"),
    ("ORM^O01", pid(), VISIT, "ORC|NW|SQ1||||||||||||N", "OBR|1|SQ1||XP-01^胸片正位^ZL|" + "|" * 19 + "DR"),
    ("ORM^O01", pid(), VISIT, "ORC|NW|SQ2", "OBR|1|SQ2||DR-CHEST^胸片^ZL|" + "|" * 19 + "DR"),
    (
        "ORU^R01",
        pid(),
        VISIT,
        "OBR|1|J1|B1|XCG^血常规^ZL|" + "|" * 19 + "LAB|F",
        "OBX|1|NM|WBC^白细胞^L||9|g|1-2|升高|||F",
    ),
    ("RDE^O11", pid(), "ORC|NW|C1|||||||||||N", "RXO|Y1^药^L", "RXE||Y1^药^L|1||g|JN", "ZRX|1|自费"),
    ("SIU^S12", "SCH|Y1||||||||||^^^20260518090000", pid(), "RGS|1|A|NKZJ", "AIP|1|A|D1^李^医生"),
)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("county") / "mappings"
    place.mkdir()
    return place


@pytest.fixture(scope="module")
def made(folder: Path, own: Path) -> Draft:
    file = own.parent / "samples.hl7"
    messages = ("\r".join((HEAD.format(kind, f"Z{n}"), *lines)) for n, (kind, *lines) in enumerate(SAMPLES))
    file.write_bytes("\r".join(messages).encode("gb18030"))
    made = draft(samples_of([file], "gb18030"), Ground(folder, own, ["zhuling"], "zhuling"))
    for each in made.files:
        place = own / each.file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(each.content)
    return made


@pytest.fixture(scope="module")
def text(made: Draft, own: Path) -> str:
    return "".join(path.read_text(encoding="utf-8") for path in sorted(own.rglob("*_draft.yaml")))


def test_it_passes_the_check_as_it_is(made: Draft, folder: Path, own: Path) -> None:
    assert [failure for result in run_tests(folder, own) for failure in result.failures] == []


def test_a_shifted_segment_is_told_and_read_where_its_fields_stand(made: Draft, text: str) -> None:
    (shift,) = {shift for survey in made.surveys for shift in survey.shifts}
    assert told(shift) == (
        "PV1-18 to PV1-43 look one field earlier than in the standard: "
        "PV1-18 holds numbers that name something (1 of 1), which belong into PV1-19 visit number; "
        "PV1-43 holds times (1 of 1), which belong into PV1-44 admit date time"
    )
    assert "- {rule: visit-id, from: [PV1-18, PV1-43, PV1-2, MSH-9], with: visit_id}" in text
    assert "- {rule: pv1-44, from: [PV1-43, PV1-44], to: period, with: period}" in text


def test_what_several_mappings_have_in_common_stands_once(text: str, own: Path) -> None:
    assert text.count("- {rule: pv1-19, from: PV1-18, to: identifier+, with: visit_number}") == 1
    common = (own / "facilities/zhuling/common_draft.yaml").read_text(encoding="utf-8")
    assert "mappings: [ADT, ORM_O01, ORU_R01]" in common
    assert "rule: pv1-19" in common


def test_rows_and_codes_are_completed_and_the_check_still_passes(
    made: Draft, folder: Path, own: Path, tmp_path: Path
) -> None:
    finished = Path(shutil.copytree(own, tmp_path / "mappings"))
    for file in finished.rglob("*_draft.yaml"):
        file.write_text(file.read_text(encoding="utf-8").replace("# - {", "- {"), encoding="utf-8")
    assert "- {rule: zrx-2, from: ZRX-2" in (finished / "facilities/zhuling/rde_draft.yaml").read_text(encoding="utf-8")
    for table, code in (("imaging_procedures", "DR-CHEST-PA"), ("interpretation", "H")):
        file = finished / f"facilities/zhuling/tables/{table}.csv"
        file.write_text(file.read_text(encoding="utf-8").replace(",?,", f",{code},"), encoding="utf-8")
    assert [failure for result in run_tests(folder, finished) for failure in result.failures] == []


def test_a_field_stands_below_what_its_group_becomes_else_what_a_group_inside_it_becomes(own: Path) -> None:
    prescriptions = (own / "facilities/zhuling/rde_draft.yaml").read_text(encoding="utf-8")
    assert "Patient:" not in prescriptions
    assert "from: ORC-13" in prescriptions.partition("  MedicationRequest:")[2]
    appointments = (own / "facilities/zhuling/siu_draft.yaml").read_text(encoding="utf-8")
    assert "from: RGS-2" in appointments.partition("  Appointment:")[2]
    assert "Patient:" not in appointments


def test_fields_of_its_own_segments_differ_so_that_what_they_become_does(own: Path) -> None:
    drafted = (own / "facilities/zhuling/rde_drafted.hl7").read_text(encoding="utf-8")
    assert "ZRX|测试1|测试2\n" in drafted


def test_numbers_of_visits_are_not_shown_as_codes(made: Draft, own: Path) -> None:
    shown = "".join(column.holds for survey in made.surveys for column in survey.columns)
    written = "".join(path.read_text(encoding="utf-8") for path in own.rglob("*") if path.is_file())
    assert "MZ20260511001" not in shown + written


def test_codes_that_no_table_explains_are_rows_to_be_completed(made: Draft, own: Path) -> None:
    assert made.open_codes["imaging_procedures"] == ["XP-01"]
    tables = own / "facilities/zhuling/tables"
    with (tables / "imaging_procedures.csv").open(encoding="utf-8", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["from"], row["code"]) == ("XP-01", "?")
    assert "胸片正位; DR; perhaps DR-CHEST-PA 胸部正位DR" in row["note"]
    assert '升高,?,"met 1 times in OBX-8; such as H 偏高 High, HH 危急偏高 Critical high, A 异常 Abnormal' in (
        tables / "interpretation.csv"
    ).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("components", "kind"),
    [
        (["20260511083000"], "time"),
        (["2026-05-11"], "time"),
        (["D102", "李", "医生"], "person"),
        (["MZ20260511001"], "identifier"),
        (["MZ0088"], "identifier"),
        (["D102"], "code"),
        (["12.5"], "number"),
        (["上腹痛"], "words"),
        (["NW"], "code"),
        (["３０"], "number"),
        (["竹岭乡 3组"], "address"),
        (["云岭镇柏树村3组15号"], "address"),
        (["530302197808200318"], "id card"),
        (["530302197808200317"], "id card"),
        (["530302197813200318"], "identifier"),
        (["１３９８８１１２２３３"], "telephone"),
        (["0571-88990011"], "telephone"),
        (["女"], "sex"),
        (["3.5～5.3"], "range"),
        (["20150412-0500"], "time"),
        (["毫摩尔/升"], "unit"),
        ([""], ""),
    ],
)
def test_what_a_field_looks_like(components: list[str], kind: str) -> None:
    assert kind_of(components) == kind


def test_ordinary_messages_look_shifted_nowhere(folder: Path) -> None:
    for name in ("ADT", "ORM_O01", "RDE", "SIU", "VXU_V04", "MDM", "DFT", "REF", "OUL_R22"):
        for kind, profile in samples_of([folder / "hl7v2" / name]).profiles.items():
            version = profile.versions.most_common(1)[0][0]
            assert [told(each) for each in shifts(profile, Structure(kind, version))] == []


def test_fields_that_a_version_has_withdrawn_shift_no_other(folder: Path) -> None:
    structure = Structure("ADT^A01", "2.8")
    assert structure.title("PID", 29) == "patient death date and time"
    assert structure.datatype("PID", 30) == "ID"
