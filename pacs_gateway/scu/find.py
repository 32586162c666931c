"""What does another system have? C-FIND as the one who asks: of studies (PS3.4 C.4.1) and of a worklist (K.4.1)."""

from __future__ import annotations

from itertools import count

from pydicom.dataset import Dataset

from engine.errors import DeliveryError, Disposition, ParseError
from pacs_gateway import status
from pacs_gateway.query.identifier import decoded, encoded
from pacs_gateway.scu.peer import PENDING_STATUSES
from pacs_gateway.scu.requestor import Requestor
from pacs_gateway.upper_layer.commands import CommandField, CommandSet, Element

WORKLIST = "1.2.840.10008.5.1.4.31"

_message_ids = count(1)


def next_message_id() -> int:
    """Unique enough: an association has one request under way at a time."""
    return next(_message_ids) % 0xFFFF + 1


async def find(requestor: Requestor, sop_class: str, identifier: Dataset, limit: int) -> list[Dataset]:
    """The first answers, at most `limit`; a peer that has more is asked to stop.

    Raises DeliveryError when the peer does not answer, or answers that it failed: to HOLD where it will again.
    """
    number = next_message_id()
    command = CommandSet.of(
        CommandField.C_FIND_RQ,
        {Element.AFFECTED_SOP_CLASS_UID: sop_class, Element.MESSAGE_ID: number, Element.PRIORITY: 0},
        has_data_set=True,
    )
    asked = encoded(identifier, requestor.encoding_of(sop_class))
    found: list[Dataset] = []
    unreadable: DeliveryError | None = None
    cancelled = False
    async for response in requestor.ask_for_many(sop_class, command, asked):
        if response.data_set and not cancelled:
            try:
                found.append(_read(response.data_set, response.transfer_syntax))
            except DeliveryError as error:
                unreadable = error  # raised after the last answer, so that more can be asked over the association
        if response.status in (status.SUCCESS, status.CANCELLED):
            if unreadable is not None:
                raise unreadable
            return found
        if response.status not in PENDING_STATUSES:
            raise refused("the query", response.status, response.command)
        if (len(found) >= limit or unreadable is not None) and not cancelled:
            cancelled = True
            await requestor.cancel(sop_class, number)
    return found


def refused(what: str, answered: int, command: CommandSet) -> DeliveryError:
    """What a peer answered instead of doing it; A7xx and B000 may pass, other failures come again."""
    passing = answered & 0xFF00 == 0xA700 or answered & 0xF000 == 0xB000
    comment = command.text(Element.ERROR_COMMENT)
    named = "".join(character for character in comment if character.isprintable())
    return DeliveryError(
        f"{what} was answered {answered:04X}{f': {named}' if named else ''}",
        disposition=Disposition.RETRY if passing else Disposition.HOLD,
        code="query-refused",
    )


def _read(data_set: bytes, transfer_syntax: str) -> Dataset:
    try:
        return decoded(data_set, transfer_syntax)
    except ParseError as error:
        raise DeliveryError(
            "the peer answers with what is no data set", disposition=Disposition.HOLD, code="unreadable"
        ) from error
