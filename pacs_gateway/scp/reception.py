"""What does the network hand an arriving object to? The storage half of C-STORE, as the network half sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Announced:
    """What a C-STORE request and its association say of an object before its first byte.

    Nothing here has been compared with the data set yet.

    sop_class_uid     a class that this caller may store; as in the command, padding removed
    sop_instance_uid  as in the command, padding removed; may be empty or no UID at all
    calling_ae        AE titles without padding
    facility          whose object it is, by the caller's entry
    peer              `AET@host:port`, for logs and the index
    study_uid         the study it must be of; empty for any
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_ae: str
    called_ae: str
    facility: str
    peer: str
    study_uid: str = ""


class Arriving(Protocol):
    """One object on its way in. Its data set comes in order through `write`, then exactly one of the other two.

    All methods are called on the event loop.
    """

    def write(self, pieces: Sequence[memoryview]) -> None:
        """Takes the next bytes, not necessarily whole elements, into the page cache; must not keep the views.

        The pieces lie in the receive buffer of the association, which is overwritten once this returns. Raises
        HutongError when the object can no longer be kept: then `abandon` follows, the peer's remaining fragments are
        read and dropped, and it gets the status of the error.
        """
        ...

    async def finish(self) -> None:
        """The last byte has been written. Object and index row are durable on return; status 0000 follows.

        Raises HutongError, whose status the peer gets (`pacs_gateway.status`), when nothing of it is visible. Is
        waited for even when the peer leaves meanwhile.
        """
        ...

    def abandon(self) -> None:
        """The association ended within the object, or `write` raised: nothing of it remains. Does not raise."""
        ...


class Reception(Protocol):
    def begin(self, announced: Announced) -> Arriving:
        """Makes room for an object. Does not block; raises HutongError when it cannot be taken."""
        ...
