"""`hutong reconcile` shows what differs, decides on what was looked at, and says how to undo it."""

from __future__ import annotations

from typing import Any

import pytest

import engine.cli.reconcile as command
from engine.cli.main import main

STUDY: dict[str, Any] = {
    "study_uid": "1.2.3",
    "facility": "baishi",
    "revision": 7,
    "kinds": ["study-without-order"],
    "differences": [
        {"attribute": "patient_id", "objects": ["P1", "P2"], "order": "P1", "agrees": False},
        {"attribute": "sex", "objects": ["F"], "order": "F", "agrees": True},
    ],
    "proposals": [],
    "series": [{"uid": "1.2.3.1", "modality": "DX", "count": 2, "patients": ["[red]P1[/red]"]}],
    "apart": [{"sop_uid": "1.2.3.1.1", "sha256": "ab" * 32, "waits": True, "why": ""}],
    "decisions": [],
}


class Hub:
    """One study of some facilities; what was asked of it."""

    def __init__(self, *facilities: str) -> None:
        self.facilities = list(facilities)
        self.posted: list[tuple[str, dict[str, Any]]] = []

    def get(self, path: str, **_: str | None) -> Any:
        return self.facilities if "/find/" in path else STUDY

    def post(self, path: str, **body: Any) -> dict[str, int]:
        self.posted.append((path, body))
        return {"number": 12}


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], hub: Hub, *words: str) -> tuple[int, str]:
    monkeypatch.setattr(command, "find_hub", lambda *_: hub)
    with pytest.raises(SystemExit) as ended:
        main(("reconcile", *words))
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out + told.err


def test_a_study_is_shown_with_what_differs_marked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = run(monkeypatch, capsys, Hub("baishi"), "show", "1.2.3")
    assert code == 0
    assert "! patient_id: P1 | P2  order: P1" in said
    assert "  sex: F  order: F" in said
    assert "[red]P1[/red]" in said, "a value is text, never markup"


def test_a_decision_names_what_was_looked_at_and_how_it_is_undone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = Hub("baishi")
    code, said = run(monkeypatch, capsys, hub, "assign", "1.2.3", "--accession", "ACC1", "--reason", "by telephone")
    assert code == 0
    ((path, body),) = hub.posted
    assert path == "/api/reconcile/studies/baishi/1.2.3/assign"
    assert (body["revision"], body["accession"], body["reason"]) == (7, "ACC1", "by telephone")
    assert "hutong reconcile undo 12" in said


def test_the_only_other_content_need_not_be_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = Hub("baishi")
    words = ("content", "1.2.3", "keep", "--instance", "1.2.3.1.1", "--reason", "two images")
    assert run(monkeypatch, capsys, hub, *words)[0] == 0
    assert hub.posted[0][1]["sha256"] == "ab" * 32


def test_of_several_facilities_one_has_to_be_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = run(monkeypatch, capsys, Hub("baishi", "qingxi"), "show", "1.2.3")
    assert (code, "--facility baishi or qingxi" in said) == (1, True)
    code, said = run(monkeypatch, capsys, Hub(), "show", "1.2.3")
    assert (code, "there is no such study" in said) == (1, True)
    code, said = run(monkeypatch, capsys, Hub("baishi"), "show", "../../etc")
    assert (code, "Study Instance UID" in said) == (1, True)
