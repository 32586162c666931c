"""How is the walk of one envelope told? Its steps in order, and below them everything that it left behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel

from engine.api.caller import Caller
from engine.api.console import processing
from engine.api.console.deliveries import Delivery, shown
from engine.api.console.payloads import PayloadText, decoded
from engine.api.console.processing import How, Processing, RecordedResource
from engine.codecs import acknowledgment
from engine.config.community import Community, Role
from engine.store import audit, delivery_list, finding_list, processings, walks
from engine.store.audit import Act
from engine.store.database import Connection
from engine.store.finding_list import FindingLine
from engine.store.walks import StoredPayload, WalkRow

MAY_READ_PAYLOADS = (Role.ADMIN, Role.INTEGRATOR)
LARGEST_SHOWN_BYTES = 262_144
"""A larger payload is fetched by itself; an answer with a hundred of them would not fit a browser."""
MOST_SHOWN_PAYLOADS = 20
"""Of the newest envelopes. Whoever looks for one number has not asked to read a hundred messages."""

_NAMED_FIELDS = 8


class StepState(StrEnum):
    DONE = "done"
    WAITING = "waiting"
    """It will come by itself."""
    STOPPED = "stopped"
    """It will not, until a person settles something."""


class Step(BaseModel):
    """One step of the walk. `note` says in a few words what came of it, never a value of the message."""

    step: str
    state: StepState
    at: datetime | None
    note: str


class EnvelopeWalk(BaseModel):
    """One envelope, from its bytes to what came of it.

    state           accepted, held, processed, refused, skipped or replaced; accepted again while it is replayed
    acknowledgment  the code answered; null while the channel waits for processing to answer
    waits_for       earlier unfinished envelopes of the same patient, the first few
    waiting_behind  how many later ones wait for this one
    acts            what people did with it, and the reasons they gave, the first act first
    asked_by        who released, skipped, corrected or replayed it, where a person did; asked_why: what they said
    processings     every time it was processed, the first one first, each with what it wrote
    finished_at     when it ended first; replayed_at: when it was processed again the last time
    replaces        the envelope that this one is a correction of; replaced_by: the correction of this one
    mapping         of the last time; unmapped: fields that held something no rule of it took
    resources       every version that it ever wrote, and none that it only found to be so already
    payload         null for whoever may not read payloads, where it is too large to show here, and in a long answer
                    for all but the newest envelopes: it is fetched by the envelope's id
    because         why it is in this answer
    """

    id: UUID
    kind: str
    channel: str
    facility: str
    facility_name: str
    peer: str
    received_at: datetime
    message_type: str
    control_id: str
    sha256: str
    payload_bytes: int
    state: str
    acknowledgment: str | None
    attempts: int
    next_attempt_at: datetime | None
    finished_at: datetime | None
    asked_by: str | None
    asked_why: str | None
    acts: list[Act]
    replayed_at: datetime | None
    processings: list[Processing]
    replaces: UUID | None
    replaced_by: UUID | None
    waits_for: list[UUID]
    waiting_behind: int
    mapping: str | None
    unmapped: list[str]
    resources: list[RecordedResource]
    findings: list[FindingLine]
    deliveries: list[Delivery]
    steps: list[Step]
    payload: PayloadText | None
    because: list[str]


async def told(
    connection: Connection,
    caller: Caller,
    config: Community,
    why: Mapping[UUID, Sequence[str]],
    at: datetime,
) -> list[EnvelopeWalk]:
    """The walks of these envelopes, in the order they arrived. Each payload shown leaves an audit row."""
    if not why:
        return []
    rows = await walks.of_envelopes(connection, list(why))
    ids = [row.id for row in rows]
    findings = _by_envelope(await finding_list.about(connection, ids, []))
    deliveries: dict[UUID, list[Delivery]] = {}
    for line in await delivery_list.caused_by(connection, ids, [], []):
        if line.envelope is not None:
            deliveries.setdefault(line.envelope, []).append(shown(line, caller))
    times = await processings.of_envelopes(connection, ids)
    acted = await audit.acts_on(connection, ids)
    payloads: dict[UUID, StoredPayload] = {}
    if caller.may(*MAY_READ_PAYLOADS):
        payloads = await walks.payloads(connection, ids[-MOST_SHOWN_PAYLOADS:], LARGEST_SHOWN_BYTES)
        acts = [audit.Audited(caller.name, "read-payload", f"Envelope/{envelope}") for envelope in payloads]
        await audit.write(connection, acts, at)
    return [
        _walk(
            row,
            config,
            processing.told(times.get(row.id, ()), is_correction=row.replaces is not None),
            findings.get(row.id, []),
            deliveries.get(row.id, []),
            acted.get(row.id, []),
            payloads.get(row.id),
            why[row.id],
        )
        for row in rows
    ]


def _walk(
    row: WalkRow,
    config: Community,
    times: list[Processing],
    findings: list[FindingLine],
    deliveries: list[Delivery],
    acts: list[Act],
    stored: StoredPayload | None,
    because: Sequence[str],
) -> EnvelopeWalk:
    facility = config.facilities.get(row.facility)
    code = _code(row)
    again = [each.at for each in times if each.how is How.REPLAYED]
    return EnvelopeWalk(
        id=row.id,
        kind=row.kind,
        channel=row.channel,
        facility=row.facility,
        facility_name=facility.name if facility else "",
        peer=row.peer,
        received_at=row.received_at,
        message_type=row.message_type,
        control_id=row.control_id,
        sha256=row.sha256,
        payload_bytes=row.payload_bytes,
        state=row.state,
        acknowledgment=code,
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        finished_at=row.finished_at,
        asked_by=row.asked_by,
        asked_why=row.asked_why,
        acts=acts,
        replayed_at=again[-1] if again else None,
        processings=times,
        replaces=row.replaces,
        replaced_by=row.replaced_by,
        waits_for=row.waits_for,
        waiting_behind=row.waiting_behind,
        mapping=row.mapping,
        unmapped=row.unmapped,
        resources=[version for each in times for version in each.wrote],
        findings=findings,
        deliveries=deliveries,
        steps=[
            *_arrival(row, code),
            *_processing(row, times, findings),
            *_routed(row, deliveries),
            *_returns(deliveries),
        ],
        payload=decoded(stored, config) if stored is not None else None,
        because=list(because),
    )


def _arrival(row: WalkRow, code: str | None) -> list[Step]:
    received = Step(
        step="received",
        state=StepState.DONE,
        at=row.received_at,
        note=f"{row.payload_bytes} bytes from {row.peer} on {row.channel}",
    )
    persisted = Step(step="persisted", state=StepState.DONE, at=row.received_at, note=f"sha256 {row.sha256[:12]}…")
    if row.acknowledgment is None:
        waiting = Step(step="acknowledged", state=StepState.WAITING, at=None, note="answered once it is processed")
        return [received, persisted, waiting]
    if not code:
        return [received, persisted]
    return [received, persisted, Step(step="acknowledged", state=StepState.DONE, at=None, note=code)]


def _processing(row: WalkRow, times: Sequence[Processing], findings: Sequence[FindingLine]) -> list[Step]:
    """Every time it was processed is told in `processings`: here stand the first time and the last."""
    done = [*_first_time(times[0]), *_again(times)] if times else []
    match row.state:
        case "accepted":
            waiting = Step(step="processed", state=StepState.WAITING, at=row.next_attempt_at, note=_why_waiting(row))
            return [*done, waiting]
        case "held":
            holding = sorted({f.code for f in findings if f.settled_at is None and f.severity == "error"})
            note = f"held: {', '.join(holding) or 'see its findings'}; waiting behind it: {row.waiting_behind}"
            return [*done, Step(step="processed", state=StepState.STOPPED, at=None, note=note)]
        case _:
            return done


def _first_time(time: Processing) -> list[Step]:
    if time.how not in (How.PROCESSED, How.RELEASED, How.CORRECTED):
        return [Step(step="processed", state=StepState.DONE, at=time.at, note=time.how)]
    return [
        Step(step="mapped", state=StepState.DONE, at=time.at, note=_mapped(time)),
        Step(step="recorded", state=StepState.DONE, at=time.at, note=processing.counted(time)),
    ]


def _again(times: Sequence[Processing]) -> list[Step]:
    if len(times) == 1:
        return []
    last = times[-1]
    came = f"not understood ({last.code})" if last.how is How.REPLAY_REFUSED else processing.counted(last)
    often = f", {len(times) - 1} times" if len(times) > 2 else ""
    note = f"{_mapped(last)}: {came}{often}" if last.mapping else f"{came}{often}"
    return [Step(step="replayed", state=StepState.DONE, at=last.at, note=note)]


def _mapped(time: Processing) -> str:
    mapped = time.mapping or "mapping not known"
    if time.unmapped:
        mapped += f"; unmapped: {', '.join(time.unmapped[:_NAMED_FIELDS])}"
        mapped += " …" if len(time.unmapped) > _NAMED_FIELDS else ""
    return mapped


def _why_waiting(row: WalkRow) -> str:
    if row.waits_for:
        return "waits for earlier ones of the same patient"
    return f"to be tried again; attempts: {row.attempts}" if row.attempts else "next in line"


def _routed(row: WalkRow, deliveries: Sequence[Delivery]) -> list[Step]:
    """To whom it is owed, and by which route; nothing of it where it is owed to nobody."""
    if not deliveries:
        return []
    owed = sorted({f"{delivery.route} → {delivery.endpoint}" for delivery in deliveries})
    at = min(delivery.created_at for delivery in deliveries)
    return [Step(step="routed", state=StepState.DONE, at=at, note=", ".join(owed))]


def _returns(deliveries: Sequence[Delivery]) -> list[Step]:
    states = {
        "owed": StepState.WAITING,
        "delivered": StepState.DONE,
        "refused": StepState.STOPPED,
        "given-up": StepState.DONE,
    }
    return [
        Step(
            step="delivered",
            state=states[delivery.state],
            at=delivery.delivered_at or delivery.next_attempt_at,
            note=f"{delivery.endpoint}: {delivery.last_error or delivery.state}; attempts: {delivery.attempts}",
        )
        for delivery in deliveries
    ]


def _code(row: WalkRow) -> str | None:
    """The code answered; empty for what has no acknowledgment, a study for one."""
    return None if row.acknowledgment is None else acknowledgment.answered_code(row.acknowledgment)


def _by_envelope(findings: Sequence[FindingLine]) -> dict[UUID, list[FindingLine]]:
    by_envelope: dict[UUID, list[FindingLine]] = {}
    for finding in findings:
        if finding.envelope is not None:
            by_envelope.setdefault(finding.envelope, []).append(finding)
    return by_envelope
