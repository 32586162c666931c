"""What is done for one delivery to another hub? The study is sent as far as the hub does not have it yet."""

from __future__ import annotations

from collections.abc import Callable

from engine.clock import Clock
from engine.store.imaging_outbox import ImagingOwed, StudyOwed
from engine.store.outbox import Due
from pacs_gateway.location import Objects
from pacs_gateway.sending.outcome import Outcome, Turns
from pacs_gateway.transfer.attempt import Attempt
from pacs_gateway.transfer.outgoing import Outgoing


class TransferErrands:
    """Does what one hub is owed."""

    def __init__(self, endpoint: str, outgoing: Outgoing, objects: Objects, clock: Clock) -> None:
        self._endpoint = endpoint
        self._outgoing = outgoing
        self._objects = objects
        self._clock = clock

    async def perform(
        self, due: Due, what: ImagingOwed, turns: Turns, *, urgent: bool, may_go_on: Callable[[], bool]
    ) -> Outcome:
        """One attempt. Raises what the database raises; everything else is in the outcome."""
        if not isinstance(what, StudyOwed):
            return Outcome(said="", refused="another hub is not asked for earlier studies")
        attempt = Attempt(self._endpoint, self._outgoing, self._objects, self._clock, due.id, what, turns)
        return await attempt.perform(may_go_on)
