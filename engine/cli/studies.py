"""`hutong studies`: which studies are not whole, and what is missing of them?"""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.markup import escape

from engine.cli.acting import AsJson, Data, Url, console, told_at
from engine.cli.hub import find_hub
from engine.errors import ConfigurationError
from engine.store.wholeness import State

_COLOURS = {"receiving": "blue", "whole": "green", "short": "red", "late": "yellow"}


def studies(
    uid: Annotated[
        str | None, typer.Argument(metavar="[UID]", help="One study, with everything missing of it.")
    ] = None,
    data: Data = None,
    url: Url = None,
    state: Annotated[State | None, typer.Option("--state", help="Only those that stand so.")] = None,
    facility: Annotated[str | None, typer.Option("--facility", metavar="CODE", help="Only of this facility.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many are shown.")] = 50,
    waive: Annotated[bool, typer.Option("--waive", help="What is missing of this study will not come.")] = False,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why it will not come.")] = None,
    manifest: Annotated[bool, typer.Option("--manifest", help="Every instance with its hash, as JSON.")] = False,
    moving: Annotated[bool, typer.Option("--moving", help="Those that move from hub to hub, and how far.")] = False,
    as_json: AsJson = False,
) -> None:
    """Lists studies, those whose state changed last first: receiving, whole, short (something announced is missing) or
    late (something came after it had counted as whole).
    """
    hub = find_hub(data, url)
    if moving:
        _show_moving(hub.get("/api/transfers", limit=str(limit))["transfers"], as_json)
    elif waive:
        if uid is None or not reason:
            raise ConfigurationError("hutong studies --waive needs the UID of the study, and --reason TEXT")
        _show([hub.post(f"/api/studies/{uid}/waive", why=reason, facility=facility)], as_json)
    elif uid is not None and manifest:
        typer.echo(json.dumps(hub.get(f"/api/studies/{uid}/manifest"), ensure_ascii=False, indent=2))
    elif uid is not None:
        found = hub.get(f"/api/studies/{uid}")
        _show([one for one in found if facility in (None, one["facility"])], as_json)
    else:
        page = hub.get("/api/studies", state=state, facility=facility, limit=str(limit))
        _show(page["studies"], as_json)


def _show(found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for one in found:
        _print(one)
    if not found:
        console.print("no such study")


def _show_moving(found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for one in found:
        way = f"to {one['peer']}" if one["direction"] == "out" else f"from {one['peer']}"
        percent = 100 * one["done_bytes"] // one["total_bytes"] if one["total_bytes"] else 100
        size = f"{one['done_bytes'] / 1e6:.1f} of {one['total_bytes'] / 1e6:.1f} MB ({percent}%)"
        console.print(escape(f"{one['state']:8} {one['study_uid']}  {way}  {one['objects']} objects, {size}"))
    if not found:
        console.print("nothing moves")


def _print(one: dict[str, Any]) -> None:
    colour = _COLOURS[one["state"]]
    number = f"{one['instances']}/{one['announced']}" if one["announced"] else str(one["instances"])
    said = f"  ({', '.join(one['sources'])})" if one["sources"] else ""
    what = " ".join([*one["modalities"], one["accession"], one["facility"], one["peer"].partition("@")[0]])
    console.print(f"[{colour}]{one['state']:9}[/] {escape(one['uid'])}  {told_at(one['since'])}  {escape(what)}")
    console.print(escape(f"          instances {number}{said}"))
    if one["missing"]:
        named = " ".join(one["missing_uids"]) or "their sender does not name them"
        console.print(escape(f"          missing {one['missing']}: {named}"), style="yellow")
