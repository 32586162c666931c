"""How are understood envelopes recorded and routed? Everything they say, in the caller's one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from uuid import UUID

from engine import routing
from engine.config import Community
from engine.envelope import EnvelopeIds, Kind
from engine.recording.book import Book
from engine.recording.change_visits import change_visits
from engine.recording.complete_orders import complete_orders
from engine.recording.follow_orders import follow_orders
from engine.recording.identify import identify
from engine.recording.join_people import join_people, joined_by
from engine.recording.late import NOBODY, History, Late
from engine.recording.link_studies import link_studies
from engine.recording.owe_imaging import owe_imaging
from engine.recording.perform_steps import perform_steps
from engine.recording.place_orders import place_moved_orders, place_orders
from engine.recording.replayed import Replayed, of_what_stays, replayed
from engine.recording.state_resources import doubtful, state_resources
from engine.recording.unplaced_orders import tell_unplaced_orders
from engine.recording.waiting_steps import link_waiting_steps
from engine.recording.work import Work
from engine.store import audit, findings, outbox, performed_steps, reconcile_cases, worklist
from engine.store.database import Connection
from engine.studies import DECIDED, UNLINKED
from engine.understanding import Understood


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was written or confirmed, for each envelope: `Patient/…@3`; and what those that are late came to."""

    resources: dict[UUID, list[str]] = field(default_factory=dict)
    replays: dict[UUID, Replayed] = field(default_factory=dict)


async def record(
    connection: Connection,
    walks: Sequence[Understood],
    community: Community,
    ids: EnvelopeIds,
    at: datetime,
    late: Mapping[UUID, Late] = NOBODY,
    book: Book | None = None,
) -> Recorded:
    """Records, identifies and routes what these envelopes say; none of them shares a lane with another.

    `late` names those whose turn was before others that are recorded already; `book` holds what this transaction has
    read before.
    Raises VersionConflict when another transaction changed one of their resources: begin again.
    """
    work = Work(connection, community, book or Book(connection), at, late)
    await _put_resources(work, [walk for walk in walks if walk.envelope.kind is Kind.HL7V2])
    await complete_orders(work, [walk for walk in walks if walk.envelope.kind is Kind.HL7V2])
    await place_orders(work, [walk for walk in walks if walk.envelope.kind is Kind.HL7V2])
    await follow_orders(work, [walk for walk in walks if walk.envelope.kind is Kind.HL7V2])
    await link_studies(work, [walk for walk in walks if walk.manifest is not None])
    await perform_steps(work, [walk for walk in walks if walk.performed is not None])
    await change_visits(work, walks)
    await place_moved_orders(work)
    await tell_unplaced_orders(work, walks)
    await _identify_patients(work, joined_by(walks))
    await join_people(work, walks)
    _raise_own_findings(work, walks)
    replays = {walk.envelope.id: replayed(work, walk) for walk in walks if walk.envelope.id in late}
    _raise_what_stays(work, walks, replays)

    await work.book.write(at)
    performed = await link_waiting_steps(work)
    await worklist.put(connection, list(work.steps.values()))
    await performed_steps.perform(connection, performed)
    await reconcile_cases.put(connection, work.cases, at)
    await reconcile_cases.close(connection, work.linked_studies, UNLINKED)
    for key in work.decided:
        for code in sorted(DECIDED - work.cases[key]):
            await findings.settle(connection, code, key.reference, "It was decided in the reconcile queue.", at)
    for study in work.linked_studies:
        for code in UNLINKED:
            await findings.settle(connection, code, study, "The study was linked to its order.", at)
    for study in work.came_otherwise:
        await findings.settle(connection, "study-without-order", study, "The order came: it is of another patient.", at)
    for code, about, how in work.settled:
        await findings.settle(connection, code, about, how, at)
    await findings.raise_many(connection, await findings.not_told_before(connection, work.raised, set(late)), at)
    owing = [walk for walk in walks if walk.envelope.id not in late or late[walk.envelope.id].owes]
    await outbox.owe(connection, _owed(owing, community, ids, at), at)
    await owe_imaging(work, owing, ids)
    recorded = Recorded({walk.envelope.id: work.written_for(walk.envelope.id) for walk in walks}, replays)
    await audit.write(
        connection,
        [
            audit.Audited(audit.SYSTEM, "record", f"Envelope/{envelope}", {"resources": len(written)})
            for envelope, written in recorded.resources.items()
        ],
        at,
    )
    return recorded


async def _put_resources(work: Work, walks: Sequence[Understood]) -> None:
    await work.book.load(reference for walk in walks for reference in walk.by_reference)
    work.history = await History.of(work.connection, walks, work.late, set(doubtful(walks, work.book.get)))
    for walk in walks:
        late = work.late.get(walk.envelope.id)
        stated = state_resources(walk, late, work.history, work.book.get, partial(work.put, walk=walk))
        work.withheld[walk.envelope.id] = stated.withheld
        for each in stated.too_late:
            if each.finding is not None and not work.replayed(walk):
                work.find(each.finding, walk, each.reference)


async def _identify_patients(work: Work, joined: Collection[str]) -> None:
    """Only patients that this transaction changes: what is unchanged was identified when it was written."""
    for one in await identify(work.connection, work.book, work.changed_patients(), work.at, joined):
        for finding in one.findings:
            work.raised.append(findings.Raised(finding, one.envelope, f"Patient/{one.source}"))


def _raise_own_findings(work: Work, walks: Sequence[Understood]) -> None:
    for walk in walks:
        patient = next((r["id"] for r in walk.resources if r["resourceType"] == "Patient"), "")
        for finding in walk.findings:
            about = f"{walk.envelope.facility} {finding.once}" if finding.once else None
            work.find(finding, walk, about, patient)


def _raise_what_stays(work: Work, walks: Sequence[Understood], replays: Mapping[UUID, Replayed]) -> None:
    for walk in walks:
        if walk.envelope.id in replays:
            for finding in of_what_stays(walk, replays[walk.envelope.id].stays):
                work.find(finding, walk, f"{walk.envelope.facility} {finding.once}")


def _owed(walks: Sequence[Understood], community: Community, ids: EnvelopeIds, at: datetime) -> list[outbox.Owed]:
    """Copies of messages that routes send on, byte for byte."""
    return [
        outbox.Owed(
            ids.next(at),
            target.endpoint,
            walk.envelope.control_id,
            walk.envelope.payload,
            target.route,
            envelope=walk.envelope.id,
        )
        for walk in walks
        if walk.envelope.kind is Kind.HL7V2
        for target in routing.message_received(
            community, facility=walk.envelope.facility, message_type=walk.envelope.message_type
        )
    ]
