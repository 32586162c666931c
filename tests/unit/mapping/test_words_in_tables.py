"""A word that a facility's table lists without a code stays a word, as one that no table lists does."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.codecs import er7
from engine.mapping.draft.hints import note_of
from engine.mapping.loader import load
from engine.mapping.mapped import Context
from engine.mapping.mapping_set import MappingSet
from tests.unit.mapping.segments import pid, segment

HEAD = "MSH|^~\\&|HIS|ZLXWSY|H|Q|20260511083012||SIU^S12|Z1|P|2.4||||||UNICODE UTF-8"


def reason(folder: Path, own: Path, reason: str) -> dict[str, Any]:
    table = own / "facilities/zhuling/tables/appointment_reason.csv"
    table.parent.mkdir(parents=True)
    table.write_text("from,code,note\n彩超预约,,\n", encoding="utf-8")
    mapping = MappingSet(load(folder, ["zhuling"], own)).find("SIU^S12", "zhuling")
    assert mapping is not None
    booked = segment("SCH", f1="YY001", f7=reason, f11="^^^20260512090000^20260512091500")
    message = er7.parse("\r".join((HEAD, booked, pid())).encode())
    made = mapping.apply(message, Context("zhuling", "zhuling", "test", datetime(2026, 5, 15, tzinfo=UTC)))
    assert "code-unmapped" not in [each.code for each in made.findings]
    (appointment,) = (each for each in made.resources if each["resourceType"] == "Appointment")
    said: dict[str, Any] = appointment["reasonCode"][0]
    return said


def test_a_word_without_a_code_stays_a_word(folder: Path, tmp_path: Path) -> None:
    assert reason(folder, tmp_path / "mappings", "彩超预约") == {"text": "彩超预约"}


def test_a_code_without_one_of_the_table_stays_a_code(folder: Path, tmp_path: Path) -> None:
    assert [each["code"] for each in reason(folder, tmp_path / "mappings", "WALKIN")["coding"]] == ["WALKIN"]


def test_the_draft_says_how_a_word_stays_one(folder: Path) -> None:
    tables = load(folder, []).tables[""]
    assert "leave the code empty to keep it as words" in note_of("彩超预约", 1, None, tables["appointment_reason"])
    assert "leave the code empty" not in note_of("彩超预约", 1, None, tables["sex"])
    assert "leave the code empty" not in note_of("CS1", 1, None, tables["appointment_reason"])
