"""`hutong release`: what is held is tried again, after a mapping or the configuration was mended."""

from __future__ import annotations

from engine.cli.acting import Channel, Code, Data, Mapping, MessageType, Reason, Rule, Url, Yes
from engine.cli.held_ones import Envelopes, Everything, act_on_held
from engine.cli.hub import find_hub


def release(
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
    """Lets held messages run again, in their places: these, or all that fit the filters.

    What holds them is settled when they pass; those that fail again are held again. All of them or none.
    """
    act_on_held(
        find_hub(data, url),
        "release",
        "released",
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
