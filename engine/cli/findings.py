"""`hutong findings`: what should a person settle, who settled what and how, and settling one or many."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated

import typer
from rich.markup import escape

from engine.cli.acting import AsJson, Channel, Data, Url, Yes, confirm, console, ids_of, told_at
from engine.cli.hub import Hub, find_hub
from engine.errors import ConfigurationError
from engine.finding import Severity

_TO_SETTLE = (Severity.ERROR, Severity.WARNING)


class Doing(StrEnum):
    """What is to be done."""

    LIST = "list"
    SETTLE = "settle"


def findings(
    doing: Annotated[Doing, typer.Argument(help="What to do.")] = Doing.LIST,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[FINDING]...", help="Ids, as the list shows them.")
    ] = None,
    data: Data = None,
    url: Url = None,
    code: Annotated[str | None, typer.Option(metavar="CODE", help="Only of this code.")] = None,
    channel: Channel = None,
    severity: Annotated[
        Severity | None,
        typer.Option(help="Only of this severity; without it, errors and warnings."),
    ] = None,
    rule: Annotated[str | None, typer.Option(metavar="ID", help="Only of this mapping rule.")] = None,
    envelope: Annotated[str | None, typer.Option(metavar="ENVELOPE", help="Only of this envelope.")] = None,
    settled: Annotated[bool, typer.Option("--settled", help="List those that are settled.")] = False,
    how: Annotated[str, typer.Option("--how", metavar="TEXT", help="What was done about it; settle must say it.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many are listed.")] = 50,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Lists what should be settled by a person, or settles it: these, or all that fit the filters.

    First it says by which causes (code, mapping rule, channel) there are how many, then each of them: errors, then
    warnings, each the newest first. What is only noted for the record (information) is counted, and listed when you ask
    for it: --severity information, or a code, a rule or an envelope.
    What holds a message is settled with the message: `hutong release`, `hutong edit` or `hutong skip`.
    """
    hub = find_hub(data, url)
    if doing is Doing.LIST:
        state = "settled" if settled else "open"
        asked: list[str | None] = [severity] if severity or settled or code or rule or envelope else [*_TO_SETTLE]
        filters = {"code": code, "channel": channel, "rule": rule, "envelope": envelope, "limit": str(limit)}
        _list(hub, as_json, limit, [{**filters, "state": state, "severity": each} for each in asked])
        return
    if not how:
        raise ConfigurationError("hutong findings settle needs --how TEXT: what was done about it")
    choice = {"code": code, "channel": channel, "severity": severity, "rule": rule, "envelope": envelope}
    counted = hub.post("/api/findings/settle", settlement=how, dry_run=True, findings=ids_of(ids) or None, **choice)
    if counted["count"] > 1:
        confirm(f"settle {counted['count']}?", yes)
    told = hub.post("/api/findings/settle", settlement=how, findings=ids_of(ids) or None, **choice)
    console.print(f"settled: {told['count']}")
    if told["holding"]:
        console.print(f"left open: {told['holding']}, each holds a message: hutong held")


def _list(hub: Hub, as_json: bool, limit: int, asked: Sequence[Mapping[str, str | None]]) -> None:
    """What each of these questions finds, one after the other, `limit` in all."""
    pages = [hub.get("/api/findings", **filters) for filters in asked]
    page = {**pages[0], "findings": [finding for each in pages for finding in each["findings"]][:limit]}
    if as_json:
        typer.echo(json.dumps({key: page[key] for key in page if key != "next"}, ensure_ascii=False, indent=2))
        return
    counts = page["open_severities"]
    told = [f"{sum(counts[each].values())} {each} ({_by_code(counts[each])})" for each in _TO_SETTLE if each in counts]
    console.print(escape(f"open: {', '.join(told) or 'nothing'}"))
    if noted := counts.get(Severity.INFORMATION):
        line = (
            f"noted for the record: {sum(noted.values())} ({_by_code(noted)}): hutong findings --severity information"
        )
        console.print(escape(line), style="dim")
    _print_causes(hub, asked, len(page["findings"]))
    for finding in page["findings"]:
        place = " ".join(str(finding[key]) for key in ("location", "rule") if finding[key])
        console.print(f"{finding['id']}  {told_at(finding['found_at'])}  {finding['severity']}")
        console.print(escape(f"  {finding['code']} {place}: {finding['text']}"))
        about = finding["envelope"] and f"Envelope/{finding['envelope']}"
        if finding.get("times", 1) > 1:
            since = told_at(finding["first_found_at"])
            console.print(f"  {finding['times']} messages since {since} say the same value; this is the last of them")
        console.print(escape(f"  about {about or finding['about'] or finding['channel'] or 'the hub'}"), style="dim")
        if finding["settled_at"]:
            how = f"{told_at(finding['settled_at'])} by {finding['settled_by']}: {finding['settlement']}"
            console.print(escape(f"  settled {how}"), style="green")


def _print_causes(hub: Hub, asked: Sequence[Mapping[str, str | None]], findings: int) -> None:
    """Many findings have few causes, and a cause is what a person can do something about."""
    if findings < 2:
        return
    for filters in asked:
        for cause in hub.get("/api/findings/causes", **filters):
            times = f", found {cause['times']} times" if cause["times"] > cause["findings"] else ""
            rule = f" rule {cause['rule']}" if cause["rule"] else ""
            where = f"  {cause['channel']}" if cause["channel"] else ""
            line = f"  {cause['findings']:>5}  {cause['severity']}: {cause['code']}{rule}{where}{times}"
            console.print(escape(line))
    console.print()


def _by_code(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {code}" for code, number in counts.items())
