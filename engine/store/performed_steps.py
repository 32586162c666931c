"""Which procedure steps are performed, or were? What modalities say (MPPS), and what becomes of their orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from engine.steps import COMPLETED, IN_PROGRESS, PerformedStep, awaited, read, written
from engine.store.claims import claim, claim_in_turn
from engine.store.database import Connection
from engine.store.worklist import Step

_STEP_COLUMNS = ", ".join(field.name for field in fields(Step))
_PERFORMING = {IN_PROGRESS: "in-progress", COMPLETED: "completed"}


@dataclass(frozen=True, slots=True)
class Message:
    """A data set that says something of a step, as it came."""

    channel: str
    peer: str
    transfer_syntax: str
    data_set: bytes


@dataclass(frozen=True, slots=True)
class Unnoticed:
    """A step of which the engine does not know everything yet."""

    step: PerformedStep
    channel: str
    peer: str
    revision: int


async def candidates(
    connection: Connection, facility: str, accessions: Sequence[str], study_uids: Sequence[str]
) -> list[Step]:
    """The steps of a facility's worklist, scheduled or not, that one of these numbers names."""
    rows = await connection.fetch(
        f"""
        select {_STEP_COLUMNS} from worklist
        where facility = $1 and (accession = any($2::text[]) or study_uid = any($3::text[]))
        """,
        facility,
        list(accessions),
        list(study_uids),
    )
    return [Step(**row) for row in rows]


async def lock_numbers(connection: Connection, facility: str, numbers: Sequence[str]) -> None:
    """Lets no order and no step come to these numbers before the caller's transaction ends, but through it.

    An order and the step that performs it may be told of at once: whichever is second sees the first. Taken in one
    order, and before rows of the worklist and of steps are locked.
    """
    await claim_in_turn(connection, *(f"order {facility} {number}" for number in numbers))


async def awaiting(connection: Connection, facility: str, numbers: Sequence[str]) -> list[PerformedStep]:
    """The steps of a facility that wait for an order with one of these numbers; locked."""
    rows = await connection.fetch(
        """
        select told from performed_step
        where facility = $1 and uid in (select step from awaited_order where facility = $1 and number = any($2))
        order by uid for update
        """,
        facility,
        list(numbers),
    )
    return [read(row["told"]) for row in rows]


async def link(connection: Connection, step: PerformedStep, at: datetime) -> None:
    """Says of a locked step which orders it performs, or why none; the gateway tells of it anew.

    Its orders are taken off the worklist by `perform`, once they stand on it.
    """
    await connection.execute(
        """
        update performed_step set orders = $3, told = $4, changed_at = $5, revision = revision + 1
        where uid = $1 and facility = $2
        """,
        step.uid,
        step.facility,
        step.orders,
        written(step).decode(),
        at,
    )
    await connection.execute("delete from awaited_order where facility = $1 and step = $2", step.facility, step.uid)
    await _await(connection, step)
    await judge_studies(connection, step, at)


async def create(connection: Connection, step: PerformedStep, message: Message, at: datetime) -> bool:
    """Adds a step, in the caller's transaction, and takes its orders off the worklist; False when it is there."""
    added = await connection.fetchval(
        """
        insert into performed_step (uid, facility, channel, peer, state, orders, told, created_at, changed_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $8) on conflict do nothing returning revision
        """,
        step.uid,
        step.facility,
        message.channel,
        message.peer,
        step.state,
        step.orders,
        written(step).decode(),
        at,
    )
    if added is None:
        return False
    await _keep(connection, step, 1, message, at)
    await _await(connection, step)
    await perform(connection, step.orders)
    return True


async def locked(connection: Connection, uid: str, facility: str) -> PerformedStep | None:
    """A step, which nobody else changes before the caller's transaction ends."""
    told = await connection.fetchval(
        "select told from performed_step where uid = $1 and facility = $2 for update", uid, facility
    )
    return read(told) if told is not None else None


async def change(connection: Connection, step: PerformedStep, message: Message, at: datetime) -> None:
    """Says what a locked step is now."""
    revision = await connection.fetchval(
        """
        update performed_step set state = $3, told = $4, changed_at = $5, revision = revision + 1
        where uid = $1 and facility = $2 returning revision
        """,
        step.uid,
        step.facility,
        step.state,
        written(step).decode(),
        at,
    )
    await _keep(connection, step, revision, message, at)
    await perform(connection, step.orders)


async def messages(connection: Connection, uid: str, facility: str) -> int:
    """How many messages told of a step of a facility; 0 where there is none."""
    count: int = await connection.fetchval(
        "select count(*) from performed_step_message where uid = $1 and facility = $2", uid, facility
    )
    return count


async def message(connection: Connection, uid: str, facility: str, place: int) -> Message:
    """What was said of a step, the first at place 0."""
    row = await connection.fetchrow(
        """
        select s.channel, m.peer, m.transfer_syntax, m.data_set
        from performed_step_message m join performed_step s using (uid, facility)
        where m.uid = $1 and m.facility = $2 order by m.revision offset $3 limit 1
        """,
        uid,
        facility,
        place,
    )
    return Message(row["channel"], row["peer"], row["transfer_syntax"], bytes(row["data_set"]))


async def judge_studies(connection: Connection, step: PerformedStep, at: datetime) -> None:
    """Has the studies of a step that told of no other objects judged again: it may have ended."""
    await connection.execute(
        """
        with locked as (
            select uid from study_state where uid = any($1::text[]) and facility = $2 order by uid for update
        )
        update study_state ss set look_at = $3 from locked where ss.uid = locked.uid and ss.facility = $2
        """,
        sorted({scheduled.study_uid for scheduled in step.scheduled}),
        step.facility,
        at,
    )


async def unnoticed(connection: Connection, channel: str, limit: int) -> list[Unnoticed]:
    """Steps of which the newest is not in the journal, those that wait longest first."""
    rows = await connection.fetch(
        """
        select told, channel, peer, revision from performed_step
        where noticed_revision < revision and channel = $1 order by changed_at, uid limit $2
        """,
        channel,
        limit,
    )
    return [Unnoticed(read(row["told"]), row["channel"], row["peer"], row["revision"]) for row in rows]


async def claim_unnoticed(connection: Connection, found: Unnoticed) -> Unnoticed | None:
    """The step as it is now; nobody else tells of it before the caller's transaction ends.

    None where another process tells of it, or has.
    """
    if not await claim(connection, f"step {found.step.facility} {found.step.uid}"):
        return None
    row = await connection.fetchrow(
        """
        select told, channel, peer, revision from performed_step
        where uid = $1 and facility = $2 and noticed_revision < revision
        """,
        found.step.uid,
        found.step.facility,
    )
    return Unnoticed(read(row["told"]), row["channel"], row["peer"], row["revision"]) if row is not None else None


async def mark_noticed(connection: Connection, noticed: Unnoticed) -> None:
    await connection.execute(
        """
        update performed_step set noticed_revision = greatest(noticed_revision, $3)
        where uid = $1 and facility = $2
        """,
        noticed.step.uid,
        noticed.step.facility,
        noticed.revision,
    )


async def _keep(connection: Connection, step: PerformedStep, revision: int, message: Message, at: datetime) -> None:
    await connection.execute(
        """
        insert into performed_step_message
            (uid, facility, revision, peer, transfer_syntax, data_set, received_at)
        values ($1, $2, $3, $4, $5, $6, $7)
        """,
        step.uid,
        step.facility,
        revision,
        message.peer,
        message.transfer_syntax,
        message.data_set,
        at,
    )


async def _await(connection: Connection, step: PerformedStep) -> None:
    await connection.execute(
        """
        insert into awaited_order (facility, number, step) select $1, number, $2 from unnest($3::text[]) number
        on conflict do nothing
        """,
        step.facility,
        step.uid,
        awaited(step),
    )


async def perform(connection: Connection, orders: Sequence[str]) -> None:
    """Whether somebody performs an order decides whether it is offered: what was discontinued may be begun again.

    The rows are locked in one order before it is asked, so that two steps of one order take turns.
    """
    locked = await connection.fetch(
        "select service_request from worklist where service_request = any($1) order by 1 for update", list(orders)
    )
    for row in locked:
        states = await connection.fetch(
            "select distinct state from performed_step where orders @> array[$1::text]", row["service_request"]
        )
        found = {state["state"] for state in states}
        performing = next((word for state, word in reversed(_PERFORMING.items()) if state in found), "")
        await connection.execute(
            "update worklist set performing = $2 where service_request = $1", row["service_request"], performing
        )
