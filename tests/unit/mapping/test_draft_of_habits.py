"""What a sender always does and no mapping knows: its codes become rows to complete, its findings rows to be taken."""

from __future__ import annotations

import csv
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.codecs import er7
from engine.mapping.draft import Draft, Ground, draft, samples_of
from engine.mapping.loader import load
from engine.mapping.mapped import Context
from engine.mapping.mapping_set import MappingSet
from engine.mapping.testing import run_tests
from tests.unit.mapping.segments import pid, segment

HEAD = "MSH|^~\\&|HIS|ZLXWSY|H|Q|20260511083012||{}|{}|P|2.4||||||UNICODE UTF-8"
BOOKING = (
    segment("SCH", f1="Y1", f6="CHK^检查", f7="CS^彩超预约", f9="20", f10="min", f12="20260612093000", f25="Booked"),
    pid(),
    "RGS|1",
    "AIS|1|A|CS0103^腹部彩超^ZL",
)
CHARGES = (
    pid(),
    segment("FT1", f1="1", f4="20260610", f6="CG", f7="SF1^胸片^ZL", f10="1", f11="85.00"),
    segment("FT1", f1="2", f4="20260610", f6="CR", f7="SF1^胸片^ZL", f10="-1", f11="-85.00"),
)
RELATIVES = (pid(), "NK1|1|陈^大山|GF^干亲", "NK1|2|陈^小山|表姐", "NK1|3|陈^三|陈小三", "PV1|1|O|||||||||||||||||V1")
RESULTS = (
    pid(),
    segment("OBR", f1="1", f2="J1", f3="B1", f4="XCG^血常规^ZL", f24="LAB", f25="F"),
    segment("OBX", f1="1", f2="NM", f3="WBC^白细胞^ZL", f5="9", f6="某单位/某", f8="危急", f11="F"),
)
SAMPLES = (("SIU^S12", BOOKING), ("DFT^P03", CHARGES), ("ADT^A04", RELATIVES), ("ORU^R01", RESULTS))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("county") / "mappings"
    place.mkdir()
    return place


@pytest.fixture(scope="module")
def made(folder: Path, own: Path) -> Draft:
    file = own.parent / "samples.hl7"
    file.write_text(
        "\r".join("\r".join((HEAD.format(kind, f"Z{n}"), *lines)) for n, (kind, lines) in enumerate(SAMPLES)),
        encoding="utf-8",
    )
    made = draft(samples_of([file]), Ground(folder, own, ["zhuling"], "zhuling"))
    for each in made.files:
        place = own / each.file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(each.content)
    return made


def rows_of(own: Path, table: str) -> dict[str, str]:
    with (own / f"facilities/zhuling/tables/{table}.csv").open(encoding="utf-8", newline="") as stream:
        return {row["from"]: row["note"] for row in csv.DictReader(stream)}


def test_every_code_that_a_table_was_asked_for_in_vain_is_a_row_with_codes_in_words(made: Draft, own: Path) -> None:
    assert rows_of(own, "appointment_reason")["CS"].startswith(
        "彩超预约; met 1 times in SCH-7; one of 185389009 Follow-up"
    )
    assert rows_of(own, "charge_kinds") == {
        "CR": "met 1 times in FT1-6; one of aborted 退费 Credit: a charge that is taken back, billable 收费 Charge, "
        "unknown Adjustment"
    }
    assert "such as AA 危急 Critical abnormal, HH 危急偏高 Critical high" in rows_of(own, "interpretation")["危急"]
    assert rows_of(own, "units")["某单位/某"].startswith("met 1 times in OBX-6")


def test_of_people_only_codes_and_kinships_are_shown(made: Draft, own: Path) -> None:
    assert set(rows_of(own, "relationship")) == {"GF", "表姐"}
    assert "陈小三" not in "".join(path.read_text(encoding="utf-8") for path in own.rglob("*") if path.is_file())


def test_the_rows_that_settle_what_its_samples_always_have_wait_in_the_draft(made: Draft, own: Path) -> None:
    assert {way.row for way in made.ways["SIU"]} == {
        '{rule: time, from: [SCH-12, TQ1-8, SCH-11, SCH-9, SCH-10], to: "start[x]", with: appointment_time}',
        "{rule: sch-12, remove: yes}",
    }
    drafted = (own / "facilities/zhuling/siu_draft.yaml").read_text(encoding="utf-8")
    assert "    # no-person at SCH-12 in 1 of 1 messages: a time stands where a person belongs" in drafted
    assert "    # - {rule: sch-12, remove: yes}" in drafted


def test_no_drafted_test_pins_a_finding(made: Draft, own: Path) -> None:
    written = [path.read_text(encoding="utf-8") for path in own.rglob("*_test.yaml")]
    assert sum(text.count("findings:") for text in written) == sum(text.count("findings: any  #") for text in written)


def test_taking_the_rows_settles_it_and_the_check_still_passes(
    made: Draft, folder: Path, own: Path, tmp_path: Path
) -> None:
    finished = Path(shutil.copytree(own, tmp_path / "mappings"))
    file = finished / "facilities/zhuling/siu_draft.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(
        text.replace("# - {rule: time", "- {rule: time").replace("# - {rule: sch-12", "- {rule: sch-12"),
        encoding="utf-8",
    )
    own_results = [result for result in run_tests(folder, finished) if result.file.startswith("mappings/")]
    assert [failure for each in own_results for failure in each.failures] == []
    mapping = MappingSet(load(folder, ["zhuling"], finished)).find("SIU^S12", "zhuling")
    assert mapping is not None
    message = er7.parse("\r".join((HEAD.format("SIU^S12", "Z9"), *BOOKING)).encode())
    mapped = mapping.apply(message, Context("zhuling", "zhuling", "test", datetime(2026, 5, 15, tzinfo=UTC)))
    (booked,) = (each for each in mapped.resources if each["resourceType"] == "Appointment")
    assert booked["start"] == "2026-06-12T09:30:00+08:00"
    assert "no-person" not in [each.code for each in mapped.findings]
