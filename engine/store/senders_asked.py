"""Which process asks the sender of a study what it has, and has it answered? Written in the state of the study."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from engine.store.claims import claim_in_turn
from engine.store.database import Connection


class Turn(Enum):
    """Whether a process may ask the sender of a study."""

    NOW = "now"
    LATER = "later"
    """As many senders of the channel are being asked as may be; the study stays due."""
    NEVER = "never"
    """Another process asks, or has asked and judged it."""


async def claim(
    connection: Connection, uid: str, facility: str, channel: str, at: datetime, until: datetime, most: int
) -> Turn:
    """Whether a study's sender is ours to ask until a moment.

    most  senders of its channel that are asked at the same time, by all processes together
    """
    async with connection.transaction():
        await claim_in_turn(connection, f"ask {channel}")  # who counts, counts whoever has claimed before
        asked = await connection.fetchval(
            """
            select (select count(*) from study_state where channel = $3 and asking_until > $4) from study_state
            where uid = $1 and facility = $2 and look_at <= $4 and (asking_until is null or asking_until <= $4)
            for update
            """,
            uid,
            facility,
            channel,
            at,
        )
        if asked is None:
            return Turn.NEVER
        if asked >= most:
            return Turn.LATER
        await connection.execute(
            "update study_state set asking_until = $3 where uid = $1 and facility = $2", uid, facility, until
        )
        return Turn.NOW


async def claim_longer(connection: Connection, uid: str, facility: str, old: datetime, until: datetime) -> bool:
    """By whoever has claimed it until `old`, and asks still; False where it is no longer theirs."""
    status: str = await connection.execute(
        "update study_state set asking_until = $4 where uid = $1 and facility = $2 and asking_until = $3",
        uid,
        facility,
        old,
        until,
    )
    return status.endswith("1")


async def answered(connection: Connection, uid: str, facility: str, at: datetime) -> None:
    """The sender of a study has answered what it has."""
    await connection.execute("update study_state set asked_at = $3 where uid = $1 and facility = $2", uid, facility, at)


async def end(connection: Connection, uid: str, facility: str, until: datetime) -> None:
    """Whoever asked, and had it claimed until a moment, has judged the study by what was answered, or was not."""
    await connection.execute(
        "update study_state set asking_until = null where uid = $1 and facility = $2 and asking_until = $3",
        uid,
        facility,
        until,
    )


async def ask_again(connection: Connection, uid: str, facility: str, at: datetime) -> None:
    """The sender of a study is asked, and the study judged, once more; what it said before counts until it answers."""
    await connection.execute(
        "update study_state set asked_at = null, look_at = $3 where uid = $1 and facility = $2", uid, facility, at
    )
