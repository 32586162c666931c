"""What would another configuration make of the messages in the journal? Looked at by several processes, read-only."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from engine import config
from engine.cli.assembly import mappings_of
from engine.cli.supervisor import RUN_FILE
from engine.config import Community
from engine.config.loader import COMMUNITY
from engine.errors import ConfigurationError
from engine.replay import Ahead, Difference, Example, Kind, Seen, Summary, What, World
from engine.store.embedded import EmbeddedPostgres
from engine.store.journaled import Looked, Span, connect_to_look, read, spans

SPAN = 500
"""Messages that one process looks at before it tells: often enough to show progress, seldom enough to cost nothing."""
MOST_PROCESSES = 8

console = Console(highlight=False, soft_wrap=True)


def show_difference(
    against: Path,
    data: Path | None,
    config_folder: Path | None,
    looked: Looked,
    *,
    values: bool,
    as_json: bool,
) -> bool:
    """Prints what would change, and returns whether anything would."""
    config_folder = config_folder or _config_of_hub(data)
    if against.resolve() in (config_folder.resolve(), (config_folder / "mappings").resolve()):
        told = f"--against {against}: this is the running configuration itself; change a copy of it and name that"
        typer.echo(told, err=True)
    running = _running(config_folder)
    changed = _changed(against, running.community)
    summary, record = _look(_database(data), looked, running, changed)
    if as_json:
        both = {
            **_as_json(summary, values),
            "record": {**_as_json(record.summary, values), "complete": record.complete},
        }
        typer.echo(json.dumps(both, ensure_ascii=False, indent=2))
    else:
        _print(summary, values)
        _print_record(record, values)
    return bool(summary.changed or record.summary.changed)


def _running(config_folder: Path) -> World:
    community = config.load(config_folder)
    return World(community, mappings_of(community))


def _config_of_hub(data: Path | None) -> Path:
    if data is not None and (data / RUN_FILE).is_file():
        try:
            run = json.loads((data / RUN_FILE).read_text(encoding="utf-8"))
            return Path(run["config"])
        except (ValueError, KeyError):
            pass
    raise ConfigurationError("say which configuration runs: --data DIR of a running hub, or --config DIR")


def _changed(against: Path, running: Community) -> World:
    """A configuration with its mappings; or a folder of mappings alone, as a configuration would have it."""
    if (against / COMMUNITY).is_file():
        community = config.load(against)
        return World(community, mappings_of(community))
    if any((against / part).is_dir() for part in ("hl7v2", "tables", "facilities")):
        return World(running, mappings_of(running, against))
    raise ConfigurationError(
        f"--against {against}: expected a configuration (a folder with {COMMUNITY}) or mappings (one with hl7v2/)"
    )


def _database(data: Path | None) -> str:
    url = os.environ.get("HUTONG_DATABASE_URL")
    if url:
        return url
    if data is None or not (data / "postgres").is_dir():
        raise ConfigurationError("say where the journal is: --data DIR of a running hub, or HUTONG_DATABASE_URL")
    return EmbeddedPostgres(data / "postgres").url


@dataclass(frozen=True, slots=True)
class _OnRecord:
    """What a replay would do to the record. Not `complete`: so much would change that the rest is not told."""

    summary: Summary
    complete: bool


def _look(url: str, looked: Looked, running: World, changed: World) -> tuple[Summary, _OnRecord]:
    work = asyncio.run(_spans(url, looked))
    total = sum(span.messages for span in work)
    summary = Summary()
    with _progress() as progress:
        bar = progress.add_task("messages", total=total)
        for span, found in zip(work, _looked_at(url, looked, running, changed, work), strict=True):
            summary.merge(found)
            progress.advance(bar, span.messages)
        again = progress.add_task("the record", total=total)
        ahead = Ahead(running, changed)
        record = asyncio.run(_look_ahead(url, looked, ahead, work, partial(progress.advance, again)))
    return summary, record


async def _look_ahead(
    url: str, looked: Looked, ahead: Ahead, work: list[Span], advance: Callable[[float], None]
) -> _OnRecord:
    """One process, because what a message changes is what the next one finds."""
    summary = Summary()
    connection = await connect_to_look(url)
    try:
        for span in work:
            async for changes in ahead.told(connection, looked, span):
                summary.add(changes)
            advance(span.messages)
    finally:
        await connection.close()
    return _OnRecord(summary, not ahead.full)


async def _spans(url: str, looked: Looked) -> list[Span]:
    connection = await connect_to_look(url)
    try:
        return await spans(connection, looked, SPAN)
    finally:
        await connection.close()


def _looked_at(url: str, looked: Looked, running: World, changed: World, work: list[Span]) -> Iterator[Summary]:
    """In the order of the journal. A process each is not worth it for a few messages."""
    processes = min(MOST_PROCESSES, os.cpu_count() or 1, len(work))
    if processes <= 1:
        looker = _Looker(url, looked, running, changed)
        try:
            yield from map(looker.look, work)
        finally:
            looker.close()
        return
    # Forked, so that what both configurations say is read and compiled once.
    with ProcessPoolExecutor(processes, get_context("fork"), _begin, (url, looked, running, changed)) as pool:
        yield from pool.map(_look_at, work)


class _Looker:
    """One process's connection, and what it compares."""

    def __init__(self, url: str, looked: Looked, running: World, changed: World) -> None:
        self._looked = looked
        self._difference = Difference(running, changed)
        self._runner = asyncio.Runner()
        self._connection = self._runner.run(connect_to_look(url))

    def look(self, span: Span) -> Summary:
        return self._runner.run(self._look(span))

    def close(self) -> None:
        self._runner.run(self._connection.close())
        self._runner.close()

    async def _look(self, span: Span) -> Summary:
        summary = Summary()
        async with self._connection.transaction(readonly=True):
            async for envelope in read(self._connection, self._looked, span):
                summary.add(self._difference.of(envelope))
        return summary


_lookers: list[_Looker] = []
"""The one of this process, once it has begun: a pool hands its workers nothing else."""


def _begin(url: str, looked: Looked, running: World, changed: World) -> None:
    _lookers.append(_Looker(url, looked, running, changed))


def _look_at(span: Span) -> Summary:
    return _lookers[0].look(span)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _print(summary: Summary, values: bool) -> None:
    console.print(f"{summary.messages} messages looked at")
    if not summary.changed:
        console.print("nothing would change")
        return
    console.print(f"{summary.changed} would change")
    _print_kinds(summary, values)


def _print_record(record: _OnRecord, values: bool) -> None:
    """The changed configuration alone changes nothing that is recorded: a replay of these messages does."""
    if record.summary.changed:
        console.print("\nOn record, once these messages are processed again (hutong replay):")
    else:
        console.print("on record nothing would change if these messages were processed again")
    _print_kinds(record.summary, values)
    if not record.complete:
        console.print("[yellow]More would change than can be told at once: look at fewer days.[/]")


def _print_kinds(summary: Summary, values: bool) -> None:
    last: What | None = None
    for kind, seen in summary.kinds():
        if kind.what is not last:
            console.print(f"\n[bold]{kind.what}[/]")
            last = kind.what
        rules = _rules(kind)
        console.print(f"  {escape(kind.where)}{f'  [dim]{escape(rules)}[/]' if rules else ''}  {_messages(seen)}")
        for example in seen.examples:
            pairs = [(example.before, example.after), *example.further] if values else []
            shown = [f"{before or '(nothing)'} → {after or '(nothing)'}" for before, after in pairs if before or after]
            name = " ".join(each for each in (example.message_type, example.control_id, example.resource) if each)
            message = f"[dim]{example.envelope}[/]{escape(f'  {name}')}"
            console.print(f"    {message}{escape(f'  {shown[0]}') if shown else ''}")
            for line in shown[1:]:
                console.print(escape(f"    {'':36}  {line}"))


def _named(example: Example) -> dict[str, str]:
    """The message and the resource by which it is found; without a value."""
    return {
        "envelope": str(example.envelope),
        "message_type": example.message_type,
        "control_id": example.control_id,
        "resource": example.resource,
    }


def _values(example: Example) -> dict[str, Any]:
    further = [{"before": before, "after": after} for before, after in example.further]
    return {"before": example.before, "after": example.after} | ({"further": further} if further else {})


def _rules(kind: Kind) -> str:
    if kind.before == kind.after:
        return f"rule {kind.after}" if kind.after else ""
    return f"rule {kind.before or '(none)'} → {kind.after or '(none)'}"


def _messages(seen: Seen) -> str:
    return "1 message" if seen.messages == 1 else f"{seen.messages} messages"


def _as_json(summary: Summary, values: bool) -> dict[str, Any]:
    return {
        "messages": summary.messages,
        "changed": summary.changed,
        "changes": [
            {
                "what": kind.what,
                "where": kind.where,
                "rule_before": kind.before,
                "rule_after": kind.after,
                "messages": seen.messages,
                "examples": [_named(example) | (_values(example) if values else {}) for example in seen.examples],
            }
            for kind, seen in summary.kinds()
        ],
    }
