"""A code of a table that FHIR does not allow where it goes is told with its row and the words that are allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.mapping.bound_codes import codes_not_allowed, words_of
from engine.mapping.mapping_set import MappingSet


@pytest.fixture(scope="module")
def mappings(folder: Path) -> MappingSet:
    return MappingSet.load(folder, ["baishi"])


def test_what_is_shipped_says_nothing_else(mappings: MappingSet, folder: Path) -> None:
    assert list(codes_not_allowed(mappings, [(folder, folder)])) == []


@pytest.mark.parametrize(
    ("table", "rows", "line", "said"),
    [
        (
            "charge_kinds",
            "CR,CD",
            2,
            "CR: ChargeItem.status is one of planned, billable, not-billable, aborted, billed, entered-in-error, "
            "unknown; found 'CD'",
        ),
        ("sex", "汉子,male\n9,男", 3, "9: Patient.gender is one of male, female, other, unknown; found '男'"),
        (
            "report_status",
            "Q,done",
            2,
            "Q: DiagnosticReport.status is one of registered, partial, preliminary, final, ",
        ),
    ],
)
def test_a_code_that_is_none_of_the_words_is_told(
    mappings: MappingSet, tmp_path: Path, table: str, rows: str, line: int, said: str
) -> None:
    own = tmp_path / "mappings"
    file = own / f"facilities/baishi/tables/{table}.csv"
    file.parent.mkdir(parents=True)
    file.write_text(f"from,code\n{rows}\n", encoding="utf-8")
    (told,) = codes_not_allowed(mappings, [(own, tmp_path)])
    assert (told.file, told.line) == (f"mappings/facilities/baishi/tables/{table}.csv", line)
    assert told.failures[0].startswith(said)


@pytest.mark.parametrize("row", ["CR,?", "CR,", "CR,aborted"])
def test_what_waits_and_what_is_left_out_on_purpose_is_allowed(mappings: MappingSet, tmp_path: Path, row: str) -> None:
    file = tmp_path / "mappings/facilities/baishi/tables/charge_kinds.csv"
    file.parent.mkdir(parents=True)
    file.write_text(f"from,code\n{row}\n", encoding="utf-8")
    assert list(codes_not_allowed(mappings, [(tmp_path / "mappings", tmp_path)])) == []


@pytest.mark.parametrize(
    ("resource", "path", "count"),
    [
        ("Encounter", "status", 9),
        ("Observation", "status", 8),
        ("Patient", "name.use", 7),
        ("Patient", "maritalStatus", 0),
        ("Patient", "nothing.at.all", 0),
    ],
)
def test_the_words_of_an_element(resource: str, path: str, count: int) -> None:
    assert len(words_of(resource, path)) == count
