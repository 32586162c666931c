"""Does another system answer? C-ECHO as the one who asks (PS3.4 annex A)."""

from __future__ import annotations

from pacs_gateway.scu.find import next_message_id
from pacs_gateway.scu.requestor import Requestor
from pacs_gateway.upper_layer.commands import CommandField, CommandSet, Element

VERIFICATION = "1.2.840.10008.1.1"


async def echo(requestor: Requestor) -> int:
    """The status that it answers. Raises DeliveryError when it does not."""
    command = CommandSet.of(
        CommandField.C_ECHO_RQ, {Element.AFFECTED_SOP_CLASS_UID: VERIFICATION, Element.MESSAGE_ID: next_message_id()}
    )
    return (await requestor.ask(VERIFICATION, command)).status
