"""What is available elsewhere? Instance availability notification as its provider (PS3.4 annex R): N-CREATE."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import asyncpg

from engine.clock import Clock
from engine.errors import ParseError, StorageError
from engine.store import availability
from engine.store.availability import Available
from engine.store.database import FAILED, end_if_cancelled
from pacs_gateway.normalized import items, plain, required, uid
from pacs_gateway.query.identifier import Gathered
from pacs_gateway.scp.callers import Caller
from pacs_gateway.scp.normalized import Normalized, Values, understood
from pacs_gateway.scp.service import Answers, Operation, Request
from pacs_gateway.transfer_syntaxes import UNCOMPRESSED
from pacs_gateway.upper_layer.commands import CommandField

AVAILABILITY = "1.2.840.10008.5.1.4.33"
STATES = frozenset({"ONLINE", "NEARLINE", "OFFLINE", "UNAVAILABLE"})
"""Instance Availability (0008,0056)."""
COMMIT_TIMEOUT_SECS = 30.0


class AvailabilityNotices:
    """Implements `Service`."""

    request = CommandField.N_CREATE_RQ

    def __init__(self, channel: str, pool: asyncpg.Pool, clock: Clock) -> None:
        self._channel = channel
        self._pool = pool
        self._clock = clock

    def transfer_syntaxes(self, sop_class: str, caller: Caller) -> Collection[str]:
        return UNCOMPRESSED if sop_class == AVAILABILITY else ()

    def begin(self, request: Request) -> Operation:
        return Normalized(self._channel, request, self._take)

    async def _take(self, request: Request, sent: Gathered, answers: Answers) -> Values:
        told = await understood(lambda: told_by(sent))
        caller = request.caller
        try:
            async with (
                asyncio.timeout(COMMIT_TIMEOUT_SECS),
                self._pool.acquire() as connection,
                connection.transaction(),
            ):
                await availability.put(connection, caller.facility, caller.ae_title, told, self._clock())
        except TimeoutError:
            raise StorageError("the database did not answer in time") from None
        except FAILED as error:
            end_if_cancelled()
            raise StorageError(f"the notice cannot be kept: {type(error).__name__}") from error
        return {}


def told_by(sent: Gathered) -> list[Available]:
    """Raises ParseError `attribute-missing`, `attribute-empty` and `attribute-invalid`."""
    dataset = sent.read()
    study_uid = uid(dataset, "StudyInstanceUID")
    found: dict[str, Available] = {}
    for series in items(dataset, "ReferencedSeriesSequence"):
        series_uid = uid(series, "SeriesInstanceUID")
        for item in items(series, "ReferencedSOPSequence"):
            state = required(item, "InstanceAvailability")
            if state not in STATES:
                raise ParseError("InstanceAvailability is none of the four", code="attribute-invalid")
            sop_uid = uid(item, "ReferencedSOPInstanceUID")
            sop_class, retrieve_ae = plain(item, "ReferencedSOPClassUID"), plain(item, "RetrieveAETitle")
            found[sop_uid] = Available(study_uid, series_uid, sop_uid, sop_class, state, retrieve_ae)
    if not found:
        raise ParseError("no instance is named", code="attribute-missing")
    return sorted(found.values(), key=lambda one: one.sop_uid)
