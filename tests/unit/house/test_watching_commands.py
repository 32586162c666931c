"""What `hutong status` and `hutong trace --fields` print, from what a hub answers."""

from __future__ import annotations

from typing import Any

import pytest

from engine.cli import status as status_command
from engine.cli import trace as trace_command
from engine.cli.main import main

STATUS: dict[str, Any] = {
    "hub": "青溪县",
    "at": "2026-11-21T23:31:35Z",
    "inbox": {"accepted": 3, "held": 1, "oldest_at": "2026-11-21T23:27:12Z"},
    "channels": [{"channel": "his", "last_at": None, "today": 0, "yesterday": 7, "seven_days": 9}],
    "endpoints": [{"endpoint": "[lis]", "owed": 2, "oldest_at": None, "refused": 0, "last_error": None}],
    "alerts": [],
}
ALERT = {
    "severity": "error",
    "text_zh": "数据盘空间不足",
    "text_en": "the data disk is nearly full",
    "acknowledged_by": None,
}
ENVELOPE: dict[str, Any] = {
    "id": "e1", "message_type": "ADT^A04", "control_id": "C1", "state": "processed", "steps": [], "waits_for": [],
    "waiting_behind": 0, "resources": [], "unmapped": [], "findings": [], "deliveries": [], "payload_bytes": 9,
    "sha256": "ab", "payload": {"charset": "gb18030", "doubtful": True}, "asked_by": "wang", "asked_why": "[更正]",
    "replaces": "e0", "replaced_by": None, "replayed_at": None, "processings": [], "acts": [],
}  # fmt: skip
TIME: dict[str, Any] = {
    "how": "processed", "at": "2026-11-21T23:31:35Z", "mapping": None, "by": None, "why": None, "wrote": [],
    "confirmed": [], "left": [], "stays": [], "unmapped": [], "code": None,
}  # fmt: skip
NO_VERSION: dict[str, Any] = {"version": None, "beginning_so": []}
MAPPED = {
    "mapping_changed": True, "mapping_today": "ADT@2", "more": False,
    "segments": [{"start": 0, "end": 5, "text": "PID|[x]"}, {"start": 6, "end": 9, "text": "PV1"}],
    "fields": [
        {"resource": "Patient/p", "path": "name[0].family", "value": "单", "rule": "pid-5", "rule_version": "1",
         "field": "PID-5[1].1", "start": 2, "end": 4},
    ],
}  # fmt: skip


class Answers:
    """A hub that gives these answers."""

    def __init__(self, **by_path: Any) -> None:
        self.by_path = by_path

    def get(self, path: str, **_: str | None) -> Any:
        return self.by_path[path.rsplit("/", 1)[1]]


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], hub: Answers, *words: str
) -> tuple[int, str]:
    for command in (status_command, trace_command):
        monkeypatch.setattr(command, "find_hub", lambda *_: hub)
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        main(words)
    return int(ended.value.code or 0), capsys.readouterr().out


def test_the_status_of_a_hub_in_order(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(monkeypatch, capsys, Answers(status=STATUS), "status")
    assert code == 0
    assert "青溪县 2026-11-22 07:31:35" in said
    assert "waiting: 3; held: 1, the oldest came 2026-11-22 07:27:12" in said
    assert "[lis]" in said
    assert "no open incident" in said


def test_the_status_of_a_hub_in_trouble(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    known = {**ALERT, "acknowledged_by": "wang", "acknowledgment": "已买新盘"}
    code, said = run(monkeypatch, capsys, Answers(status={**STATUS, "alerts": [ALERT, known]}), "status")
    assert code == 1
    assert "! 数据盘空间不足\n" in said
    assert "! 数据盘空间不足 (wang: 已买新盘)" in said


def test_fields_stand_below_their_segment(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    lists: dict[str, list[Any]] = {key: [] for key in ("resources", "deliveries", "findings", "worklist", "studies")}
    known = {"word": "C1", **NO_VERSION, "envelopes": [dict(ENVELOPE)], "more": False, **lists}
    code, said = run(monkeypatch, capsys, Answers(trace=known, mapped=MAPPED), "trace", "C1", "--fields")
    assert code == 0
    lines = [line.strip("│├└─ ") for line in said.splitlines()]
    place = lines.index("PID|[x] [0-5]")
    assert lines[place + 1] == "Patient/p name[0].family = 单  ← pid-5@1 ← PID-5[1].1"
    assert "bytes: 9, sha256 ab, gb18030 (doubtful)" in lines
    assert "corrects e0" in lines
    assert "by wang: [更正]" in lines
    assert "mapped by ADT@2 today: its rules are shown" in lines


def test_times_are_those_of_the_clock_on_the_wall(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step = {"step": "received", "at": "2026-11-21T23:27:12.561699Z", "note": "63 bytes", "state": "done"}
    observation = {"reference": "Observation/o"}
    first = {**TIME, "wrote": [{**observation, "version": 1}], "mapping": "ORU_R01@1+ab"}
    left = {**observation, "elements": ["status"], "envelope": "e2", "actor": None}
    again = {**TIME, "how": "replayed", "by": "wang", "why": "[表]", "confirmed": [{**observation, "version": 2}]}
    refused = {**TIME, "how": "replay-refused", "by": "wang", "code": "not-identified"}
    times = [first, {**again, "left": [left], "stays": ["Specimen/s"]}, refused]
    envelope = {**ENVELOPE, "steps": [step], "asked_why": None, "processings": times}
    lists: dict[str, list[Any]] = {key: [] for key in ("resources", "deliveries", "findings", "worklist", "studies")}
    known = {"word": "C1", **NO_VERSION, "envelopes": [envelope], "more": False, **lists}
    _, said = run(monkeypatch, capsys, Answers(trace=known), "trace", "C1")
    lines = [line.strip("│├└─ ") for line in said.splitlines()]
    assert "✓ received 2026-11-22 07:27:12 +08:00 63 bytes" in lines
    assert lines[lines.index("processed 2026-11-22 07:31:35 +08:00 ORU_R01@1+ab") :] == [
        "processed 2026-11-22 07:31:35 +08:00 ORU_R01@1+ab",
        "→ Observation/o@1",
        "replayed 2026-11-22 07:31:35 +08:00 by wang: [表]",
        "already so: Observation/o@2",
        "left Observation/o status (newer: e2)",
        "Specimen/s is said no more and stays",
        "replayed, and not understood 2026-11-22 07:31:35 +08:00 (not-identified); what was recorded stays by wang",
    ]


@pytest.mark.parametrize(
    ("envelope", "said"),
    [
        ("e1", "Observation/o@1  an older version  written 2026-11-22 07:31:35 +08:00 by envelope e1  ORU_R01@1+ab"),
        (None, "Observation/o@1  an older version  written 2026-11-22 07:31:35 +08:00 by wang"),
    ],
)
def test_a_version_says_who_wrote_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], envelope: str | None, said: str
) -> None:
    lists: dict[str, list[Any]] = {key: [] for key in ("resources", "deliveries", "findings", "worklist", "studies")}
    by = {"envelope": "e1", "actor": None, "mapping": "ORU_R01@1+ab"}
    by = by if envelope else {"envelope": None, "actor": "wang", "mapping": None}
    version = {"reference": "Observation/o", "version": 1, "last_updated": "2026-11-21T23:31:35Z", "current": False}
    known = {"word": "w", "more": False, "beginning_so": [], "version": {**version, **by}, **lists}
    code, told = run(monkeypatch, capsys, Answers(trace={**known, "envelopes": [ENVELOPE]}), "trace", "w")
    assert (code, told.splitlines()[0]) == (0, said)
    pruned = run(monkeypatch, capsys, Answers(trace={**known, "envelopes": []}), "trace", "w")[1]
    assert ("which is in the journal no more" in pruned) == bool(envelope)


def test_a_beginning_of_several_ids_is_said_to_be_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = ("envelopes", "resources", "deliveries", "findings", "worklist", "studies")
    nothing: dict[str, Any] = {"word": "01a2006f", "version": None, "more": False, **{key: [] for key in lists}}
    known = {**nothing, "beginning_so": ["01a2006f-1", "01a2006f-2"]}
    code, said = run(monkeypatch, capsys, Answers(trace=known), "trace", "01a2006f")
    assert code == 1
    assert said.splitlines() == [
        "The ids of several envelopes begin with 01a2006f; say more of it:",
        "  01a2006f-1",
        "  01a2006f-2",
    ]
    assert (
        "Nothing is known" in run(monkeypatch, capsys, Answers(trace={**nothing, "beginning_so": []}), "trace", "x")[1]
    )


def test_help_says_what_can_be_searched_by(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    said = " ".join(run(monkeypatch, capsys, Answers(), "trace", "--help")[1].replace("│", " ").split())
    for word in ("MSH-10", "accession", "study UID", "patient identifier", "finding", "Patient/…@2", "+08:00"):
        assert word in said, word


def test_what_people_did_with_a_message_is_told_with_their_reasons(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at = "2026-11-21T23:31:35Z"
    acts = [
        {"at": at, "actor": "wang", "action": action, "reason": reason}
        for action, reason in [("release", "[放行]"), ("skip", ""), ("replace", "改"), ("replay", "映射已修改")]
    ]
    lists: dict[str, list[Any]] = {key: [] for key in ("resources", "deliveries", "findings", "worklist", "studies")}
    known = {"word": "C1", **NO_VERSION, "envelopes": [{**ENVELOPE, "acts": acts}], "more": False, **lists}
    _, said = run(monkeypatch, capsys, Answers(trace=known), "trace", "C1")
    lines = [line.strip("│├└─ ") for line in said.splitlines() if " by wang" in line]
    assert lines == [
        "released by wang at 2026-11-22 07:31:35 +08:00: [放行]",
        "skipped by wang at 2026-11-22 07:31:35 +08:00",
        "corrected by wang at 2026-11-22 07:31:35 +08:00: 改",
        "replay asked for by wang at 2026-11-22 07:31:35 +08:00: 映射已修改",
    ]


def test_a_pipe_gets_whole_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    lists: dict[str, list[Any]] = {key: [] for key in ("resources", "deliveries", "findings", "worklist", "studies")}
    long = "文" * 150
    finding = {"code": "another", "text": long, "location": None, "rule": None}
    known = {"word": "C1", **NO_VERSION, "envelopes": [{**ENVELOPE, "findings": [finding]}], "more": False, **lists}
    monkeypatch.setattr(trace_command, "find_hub", lambda *_: Answers(trace=known))
    with pytest.raises(SystemExit):
        main(["trace", "C1"])
    assert any(line.endswith(f"finding another (open) : {long}") for line in capsys.readouterr().out.splitlines())
