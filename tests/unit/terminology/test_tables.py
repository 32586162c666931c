"""Code tables are found whatever the case and width of a code, and laid over one another."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config.problems import InvalidConfiguration
from engine.terminology import Table, Tables, unfinished


@pytest.mark.parametrize("code", ["M", "m", " M ", "Ｍ"])
def test_a_code_is_found_in_any_case_and_width(code: str) -> None:
    row = Table.of("sex", [{"from": "M", "code": "male"}]).find(code)
    assert row is not None
    assert row["code"] == "male"


def test_a_code_that_is_not_listed_is_not_found_even_where_there_is_a_fallback() -> None:
    table = Table.of("sex", [{"from": "*", "code": "unknown"}])
    assert table.find("X") is None
    assert table.fallback == {"from": "*", "code": "unknown"}


def write(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.csv").write_text(text, encoding="utf-8")


def test_tables_of_a_facility_add_rows_and_replace_them(tmp_path: Path) -> None:
    write(tmp_path / "all", "sex", "from,code\nM,male\nF,female\n")
    write(tmp_path / "one", "sex", "from,code\nM,other\nX,other\n")
    write(tmp_path / "one", "own", "from,code\nA,B\n")
    both = Tables.load(tmp_path / "all").with_tables(Tables.load(tmp_path / "one"))
    assert {code: row["code"] for code, row in both["sex"].rows.items()} == {"M": "other", "F": "female", "X": "other"}
    assert both.names() == ["own", "sex"]


def test_a_folder_that_is_not_there_holds_no_tables(tmp_path: Path) -> None:
    assert Tables.load(tmp_path / "nowhere").names() == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("code\nmale\n", "expected the columns from, code; missing: from"),
        ("from,code\n,male\n", "expected a code"),
        ("from,code\nM,male,more\n", "expected no more cells than columns; quote a comma"),
        ("from,code\nM,male\nＭ,male\n", "expected every code once; it stands on line 2"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path: Path, text: str, problem: str) -> None:
    write(tmp_path / "tables", "sex", text)
    with pytest.raises(InvalidConfiguration) as caught:
        Tables.load(tmp_path / "tables")
    assert [each.text for each in caught.value.problems] == [problem]
    assert caught.value.problems[0].file == "tables/sex.csv"


def test_a_table_in_another_charset_is_refused(tmp_path: Path) -> None:
    tmp_path.joinpath("sex.csv").write_bytes("from,code\n男,male\n".encode("gb18030"))
    with pytest.raises(InvalidConfiguration, match="expected UTF-8 text"):
        Tables.load(tmp_path)


def test_a_facilitys_row_takes_what_it_leaves_out_from_the_common_rows_of_its_code() -> None:
    common = Table.of(
        "imaging",
        [
            {"from": "A", "code": "DR", "modality": "DX", "site": "CHEST", "note": "as ordered"},
            {"from": "B", "code": "DR", "modality": "DX", "site": "RIBS", "note": ""},
        ],
    )
    own = Table.of("imaging", [{"from": "XP-01", "code": "DR"}, {"from": "XP-02", "code": "DR", "modality": ""}])
    both = common.with_rows(own)
    assert both.find("XP-01") == {"from": "XP-01", "code": "DR", "modality": "DX", "site": ""}
    assert both.find("XP-02") == {"from": "XP-02", "code": "DR", "modality": "", "site": ""}
    assert both.find("A") == common.find("A")


def test_a_code_that_the_common_table_does_not_know_has_empty_columns() -> None:
    common = Table.of("imaging", [{"from": "A", "code": "DR", "modality": "DX"}])
    own = common.with_rows(Table.of("imaging", [{"from": "Z", "code": "Z"}]))
    assert own.find("Z") == {"from": "Z", "code": "Z", "modality": ""}


def test_a_row_that_waits_to_be_completed_is_not_there_yet_and_is_told(tmp_path: Path) -> None:
    tables = tmp_path / "facilities/baishi/tables"
    tables.mkdir(parents=True)
    (tables / "sex.csv").write_text("\ufefffrom,code,note\n男,male,\n汉子,?,met 3 times\n", encoding="utf-8")
    (tables / "other.csv").write_text("from,code\nA,B\n", encoding="utf-8")
    loaded = Tables.load(tables)["sex"]
    assert loaded.find("男") is not None
    assert loaded.find("汉子") is None
    assert list(unfinished(tmp_path)) == [(tables / "sex.csv", ["汉子"])]
