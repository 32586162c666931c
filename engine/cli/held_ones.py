"""What is done to held messages that a person names one by one, or by what holds them? Shared by release and skip."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.acting import act, console, ids_of
from engine.cli.hub import Hub

Envelopes = Annotated[
    list[str] | None, typer.Argument(metavar="[ENVELOPE]...", help="Ids, as `hutong held` shows them.")
]
Everything = Annotated[bool, typer.Option("--all", help="Everything that is held.")]


def act_on_held(
    hub: Hub,
    verb: str,
    done: str,
    envelopes: list[str] | None,
    *,
    reason: str,
    yes: bool,
    everything: bool,
    **filters: str | None,
) -> None:
    """Asks the hub for it and prints how many it was done to; `done` is the verb in the past. All of them or none."""
    ids = ids_of(envelopes)
    if len(ids) == 1 and not (any(filters.values()) or everything):
        hub.post(f"/api/envelopes/{ids[0]}/{verb}", reason=reason)
        console.print(f"{done}: 1")
        return
    count = act(
        hub,
        f"/api/held/{verb}",
        verb,
        done,
        reason=reason,
        yes=yes,
        envelopes=ids,
        everything=everything or None,
        **filters,
    )
    if count < len(ids):
        console.print(f"{len(ids) - count} of those named are not held, or do not fit the filters")
