"""`hutong skip`: what is held ends without a record, and what waits behind it goes on."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.acting import Channel, Code, Data, Mapping, MessageType, Reason, Rule, Url, Yes, act, console, ids_of
from engine.cli.hub import find_hub


def skip(
    reason: Reason,
    envelopes: Annotated[
        list[str] | None, typer.Argument(metavar="[ENVELOPE]...", help="Ids, as `hutong held` shows them.")
    ] = None,
    data: Data = None,
    url: Url = None,
    channel: Channel = None,
    code: Code = None,
    rule: Rule = None,
    message_type: MessageType = None,
    mapping: Mapping = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything that is held.")] = False,
    yes: Yes = False,
) -> None:
    """Ends held messages without a record: these, or all that fit the filters. What waits behind them goes on.

    They stay in the journal. All of them or none.
    """
    hub = find_hub(data, url)
    ids = ids_of(envelopes)
    if len(ids) == 1 and not (channel or code or rule or message_type or mapping or everything):
        hub.post(f"/api/envelopes/{ids[0]}/skip", reason=reason)
        console.print("skipped: 1")
        return
    count = act(
        hub,
        "/api/held/skip",
        "skip",
        "skipped",
        reason=reason,
        yes=yes,
        envelopes=ids,
        channel=channel,
        code=code,
        rule=rule,
        message_type=message_type,
        mapping=mapping,
        everything=everything or None,
    )
    if count < len(ids):
        console.print(f"{len(ids) - count} of those named are not held, or do not fit the filters")
