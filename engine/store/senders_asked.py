"""Which process asks the sender of a study what it has, and has it answered? Written in the state of the study."""

from __future__ import annotations

from datetime import datetime

from engine.store.database import Connection


async def claim(connection: Connection, uid: str, facility: str, at: datetime, until: datetime) -> bool:
    """Whether a study's sender is ours to ask until a moment: the study is due still, and no other process asks."""
    status: str = await connection.execute(
        """
        update study_state set asking_until = $4
        where uid = $1 and facility = $2 and look_at <= $3 and (asking_until is null or asking_until <= $3)
        """,
        uid,
        facility,
        at,
        until,
    )
    return status.endswith("1")


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
