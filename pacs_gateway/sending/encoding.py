"""In which encoding does an object go to a system? As it is stored, if it can."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from engine.errors import DeliveryError, Disposition
from engine.store.imaging_search import Content
from pacs_gateway.scp.service import OutgoingDataSet
from pacs_gateway.scu.requestor import Requestor
from pacs_gateway.storage_classes import STORAGE_CLASSES

DataSetOf = Callable[[Content], OutgoingDataSet]


@dataclass(frozen=True, slots=True)
class Encoded:
    """An object as it goes out; `note` says what was done, or could not be done, to it."""

    transfer_syntax: str
    data_set: OutgoingDataSet
    note: str = ""


class Encoder:
    """data_set_of  the bytes of an object as they are stored"""

    def __init__(self, data_set_of: DataSetOf) -> None:
        self._data_set_of = data_set_of

    @asynccontextmanager
    async def encoded(self, content: Content, requestor: Requestor) -> AsyncIterator[Encoded]:
        """An object in an encoding that the peer takes. Raises DeliveryError, to HOLD, when there is none."""
        if not requestor.taken_as(content.sop_class):
            named = STORAGE_CLASSES.get(content.sop_class, content.sop_class)
            raise _not_taken(f"it does not take the SOP class {named}")
        if not requestor.takes(content.sop_class, content.transfer_syntax):
            raise _not_taken("it does not take the encoding in which the object is stored")
        yield Encoded(content.transfer_syntax, self._data_set_of(content))


def _not_taken(what: str) -> DeliveryError:
    return DeliveryError(what, disposition=Disposition.HOLD, code="not-taken")
