"""What would a replay of these messages do to the record? Asked of all of them: it is what the replay then tells."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final
from uuid import UUID

from engine.replay.difference import Change, Difference, example
from engine.replay.preview import Effect, Journaled, Preview
from engine.replay.summary import Kind, What
from engine.replay.world import World
from engine.store import journaled
from engine.store.database import Connection
from engine.store.journaled import Looked, Span

PORTION: Final = 100
"""Messages whose resources are read at once."""


class Ahead:
    """Looks span by span, in the order of the journal."""

    def __init__(self, running: World, changed: World) -> None:
        self._difference = Difference(running, changed)
        self._preview = Preview(changed)

    @property
    def full(self) -> bool:
        """Whether so much would change that the rest is not told."""
        return self._preview.full

    async def told(self, connection: Connection, looked: Looked, span: Span) -> AsyncIterator[list[Change]]:
        """What replaying each message of a span would come to."""
        messages = {message.id: message.place for message in await journaled.ended(connection, looked, span)}
        ids: Sequence[UUID] = list(messages)
        for start in range(0, len(ids), PORTION):
            if self._preview.full:
                return
            portion = await journaled.these(connection, ids[start : start + PORTION])
            chosen = [Journaled(envelope, messages[envelope.id]) for envelope in portion]
            for effect in await self._preview.of(connection, chosen):
                yield self._changes(effect)

    def _changes(self, effect: Effect) -> list[Change]:
        envelope, found = effect.understood.envelope, list[Change]()
        for reference, leaves in effect.changed.items():
            if not leaves:
                found.append((Kind(What.ADDED, _type(reference)), example(envelope, reference, "", reference)))
            found += [self._difference.of_leaf(What.RECORDED, envelope, reference, leaf) for leaf in leaves]
        for left in effect.left:
            where = [f"{_type(left.reference)}.{element}" for element in left.elements] or [_type(left.reference)]
            found += [(Kind(What.LEFT, each), example(envelope, left.reference, left.reference)) for each in where]
        found += [(Kind(What.STAYS, _type(each)), example(envelope, each, each)) for each in effect.stays]
        return found


def _type(reference: str) -> str:
    return reference.partition("/")[0]
