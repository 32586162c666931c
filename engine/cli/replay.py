"""`hutong replay`: messages are processed again, or run through a changed configuration to see what it would change."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from engine.cli.acting import AsJson, Channel, Data, Mapping, MessageType, Url, Yes, confirm, console, ids_of
from engine.cli.hub import Hub, find_hub
from engine.cli.replay_told import tell
from engine.clock import CHINA, now
from engine.errors import ConfigurationError

ASKED_FROM = 100
"""So many messages are processed again without a question."""
_DAYS = 7
_LOOK_SECS = 0.2
_STUCK_SECS = 10.0
"""What has not moved for so long waits behind a held message."""
_FEW_LEFT = 50
"""The next portion is queued while so many of the last one still wait: the hub is never idle, nor ever full."""


def replay(
    envelopes: Annotated[list[str] | None, typer.Argument(metavar="[ENVELOPE]...", help="Only these.")] = None,
    data: Data = None,
    url: Url = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Received since: 2026-11-01, 2026-11-01T08:30 or with a zone.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Received before.")] = None,
    days: Annotated[float | None, typer.Option(min=0, help="Received in the last days.")] = None,
    channel: Channel = None,
    message_type: MessageType = None,
    mapping: Mapping = None,
    control_id: Annotated[str | None, typer.Option(metavar="ID", help="Only with this control id.")] = None,
    patient: Annotated[str | None, typer.Option(metavar="ID", help="Only of this patient identifier.")] = None,
    code: Annotated[str | None, typer.Option(metavar="CODE", help="Only those that had this finding.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="The whole journal.")] = False,
    skipped: Annotated[bool, typer.Option("--skipped", help="Also those that a person skipped.")] = False,
    redeliver: Annotated[bool, typer.Option("--redeliver", help="Owe what routes send on once more.")] = False,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it is audited.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    yes: Yes = False,
    against: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            metavar="DIR",
            help="Process nothing: show what this configuration, or this folder of mappings, would change.",
        ),
    ] = None,
    diff: Annotated[
        bool, typer.Option("--diff", help="With --against: the differences, which is what it shows.")
    ] = False,
    config_folder: Annotated[
        Path | None, typer.Option("--config", metavar="DIR", help="With --against: the running one, if not the hub's.")
    ] = None,
    values: Annotated[bool, typer.Option("--values", help="With --against: show values. They are patients'.")] = False,
    as_json: AsJson = False,
) -> None:
    """Processes journaled messages again by today's mappings, in their old places in the order of each patient.

    What something newer has changed since stays as it is, so replaying twice changes nothing more. At the end it says
    what was recorded anew, what was left to something newer, and what is as it was. Nothing is sent again without
    --redeliver.

    With --against DIR nothing is processed and nothing is written: the messages of the last days (--days, 7 when left
    out) are understood by the running configuration and by DIR, and the differences are shown, field by field. Exit
    status 0 when nothing would change, 3 when something would. What a replay would leave, because something newer says
    otherwise, is shown and is no change.
    """
    begin, end = _times(since, until, days)
    if against is not None:
        from engine.cli.replay_against import show_difference
        from engine.store.journaled import Looked

        if any((envelopes, control_id, patient, code, mapping, everything, skipped, redeliver)):
            raise ConfigurationError("--against looks at a time, a channel and a message type; leave out the rest")
        looked = Looked(
            begin or now() - timedelta(days=_DAYS), end or now(), channel, (message_type,) if message_type else None
        )
        if show_difference(against, data, config_folder, looked, values=values, as_json=as_json):
            raise typer.Exit(3)
        return
    if diff:
        raise ConfigurationError("--diff needs --against DIR: the changed configuration or mappings")
    choice = {
        "envelopes": ids_of(envelopes) or None,
        "since": begin.isoformat() if begin else None,
        "until": end.isoformat() if end else None,
        "channel": channel,
        "message_type": message_type,
        "mapping": mapping,
        "control_id": control_id,
        "patient": patient,
        "code": code,
        "everything": everything or None,
        "skipped": skipped or None,
        "redeliver": redeliver or None,
    }
    hub = find_hub(data, url)
    counted = hub.post("/api/replay", reason=reason or "counted", dry_run=True, **choice)
    by_type = ", ".join(f"{number} {kind or 'without a type'}" for kind, number in counted["by_type"].items())
    if not as_json or dry_run:
        console.print(f"{counted['count']} messages{': ' if by_type else ''}{by_type}", markup=False)
    if dry_run or not counted["count"]:
        return
    if not reason:
        raise ConfigurationError("hutong replay needs --reason TEXT")
    if counted["count"] > ASKED_FROM:
        confirm(f"process {counted['count']} messages again?", yes)
    if run := _replay(hub, counted["count"], reason, choice):
        tell(hub, run, as_json=as_json)


def _times(since: str | None, until: str | None, days: float | None) -> tuple[datetime | None, datetime | None]:
    if days is not None and since is not None:
        raise ConfigurationError("--days and --since say the same thing; give one of them")
    begin = now() - timedelta(days=days) if days is not None else _time("--since", since)
    return begin, _time("--until", until)


def _time(option: str, text: str | None) -> datetime | None:
    """A time without a zone is China's."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{option} {text}: expected a time such as 2026-11-01 or 2026-11-01T08:30") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=CHINA)


def _replay(hub: Hub, total: int, reason: str, choice: dict[str, Any]) -> str:
    """Portion by portion: each is queued whole or not at all, so whoever stops this can begin it again.

    Returns the run under which the hub tells what came of it.
    """
    queue = _Queue(hub)
    after: str | None = None
    queued, run = 0, ""
    with _progress() as progress:
        bar = progress.add_task("processed again", total=total)
        while True:
            told = hub.post("/api/replay", reason=reason, after=after, run=run or None, **choice)
            queued += told["count"]
            after, run = told["next"], str(told["run"])
            for waiting in queue.drained_to(0 if after is None else _FEW_LEFT):
                progress.update(bar, completed=queued - waiting, total=max(total, queued))
            if after is None:
                break
    return run


class _Queue:
    """What is queued to be processed again, as the hub counts it."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._pause = threading.Event()
        self._stuck = 0

    def drained_to(self, few: int) -> Iterator[int]:
        """How many still wait, again and again, until few do besides those that have not moved for long."""
        moved_at, last = time.monotonic(), -1
        while True:
            waiting: int = self._hub.get("/api/replay")["waiting"]
            yield waiting
            if waiting <= max(few, self._stuck):
                return
            if waiting != last:
                moved_at, last = time.monotonic(), waiting
            elif time.monotonic() - moved_at > _STUCK_SECS:
                self._stuck = waiting
                return
            self._pause.wait(_LOOK_SECS)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
