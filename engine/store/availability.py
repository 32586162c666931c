"""Which instances do others say are available, and from whom? The newest notice of each (PS3.4 annex R)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime

from engine.store.database import Connection


@dataclass(frozen=True, slots=True)
class Available:
    """An instance. availability  ONLINE, NEARLINE, OFFLINE or UNAVAILABLE; retrieve_ae  whom to ask for it."""

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class: str
    availability: str
    retrieve_ae: str


_COLUMNS = [field.name for field in fields(Available)]


async def changed(connection: Connection, study_uid: str, facility: str, channel: str) -> None:
    """Marks, in the caller's transaction, a study of which others may have to hear that it is available here."""
    await connection.execute(
        "insert into study_to_announce (uid, facility, channel) values ($1, $2, $3) on conflict do nothing",
        study_uid,
        facility,
        channel,
    )


async def take_changed(connection: Connection, channel: str, limit: int) -> list[tuple[str, str]]:
    """Takes, in the caller's transaction, marked studies and their facilities, for others to be told."""
    rows = await connection.fetch(
        """
        delete from study_to_announce where (uid, facility) in (
            select uid, facility from study_to_announce where channel = $1
            order by uid, facility limit $2 for update skip locked)
        returning uid, facility
        """,
        channel,
        limit,
    )
    return [(row["uid"], row["facility"]) for row in rows]


async def put(
    connection: Connection, facility: str, ae_title: str, instances: Sequence[Available], at: datetime
) -> None:
    """Writes what one application entity says, over what it said of the same instances before."""
    await connection.executemany(
        f"""
        insert into available_instance (facility, ae_title, told_at, {", ".join(_COLUMNS)})
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        on conflict (facility, ae_title, sop_uid) do update
        set told_at = excluded.told_at, {", ".join(f"{c} = excluded.{c}" for c in _COLUMNS if c != "sop_uid")}
        """,
        [(facility, ae_title, at, *astuple(one)) for one in instances],
    )


async def of_study(connection: Connection, study_uid: str, facility: str) -> list[tuple[str, Available]]:
    """What is said of a study's instances, with the AE title of who says it."""
    rows = await connection.fetch(
        f"""
        select ae_title, {", ".join(_COLUMNS)} from available_instance
        where study_uid = $1 and facility = $2 order by ae_title, series_uid, sop_uid
        """,
        study_uid,
        facility,
    )
    return [(row["ae_title"], Available(**{name: row[name] for name in _COLUMNS})) for row in rows]
