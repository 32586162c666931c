"""`hutong skip`: what is held ends without a record, and what waits behind it goes on."""

from __future__ import annotations

from engine.cli.acting import Channel, Code, Data, Mapping, MessageType, Reason, Rule, Url, Yes
from engine.cli.held_ones import Envelopes, Everything, act_on_held
from engine.cli.hub import find_hub


def skip(
    reason: Reason,
    envelopes: Envelopes = None,
    data: Data = None,
    url: Url = None,
    channel: Channel = None,
    code: Code = None,
    rule: Rule = None,
    message_type: MessageType = None,
    mapping: Mapping = None,
    everything: Everything = False,
    yes: Yes = False,
) -> None:
    """Ends held messages without a record: these, or all that fit the filters. What waits behind them goes on.

    They stay in the journal. All of them or none.
    """
    act_on_held(
        find_hub(data, url),
        "skip",
        "skipped",
        envelopes,
        reason=reason,
        yes=yes,
        everything=everything,
        channel=channel,
        code=code,
        rule=rule,
        message_type=message_type,
        mapping=mapping,
    )
