"""How is a request of an N-service answered? Its data set gathered, its outcome as a status (PS3.7 §10)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from engine.errors import HutongError, ParseError
from pacs_gateway import status
from pacs_gateway.elements import top_level
from pacs_gateway.query.identifier import UNREADABLE, Gathered, malformed
from pacs_gateway.scp.service import Answers, Request
from pacs_gateway.upper_layer.commands import CommandSet, Element

DATA_SET_LIMIT = 8 * 1024 * 1024
"""Some 60,000 references to objects; the largest studies have some ten thousand."""

_log = logging.getLogger(__name__)

_OF_THE_REQUEST = {
    Element.AFFECTED_SOP_CLASS_UID: (Element.AFFECTED_SOP_CLASS_UID, Element.REQUESTED_SOP_CLASS_UID),
    Element.AFFECTED_SOP_INSTANCE_UID: (Element.AFFECTED_SOP_INSTANCE_UID, Element.REQUESTED_SOP_INSTANCE_UID),
}
_NUMBERS = (Element.EVENT_TYPE_ID, Element.ACTION_TYPE_ID)

Values = Mapping[Element, int | str]
_T = TypeVar("_T")


class Performing(Protocol):
    """What becomes of one request whose data set is there."""

    async def __call__(self, request: Request, sent: Gathered, answers: Answers) -> Values:
        """On return it is durable, and the request is answered 0000 with these values too. Raises HutongError."""
        ...


class Normalized:
    """One request of an N-service. Implements `Operation`."""

    def __init__(self, channel: str, request: Request, perform: Performing) -> None:
        self._channel = channel
        self._request = request
        self._perform = perform
        self._sent = Gathered(request.transfer_syntax, DATA_SET_LIMIT)

    def write(self, pieces: Sequence[memoryview]) -> None:
        self._sent.write(pieces)

    def abandon(self) -> None:
        self._sent.abandon()

    async def answer(self, answers: Answers) -> None:
        try:
            # pydicom would take what is cut off for what was meant.
            await asyncio.to_thread(top_level, self._sent.data, self._request.transfer_syntax, frozenset())
            values = await self._perform(self._request, self._sent, answers)
        except HutongError as error:
            await answers.send(refusal(self._channel, self._request, error))
            return
        await answers.send(response_to(self._request.command, status.SUCCESS, values))


class Refusal(ParseError):
    """A refusal whose answer says more than a status."""

    def __init__(self, message: str, code: str, values: Values) -> None:
        super().__init__(message, code=code)
        self.values = values


async def understood(work: Callable[[], _T]) -> _T:
    """What a data set says, read in a thread: it may be large, and hostile. Raises ParseError."""
    try:
        return await asyncio.to_thread(work)
    except UNREADABLE as error:
        raise malformed("the data set cannot be read") from error


def refusal(channel: str, request: Request, error: HutongError) -> CommandSet:
    """The response that says why a request is not done, which is logged too."""
    _log.warning("channel %s: refused a request of %s: %s", channel, request.peer, error.message)
    values: dict[Element, int | str] = {Element.ERROR_COMMENT: status.comment_of(error)}
    if isinstance(error, Refusal):
        values |= error.values
    return response_to(request.command, status.normalized_status_of(error), values)


def response_to(request: CommandSet, told: int, values: Values, *, has_data_set: bool = False) -> CommandSet:
    """The response to a request, which says again what it was about."""
    echoed: dict[Element, int | str] = {
        Element.MESSAGE_ID_BEING_RESPONDED_TO: request.number(Element.MESSAGE_ID),
        Element.STATUS: told,
    }
    for element, sources in _OF_THE_REQUEST.items():
        found = next((source for source in sources if request.has(source)), None)
        if found is not None:
            echoed[element] = request.text(found)
    echoed |= {element: request.number(element) for element in _NUMBERS if request.has(element)}
    return CommandSet.of(request.field | 0x8000, {**echoed, **values}, has_data_set=has_data_set)
