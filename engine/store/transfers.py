"""Which studies move between hubs, and how far have they come?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum

from engine.errors import NotFoundError
from engine.store.database import Connection

KEPT = timedelta(days=30)
"""What ended before is told by the studies and deliveries themselves."""


class Direction(StrEnum):
    IN = "in"
    OUT = "out"


@dataclass(frozen=True, slots=True)
class Transfer:
    """One study on its way.

    name  hash of what was announced: the same on both sides
    peer  who sends it to us, or the endpoint that it goes to
    """

    name: str
    direction: Direction
    peer: str
    facility: str
    study_uid: str
    objects: int
    total_bytes: int
    done_bytes: int


@dataclass(frozen=True, slots=True)
class TransferLine:
    """A transfer and how it stands. `state` is moving, whole or refused (something of it cannot be stored)."""

    direction: str
    peer: str
    facility: str
    study_uid: str
    objects: int
    total_bytes: int
    done_bytes: int
    state: str
    started_at: datetime
    updated_at: datetime


_LINE_COLUMNS = ", ".join(field.name for field in fields(TransferLine))


async def stored(connection: Connection, contents: Sequence[tuple[str, str, bytes]]) -> set[tuple[str, str, bytes]]:
    """Those of (SOP Instance UID, facility, SHA-256) that were stored, also where they are not served as they came."""
    rows = await connection.fetch(
        """
        with asked as (select * from unnest($1::text[], $2::text[], $3::bytea[]) a (sop_uid, facility, sha256))
        select sop_uid, facility, sha256 from instance join asked using (sop_uid, facility, sha256)
        union select sop_uid, facility, sha256 from instance_as_sent join asked using (sop_uid, facility, sha256)
        """,
        [sop_uid for sop_uid, _, _ in contents],
        [facility for _, facility, _ in contents],
        [sha256 for _, _, sha256 in contents],
    )
    return {(row["sop_uid"], row["facility"], bytes(row["sha256"])) for row in rows}


async def decided(connection: Connection, study_uid: str, facility: str) -> int:
    """How often something was decided of a study; until the transaction ends nothing is."""
    times: int | None = await connection.fetchval(
        "select statements from study where uid = $1 and facility = $2 for share", study_uid, facility
    )
    return times or 0


async def begun(connection: Connection, transfer: Transfer, at: datetime) -> None:
    """Begins one, or goes on with it."""
    await connection.execute(
        """
        insert into study_transfer
            (name, direction, peer, facility, study_uid, objects, total_bytes, done_bytes, state,
             started_at, updated_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, 'moving', $9, $9)
        on conflict (direction, peer, name) do update
        set total_bytes = excluded.total_bytes, done_bytes = excluded.done_bytes, state = 'moving', updated_at = $9
        """,
        transfer.name,
        transfer.direction,
        transfer.peer,
        transfer.facility,
        transfer.study_uid,
        transfer.objects,
        transfer.total_bytes,
        transfer.done_bytes,
        at,
    )


async def moved(
    connection: Connection, name: str, direction: Direction, peer: str, done_bytes: int, at: datetime
) -> None:
    await connection.execute(
        """
        update study_transfer set done_bytes = $4, updated_at = $5
        where name = $1 and direction = $2 and peer = $3 and state = 'moving'
        """,
        name,
        direction,
        peer,
        done_bytes,
        at,
    )


async def ended(
    connection: Connection, name: str, direction: Direction, peer: str, *, whole: bool, at: datetime
) -> None:
    await connection.execute(
        """
        update study_transfer
        set state = case when $4 then 'whole' else 'refused' end, updated_at = $5,
            done_bytes = case when $4 then total_bytes else done_bytes end
        where name = $1 and direction = $2 and peer = $3
        """,
        name,
        direction,
        peer,
        whole,
        at,
    )


async def stopped(
    connection: Connection, direction: Direction, peer: str, facility: str, study_uid: str, *, apart_from: str = ""
) -> None:
    """What moved of a study does not any more: it goes under another name now, `apart_from`, or not at all."""
    await connection.execute(
        """
        delete from study_transfer
        where direction = $1 and peer = $2 and facility = $3 and study_uid = $4 and name <> $5 and state = 'moving'
        """,
        direction,
        peer,
        facility,
        study_uid,
        apart_from,
    )


async def dropped(connection: Connection, name: str, direction: Direction, peer: str) -> None:
    """Nobody goes on with one."""
    await connection.execute(
        "delete from study_transfer where name = $1 and direction = $2 and peer = $3", name, direction, peer
    )


async def facility_of(connection: Connection, name: str, direction: Direction, peer: str) -> str:
    """Raises NotFoundError."""
    facility: str | None = await connection.fetchval(
        "select facility from study_transfer where name = $1 and direction = $2 and peer = $3", name, direction, peer
    )
    if facility is None:
        raise NotFoundError("nothing is known of this transfer", code="transfer-unknown")
    return facility


async def listed(connection: Connection, limit: int) -> list[TransferLine]:
    """Those that move, then those that ended last."""
    rows = await connection.fetch(
        f"""
        select {_LINE_COLUMNS}
        from study_transfer order by state = 'moving' desc, updated_at desc limit $1
        """,
        limit,
    )
    return [TransferLine(**row) for row in rows]


async def transfers_of(connection: Connection, uid: str, facility: str) -> list[TransferLine]:
    """How a study moves, or moved, between this hub and others; the newest first."""
    rows = await connection.fetch(
        f"""
        select {_LINE_COLUMNS}
        from study_transfer where study_uid = $1 and facility = $2 order by updated_at desc, direction, peer
        """,
        uid,
        facility,
    )
    return [TransferLine(**row) for row in rows]


async def forget(connection: Connection, before: datetime) -> None:
    """Also what neither side has gone on with since."""
    await connection.execute("delete from study_transfer where updated_at < $1", before)
