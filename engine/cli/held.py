"""`hutong held`: which messages wait for a person, why, and how many wait behind each?"""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.markup import escape

from engine.cli.acting import AsJson, Channel, Code, Data, Mapping, MessageType, Rule, Url, console, told_at
from engine.cli.hub import find_hub


def held(
    data: Data = None,
    url: Url = None,
    channel: Channel = None,
    code: Code = None,
    rule: Rule = None,
    message_type: MessageType = None,
    mapping: Mapping = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many are shown; all are counted.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Lists held messages, the oldest first, with what holds them and how many later ones wait for each.

    Then: `hutong release`, `hutong edit` or `hutong skip`.
    """
    page = find_hub(data, url).get(
        "/api/held",
        channel=channel,
        code=code,
        rule=rule,
        message_type=message_type,
        mapping=mapping,
        limit=str(limit),
    )
    if as_json:
        typer.echo(json.dumps(page, ensure_ascii=False, indent=2))
        return
    if not page["held"]:
        console.print("nothing is held")
        return
    for line in page["held"]:
        _print(line)
    counts = ", ".join(f"{number} {found or 'without an open finding'}" for found, number in page["by_code"].items())
    console.print(escape(f"held: {counts}"))


def _print(line: dict[str, Any]) -> None:
    corrects = f"  a correction of {line['replaces']}" if line["replaces"] else ""
    message = f"{line['message_type']} {line['control_id']}".strip() or "no message"
    console.print(escape(f"{line['id']}  {told_at(line['received_at'])}  {line['channel']}  {message}{corrects}"))
    for reason in line["reasons"]:
        place = " ".join(str(part) for part in (reason["location"], reason["rule"]) if part)
        console.print(escape(f"  {reason['code']} {place}: {reason['text']}"), style="yellow")
    if not line["reasons"]:
        console.print("  what held it was settled, but nobody released it", style="yellow")
    if line["waiting_behind"]:
        console.print(f"  {line['waiting_behind']} wait behind it")
