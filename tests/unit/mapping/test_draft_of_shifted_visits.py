"""A HIS whose PV1 stands one or two fields away, either way: the draft reads class, number and times of the visit."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.codecs import er7
from engine.mapping.draft import Ground, draft, samples_of, told
from engine.mapping.loader import load
from engine.mapping.mapped import Context
from engine.mapping.mapping_set import MappingSet
from engine.mapping.testing import run_tests
from tests.unit.mapping.segments import pid, segment

HEAD = "MSH|^~\\&|HIS|ZLXWSY|H|Q|20260511083012||{}|{}|P|2.4"
ADMITTED, DISCHARGED = "20260511083000", "20260514170000"
STAY = {3: "NEI^201^03", 7: "D012^李^医生", 10: "NK"}


def visit(first: int, by: int, number: str, *, discharged: bool) -> str:
    """PV1 whose fields from `first` on stand `by` fields later than in the standard."""
    fields = {1: "1", 2: "I", **STAY, 19: number, 44: ADMITTED}
    fields |= {45: DISCHARGED} if discharged else {}
    places = {at: at + by if at >= first else at for at in fields}
    return segment("PV1", **{f"f{places[at]}": text for at, text in fields.items() if places[at] > 0})


def message(kind: str, number: str, pv1: str) -> str:
    return "\r".join((HEAD.format(kind, number), pid(), pv1))


def admission(first: int, by: int) -> str:
    return message("ADT^A01", "Z1", visit(first, by, "ZY2026000321", discharged=False))


def discharge(first: int, by: int) -> str:
    return message("ADT^A03", "Z2", visit(first, by, "ZY2026000321", discharged=True))


def drafted(folder: Path, own: Path, *messages: str) -> list[str]:
    """Writes the draft of the samples; returns what looked shifted."""
    samples = own.parent / "samples.hl7"
    samples.write_bytes("\r".join(messages).encode("gb18030"))
    made = draft(samples_of([samples], "gb18030"), Ground(folder, own, ["zhuling"], "zhuling"))
    for each in made.files:
        place = own / each.file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(each.content)
    return [told(shift) for survey in made.surveys for shift in survey.shifts]


def visits_made_of(messages: Iterable[str], folder: Path, own: Path) -> list[dict[str, Any]]:
    mappings = MappingSet(load(folder, ["zhuling"], own))
    return [_visit(er7.parse(text.encode("gb18030"), "gb18030"), mappings) for text in messages]


def _visit(message: er7.Message, mappings: MappingSet) -> dict[str, Any]:
    mapping = mappings.find(message.message_type, "zhuling")
    assert mapping is not None
    made = mapping.apply(message, Context("zhuling", "zhuling", "test", datetime(2026, 5, 15, tzinfo=UTC)))
    (found,) = (each for each in made.resources if each["resourceType"] == "Encounter")
    return found


@pytest.fixture
def own(tmp_path: Path) -> Path:
    place = tmp_path / "mappings"
    place.mkdir()
    return place


@pytest.mark.parametrize(("first", "by"), [(2, 1), (11, 2), (1, -1), (11, -2)])
def test_a_visit_is_read_as_its_sender_writes_it(first: int, by: int, folder: Path, own: Path) -> None:
    (said,) = drafted(folder, own, admission(first, by), discharge(first, by))
    assert ("one field " if abs(by) == 1 else f"{abs(by)} fields ") in said
    admitted, ended = visits_made_of([admission(first, by), discharge(first, by)], folder, own)
    assert admitted["class"]["code"] == "IMP"
    assert [each["value"] for each in admitted["identifier"]] == ["ZY2026000321"]
    assert admitted["status"] == "in-progress"
    assert admitted["period"] == {"start": "2026-05-11T08:30:00+08:00"}
    assert ended["status"] == "finished"
    assert ended["period"] == {"start": "2026-05-11T08:30:00+08:00", "end": "2026-05-14T17:00:00+08:00"}
    assert [each["individual"]["identifier"]["value"] for each in ended["participant"]] == ["D012"]
    assert len(ended["location"]) == 1


@pytest.mark.parametrize(("first", "by"), [(11, 1), (11, -1)])
def test_admissions_alone_tell_where_a_discharge_will_stand(first: int, by: int, folder: Path, own: Path) -> None:
    drafted(folder, own, admission(first, by))
    admitted, ended = visits_made_of([admission(first, by), discharge(first, by)], folder, own)
    assert (admitted["status"], admitted["period"]) == ("in-progress", {"start": "2026-05-11T08:30:00+08:00"})
    assert ended["period"] == {"start": "2026-05-11T08:30:00+08:00", "end": "2026-05-14T17:00:00+08:00"}


def test_each_row_stands_once_and_the_check_passes(folder: Path, own: Path) -> None:
    drafted(folder, own, admission(11, -1), discharge(11, -1))
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(own.rglob("*_draft.yaml")))
    assert text.count("rule: pv1-44,") == 1
    assert [
        failure for result in run_tests(folder, own) if result.mapping == "ADT" for failure in result.failures
    ] == []


def test_a_visit_number_alone_that_stands_early_moves_no_time(folder: Path, own: Path) -> None:
    pv1 = segment("PV1", f1="1", f2="I", f18="ZY2026000321", f44=ADMITTED)
    assert drafted(folder, own, message("ADT^A01", "Z1", pv1)) == [
        "PV1-18 looks one field earlier than in the standard: "
        "PV1-18 holds numbers that name something (1 of 1), which belong into PV1-19 visit number"
    ]
    (made,) = visits_made_of([message("ADT^A01", "Z1", pv1)], folder, own)
    assert made["identifier"][0]["value"] == "ZY2026000321"
    assert made["period"] == {"start": "2026-05-11T08:30:00+08:00"}


def test_what_would_be_made_of_another_field_is_not_made(folder: Path, own: Path) -> None:
    drafted(folder, own, admission(2, 1), discharge(2, 1))
    mapping = MappingSet(load(folder, ["zhuling"], own)).find("ADT^A01", "zhuling")
    assert mapping is not None
    made = mapping.apply(
        er7.parse(admission(2, 1).encode("gb18030"), "gb18030"),
        Context("zhuling", "zhuling", "test", datetime(2026, 5, 15, tzinfo=UTC)),
    )
    assert "Coverage" not in [each["resourceType"] for each in made.resources]


def test_a_kind_of_insurance_that_stands_later_keeps_its_resource(folder: Path, own: Path) -> None:
    pv1 = visit(2, 1, "ZY2026000321", discharged=False)
    fields = pv1.split("|")
    fields[21] = "CXJM^城乡居民医保"
    drafted(folder, own, message("ADT^A01", "Z1", "|".join(fields)))
    text = (own / "facilities/zhuling/adt_draft.yaml").read_text(encoding="utf-8")
    assert "- {rule: class-id, from: PV1-21, with: patient_item_id" in text
    assert "- {rule: pv1-20, from: PV1-21, to: type, with: concept}" in text


def test_visits_as_the_standard_has_them_look_shifted_nowhere(folder: Path, own: Path) -> None:
    assert drafted(folder, own, admission(2, 0), discharge(2, 0)) == []
