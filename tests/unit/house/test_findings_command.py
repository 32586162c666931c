"""`hutong findings` lists what a person should settle, and only counts what is noted for the record."""

from __future__ import annotations

import json
from typing import Any

import pytest

import engine.cli.findings as command
from engine.cli.main import main

COUNTS = {"error": {"not-identified": 1}, "warning": {"charset-doubtful": 2}, "information": {"late-version": 7}}


class Hub:
    """One finding of each severity, and the questions that were asked."""

    def __init__(self, counts: dict[str, dict[str, int]] = COUNTS) -> None:
        self.counts = counts
        self.asked: list[dict[str, str | None]] = []

    def get(self, path: str, **filters: str | None) -> dict[str, Any] | list[dict[str, Any]]:
        found = [each for each in self.counts if filters["severity"] in (None, each)]
        if path == "/api/findings/causes":
            return [
                {"severity": each, "code": code, "rule": "[r]", "channel": "his", "findings": number, "times": 9}
                for each in found
                for code, number in self.counts[each].items()
            ]
        self.asked.append(filters)
        return {"findings": [_finding(each) for each in found], "open_severities": self.counts, "open": {}, "next": "x"}


def _finding(severity: str) -> dict[str, Any]:
    nothing = dict.fromkeys(("location", "rule", "envelope", "about", "channel", "settled_at"))
    return {"id": f"of-{severity}", "code": "c", "text": "t", "severity": severity, **nothing} | {
        "found_at": "2026-11-21T23:31:35Z"
    }


def listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], hub: Hub, *words: str
) -> tuple[list[str], str]:
    """The severities listed, in order, and all that was said."""
    monkeypatch.setattr(command, "find_hub", lambda *_: hub)
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        main(("findings", *words))
    assert not ended.value.code
    said = capsys.readouterr().out
    return [word.removeprefix("of-") for word in said.split() if word.startswith("of-")], said


def test_errors_come_first_then_warnings_and_the_rest_is_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found, said = listed(monkeypatch, capsys, Hub())
    assert found == ["error", "warning"]
    assert "open: 1 error (1 not-identified), 2 warning (2 charset-doubtful)" in said
    assert "noted for the record: 7 (7 late-version): hutong findings --severity information" in said
    causes = [line.strip() for line in said.splitlines() if "rule [r]" in line]
    assert causes == [
        "1  error: not-identified rule [r]  his, found 9 times",
        "2  warning: charset-doubtful rule [r]  his, found 9 times",
    ]
    assert said.index("found 9 times") < said.index("of-error")


@pytest.mark.parametrize(
    ("words", "severities"),
    [
        (("--severity", "information"), ["information"]),
        (("--severity", "error"), ["error"]),
        (("--code", "c"), ["error", "warning", "information"]),
        (("--rule", "r"), ["error", "warning", "information"]),
        (("--envelope", "e"), ["error", "warning", "information"]),
        (("--settled",), ["error", "warning", "information"]),
        (("--limit", "1"), ["error"]),
    ],
)
def test_whoever_asks_for_something_gets_all_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], severities: list[str]
) -> None:
    assert listed(monkeypatch, capsys, Hub(), *words)[0] == severities


def test_when_there_is_nothing_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(monkeypatch, capsys, Hub({})) == ([], "open: nothing\n")


def test_json_lists_the_same(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(listed(monkeypatch, capsys, Hub(), "--json")[1])
    assert [finding["severity"] for finding in told["findings"]] == ["error", "warning"]
    assert told["open_severities"] == COUNTS
