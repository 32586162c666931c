"""`hutong deliveries`: what is owed, refused or stranded, and sending it again or giving it up."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from engine.cli.acting import AsJson, Data, Url, Yes, act, console, ids_of, told_at
from engine.cli.hub import Hub, find_hub
from engine.errors import ConfigurationError


class Doing(StrEnum):
    """What is to be done."""

    BACKLOG = "backlog"
    LIST = "list"
    RETRY = "retry"
    GIVE_UP = "give-up"


class State(StrEnum):
    """What may be asked for."""

    OWED = "owed"
    REFUSED = "refused"
    GIVEN_UP = "given-up"
    DELIVERED = "delivered"


def deliveries(
    doing: Annotated[Doing, typer.Argument(help="What to do; by endpoint when left out.")] = Doing.BACKLOG,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[DELIVERY]...", help="Ids, as the list shows them.")
    ] = None,
    data: Data = None,
    url: Url = None,
    endpoint: Annotated[str | None, typer.Option(metavar="NAME", help="Only to this endpoint.")] = None,
    state: Annotated[State | None, typer.Option(help="Only in this state.")] = None,
    error: Annotated[str | None, typer.Option(metavar="CODE", help="Only with this error at the last attempt.")] = None,
    older_than_hours: Annotated[float | None, typer.Option(min=0, help="Only those owed for longer.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything that is owed or refused.")] = False,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; retry and give-up must say it.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many are listed.")] = 50,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Shows what each endpoint is owed, lists deliveries, sends them again (`retry`), or gives them up (`give-up`).

    What an endpoint refused is not sent again by itself: mend the cause there, then retry. What is given up is owed no
    more, and what waits behind it goes out. All of those chosen or none.
    """
    hub = find_hub(data, url)
    older = None if older_than_hours is None else str(older_than_hours)
    match doing:
        case Doing.BACKLOG:
            _backlog(hub, as_json)
        case Doing.LIST:
            _list(hub, as_json, endpoint=endpoint, state=state, error=error, older_than_hours=older, limit=str(limit))
        case _:
            if not reason:
                raise ConfigurationError(f"hutong deliveries {doing} needs --reason TEXT")
            act(
                hub,
                f"/api/deliveries/{doing}",
                doing.replace("-", " "),
                "owed again" if doing is Doing.RETRY else "given up",
                reason=reason,
                yes=yes,
                deliveries=ids_of(ids),
                endpoint=endpoint,
                state=state,
                error=error,
                older_than_hours=older_than_hours,
                everything=everything or None,
            )


def _backlog(hub: Hub, as_json: bool) -> None:
    lines = hub.get("/api/deliveries/backlog")
    if as_json:
        typer.echo(json.dumps(lines, ensure_ascii=False, indent=2))
        return
    if not lines:
        console.print("nothing is owed, nothing was refused")
        return
    table = Table("endpoint", "owed", "oldest", "refused", "last error", box=None, header_style="dim")
    for line in lines:
        oldest = told_at(line["oldest_owed_at"])
        error = line["last_error"] or "" if line["configured"] else "not configured: nobody delivers"
        table.add_row(line["endpoint"], str(line["owed"]), oldest, str(line["refused"]), error)
    console.print(table)


def _list(hub: Hub, as_json: bool, **filters: str | None) -> None:
    page = hub.get("/api/deliveries", **filters)
    if as_json:
        typer.echo(json.dumps(page, ensure_ascii=False, indent=2))
        return
    if not page["deliveries"]:
        console.print("no such delivery")
        return
    for line in page["deliveries"]:
        what = f"{line['control_id']}  {line['state']}, attempts: {line['attempts']}"
        console.print(escape(f"{line['id']}  {told_at(line['created_at'])}  {line['endpoint']}  {what}"))
        if line["given_up_by"]:
            console.print(escape(f"  given up by {line['given_up_by']}: {line['given_up_why']}"))
        elif line["last_error"]:
            last = line["latest_attempts"][-1] if line["latest_attempts"] else {"detail": ""}
            console.print(escape(f"  {line['last_error']}: {last['detail']}".rstrip(": ")), style="yellow")
    if page["next"]:
        console.print("there are more; a filter shows fewer")
