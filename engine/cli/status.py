"""`hutong status`: how does the hub stand? One screen."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from engine.cli.hub import find_hub
from engine.clock import CHINA


def status(
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Data folder of the running hub.")] = None,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Address of the hub; HUTONG_TOKEN holds a token.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """Shows channels, endpoints, what waits and open incidents. Exit status 1 while an incident is open."""
    seen = find_hub(data, url).get("/api/status")
    if as_json:
        typer.echo(json.dumps(seen, ensure_ascii=False, indent=2))
    else:
        _print(Console(highlight=False), seen)
    if seen["alerts"]:
        raise typer.Exit(1)


def _print(console: Console, seen: dict[str, Any]) -> None:
    inbox = seen["inbox"]
    oldest = f", the oldest came {_time(inbox['oldest_at'])}" if inbox["oldest_at"] else ""
    console.print(f"[bold]{escape(seen['hub'])}[/] {_time(seen['at'])} 北京时间 (+08:00)")
    console.print(f"waiting: {inbox['accepted']}; held: {inbox['held']}{oldest}")
    _table(
        console,
        ("channel", "last message", "today", "yesterday", "7 days"),
        [(c["channel"], _time(c["last_at"]), c["today"], c["yesterday"], c["seven_days"]) for c in seen["channels"]],
    )
    _table(
        console,
        ("endpoint", "owed", "oldest", "refused", "last error"),
        [
            (e["endpoint"], e["owed"], _time(e["oldest_at"]), e["refused"], e["last_error"] or "")
            for e in seen["endpoints"]
        ],
    )
    for alert in seen["alerts"]:
        known = f" ({alert['acknowledged_by']}: {alert['acknowledgment']})" if alert["acknowledged_by"] else ""
        colour = "red" if alert["severity"] == "error" else "yellow"
        console.print(f"[{colour}]![/] {escape(alert['text_zh'])}{escape(known)}")
        console.print(f"  [dim]{escape(alert['text_en'])}[/]")
    if not seen["alerts"]:
        console.print("[green]✓[/] no open incident")


def _table(console: Console, heads: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    if not rows:
        return
    table = Table(*heads, box=None, pad_edge=False, header_style="dim")
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row))
    console.print(table)


def _time(text: str | None) -> str:
    """In China's time, to the second; the first line says the zone for all of them."""
    return datetime.fromisoformat(text).astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S") if text else ""
