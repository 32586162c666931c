"""`hutong held`: which messages wait for a person, why, and how many wait behind each?"""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from engine.cli.acting import AsJson, Channel, Code, Data, Mapping, MessageType, Rule, Url, console
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
    table = Table("envelope", "received", "channel", "message", "waiting", "held by", box=None, header_style="dim")
    for line in page["held"]:
        message = f"{line['message_type']} {line['control_id']}".strip()
        table.add_row(
            line["id"],
            line["received_at"][:16].replace("T", " "),
            line["channel"],
            escape(f"{message} (a correction)" if line["replaces"] else message),
            str(line["waiting_behind"]),
            escape("; ".join(_said(reason) for reason in line["reasons"]) or "its finding was settled"),
        )
    console.print(table)
    counts = ", ".join(f"{number} {found or 'without an open finding'}" for found, number in page["by_code"].items())
    console.print(escape(f"held: {counts}"))


def _said(reason: dict[str, str | None]) -> str:
    place = " ".join(str(part) for part in (reason["location"], reason["rule"] and f"rule {reason['rule']}") if part)
    return f"{reason['code']} {place}".strip()
