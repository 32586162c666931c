"""What would processing these messages again change of the record? Worked out as replay does it; nothing is written.

The messages come in the order of the journal, portion by portion. What one of them would change, the later ones find
changed: only that is remembered, not the resources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from engine.codecs import fhir_json
from engine.envelope import Envelope, arrived_at
from engine.orders import accessions_of, numbered, study_uids_of
from engine.recording.complete_orders import (
    completed,
    is_completed_by,
    may_complete,
    reports_on,
    states_of,
    to_be_completed,
)
from engine.recording.late import History, Late, Withheld, spoken_in
from engine.recording.state_resources import Put, state_resources
from engine.replay.pairing import Leaf, differing
from engine.replay.world import World
from engine.store import records
from engine.store.database import Connection
from engine.store.versions import Version
from engine.understanding import Understood, understand

Resource = dict[str, Any]

MOST_CHANGED = 500_000
"""Resources whose changes are remembered: some hundred bytes each."""


class Journaled(NamedTuple):
    """A message as it lies in the journal, and its place in its lanes."""

    envelope: Envelope
    place: UUID


@dataclass(frozen=True, slots=True)
class Effect:
    """What replaying one message would come to.

    changed  by reference, what would be recorded otherwise; a resource that is not there yet has no leaves
    left     what stays because something newer says otherwise
    stays    what is said no more and stays on record
    """

    understood: Understood
    changed: dict[str, list[Leaf]] = field(default_factory=dict)
    left: list[Withheld] = field(default_factory=list)
    stays: list[str] = field(default_factory=list)


class _Change(NamedTuple):
    """What one message would change of one resource: elements with their values, None for one that goes."""

    envelope: UUID
    place: UUID
    elements: Resource


class Preview:
    """Replays messages by a configuration in memory, over the record as it is."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._changes: dict[str, list[_Change]] = {}
        self._reports: dict[str, set[str]] = {}
        """By order, the reports on it of which something would change: some are on no record yet."""

    @property
    def full(self) -> bool:
        """Whether more changes than can be remembered have been met: what comes now would not be told rightly."""
        return len(self._changes) > MOST_CHANGED

    def elements(self, reference: str) -> Resource:
        """What a resource would say otherwise after all of these messages; None is an element that would go."""
        said: Resource = {}
        for change in self._changes.get(reference, ()):
            said |= change.elements
        return said

    async def of(self, connection: Connection, messages: Sequence[Journaled]) -> list[Effect]:
        """One for each of these messages that is understood; a few round trips for all of them."""
        world, places = self._world, {message.envelope.id: message.place for message in messages}
        walks = [understand(message.envelope, world.community, world.mappings) for message in messages]
        walks = [walk for walk in walks if not walk.holds]
        late = {walk.envelope.id: Late(places[walk.envelope.id], replayed=True) for walk in walks}
        history = await History.of(connection, walks, late)
        mentioned = {reference for walk in walks for reference in walk.only_if_missing}
        mentioned |= await self._reports_on(connection, walks)
        there = await records.read_many(connection, mentioned - history.versions.keys())
        record = _Record(history, {reference: one.body for reference, one in there.items()})
        for reference in {each for walk in walks for each in spoken_in(walk)} | mentioned:
            for change in self._changes.get(reference, ()):
                record.apply(reference, change)
        return [self._replay(walk, late[walk.envelope.id], record) for walk in walks]

    async def _reports_on(self, connection: Connection, walks: Sequence[Understood]) -> set[str]:
        """Every report that would complete one of the orders that these messages name, or keep it open."""
        orders = {
            f"ServiceRequest/{resource['id']}"
            for walk in walks
            for resource in walk.resources
            if resource["resourceType"] == "ServiceRequest"
        }
        would_be = {report for order in orders for report in self._reports.get(order, ())}
        return would_be | await reports_on(connection, orders) if orders else would_be

    def _replay(self, walk: Understood, late: Late, record: _Record) -> Effect:
        before: dict[str, Resource | None] = {}

        def put(resource: Resource) -> None:
            reference = f"{resource['resourceType']}/{resource['id']}"
            before.setdefault(reference, record.current.get(reference))
            record.current[reference] = resource

        stated = state_resources(walk, late, record.history, record.current.get, put)
        _complete_orders(walk, late, record, before, put)
        facility = walk.envelope.facility
        left, stays = list(dict.fromkeys(stated.withheld)), record.history.said_no_more(walk, [*spoken_in(walk)])
        effect = Effect(walk, left=left, stays=stays)
        for reference, had in before.items():
            has = record.current[reference] = _as_an_order_goes(had, record.current[reference], facility)
            if fhir_json.same(had, has):
                continue
            effect.changed[reference] = list(differing(had, has)) if had is not None else []
            change = _Change(walk.envelope.id, late.place, _elements(had or {}, has))
            self._changes.setdefault(reference, []).append(change)
            record.told(reference, change)
            for order in states_of([has]) if reference.startswith("DiagnosticReport/") else ():
                self._reports.setdefault(order, set()).add(reference)
        return effect


class _Record:
    """The resources that some messages speak of, as they would be by now."""

    def __init__(self, history: History, mentioned: Mapping[str, Resource]) -> None:
        self._versions = {reference: [*versions] for reference, versions in history.versions.items()}
        self.history = History(self._versions, history.spoken)
        self.current: dict[str, Resource] = {**mentioned} | {
            reference: versions[-1].body for reference, versions in self._versions.items()
        }

    def apply(self, reference: str, change: _Change) -> None:
        """What an earlier portion would have changed."""
        body = {**self.current.get(reference, {}), **change.elements}
        self.current[reference] = {element: value for element, value in body.items() if value is not None}
        self.told(reference, change)

    def told(self, reference: str, change: _Change) -> None:
        """The version that is current now would be this message's."""
        versions = self._versions.setdefault(reference, [])
        at = versions[-1].last_updated if versions else arrived_at(change.place)
        versions.append(Version(self.current[reference], at, change.place, change.envelope))


def _complete_orders(
    walk: Understood, late: Late, record: _Record, before: Mapping[str, Resource | None], put: Put
) -> None:
    """As `engine/recording/complete_orders.py` does. `before`: what this message has changed, as it was."""
    here = record.current.get
    asked = list(to_be_completed(walk, lambda order: before[order] if order in before else here(order), here))
    if not asked:
        return
    states = states_of(body for each, body in record.current.items() if each.startswith("DiagnosticReport/"))
    for order in asked:
        if is_completed_by(states.get(order, ())) and may_complete(late, record.history, order):
            put(completed(record.current[order]))


def _elements(had: Resource, has: Resource) -> Resource:
    return {name: has.get(name) for name in had.keys() | has.keys() if not _equal(had.get(name), has.get(name))}


def _equal(one: Any, other: Any) -> bool:
    return bool(one == other) and fhir_json.dumps(one) == fhir_json.dumps(other)


def _as_an_order_goes(had: Resource | None, has: Resource, facility: str) -> Resource:
    """An order keeps the numbers that it goes by, in front of those that a message says."""
    if had is None or has["resourceType"] != "ServiceRequest":
        return has
    accessions, studies = accessions_of(had), study_uids_of(had)
    return numbered(has, facility, accessions[0], studies[0]) if accessions and studies else has
