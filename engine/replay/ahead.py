"""What would a replay of these messages do to the record? Asked only of those that speak of what would be said anew."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final
from uuid import UUID

from engine.replay.difference import Change, Difference
from engine.replay.preview import Effect, Journaled, Preview
from engine.replay.summary import Example, Kind, What
from engine.replay.world import World
from engine.store import journaled
from engine.store.database import Connection
from engine.store.journaled import Ended, Looked, Span
from engine.understanding import ORDER_ANSWER

PORTION: Final = 100
"""Messages whose resources are read at once."""


class Ahead:
    """Looks span by span, in the order of the journal.

    affected  references of everything that messages say otherwise by the changed configuration, and their ids
    """

    def __init__(self, running: World, changed: World, affected: set[str]) -> None:
        self._running = running
        self._changed = changed
        self._affected = affected
        self._difference = Difference(running, changed)
        self._preview = Preview(changed)

    @property
    def asked(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self._affected)

    @property
    def full(self) -> bool:
        """Whether so much would change that the rest is not told."""
        return self._preview.full

    async def learn(self, connection: Connection, looked: Looked, span: Span) -> None:
        """What another mapping than these two recorded would be said anew as well. Of every span before any is told."""
        for message in await journaled.ended(connection, looked, span):
            if message.mapping not in self._labels(message):
                self._affected |= {*message.spoken, str(message.id)}

    async def told(self, connection: Connection, looked: Looked, span: Span) -> AsyncIterator[list[Change]]:
        """What replaying each message of a span would come to."""
        messages = {
            message.id: message.place
            for message in await journaled.ended(connection, looked, span)
            if not self._affected.isdisjoint([*message.spoken, str(message.id)])
        }
        ids: Sequence[UUID] = list(messages)
        for start in range(0, len(ids), PORTION):
            if self._preview.full:
                return
            portion = await journaled.these(connection, ids[start : start + PORTION])
            chosen = [Journaled(envelope, messages[envelope.id]) for envelope in portion]
            for effect in await self._preview.of(connection, chosen):
                yield self._changes(effect)

    def _labels(self, message: Ended) -> tuple[str | None, ...]:
        of = message.message_type, message.facility
        return self._running.label(*of), self._changed.label(*of), ORDER_ANSWER

    def _changes(self, effect: Effect) -> list[Change]:
        envelope, found = effect.understood.envelope, list[Change]()
        for reference, leaves in effect.changed.items():
            if not leaves:
                found.append((Kind(What.ADDED, _type(reference)), Example(envelope.id, "", reference)))
            found += [self._difference.of_leaf(What.RECORDED, envelope, reference, leaf) for leaf in leaves]
        for left in effect.left:
            if left.reference in self._affected:
                where = [f"{_type(left.reference)}.{element}" for element in left.elements] or [_type(left.reference)]
                found += [(Kind(What.LEFT, each), Example(envelope.id, left.reference, "")) for each in where]
        found += [(Kind(What.STAYS, _type(each)), Example(envelope.id, each, "")) for each in effect.stays]
        return found


def _type(reference: str) -> str:
    return reference.partition("/")[0]
