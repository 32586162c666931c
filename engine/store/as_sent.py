"""What was sent of a study, and what is served of it?

What is served stands in `instance`, so queries know nothing of statements; what was sent stands in `instance_as_sent`
for as long as it differs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from engine.store.database import Connection
from engine.store.instances import INSTANCE_COLUMNS, Instance
from engine.store.statements import Sent


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it was sent, and what is served of it now. `hidden` says why nothing is."""

    sent: Instance
    served_sop_uid: str
    served_study_uid: str
    served_series_uid: str
    served_location: str
    served_conflict: bool
    served_tags: str
    hidden: str

    @property
    def as_sent(self) -> Sent:
        sent = self.sent
        return Sent(sent.sop_uid, sent.study_uid, sent.series_uid, sent.sha256, sent.conflict)


async def attributes_of(connection: Connection, facility: str, study_uid: str) -> dict[str, str]:
    """What is said of a study and its patient as it is served; nothing where nothing of it is."""
    tags = await connection.fetchval(
        "select tags from study_search where facility = $1 and uid = $2", facility, study_uid
    )
    told: dict[str, str] = json.loads(tags) if tags else {}
    return told


async def facilities_of(connection: Connection, study_uid: str) -> list[str]:
    """The facilities that have a study under this UID."""
    rows = await connection.fetch("select facility from study where uid = $1 order by facility", study_uid)
    return [row["facility"] for row in rows]


async def was_sent(connection: Connection, facility: str, studies: Iterable[str]) -> bool:
    """Whether some other system has taken an object of these studies."""
    sent: bool = await connection.fetchval(
        "select exists (select from sent_instance where facility = $1 and study_uid = any($2) and taken)",
        facility,
        sorted(set(studies)),
    )
    return sent


def tags_of(stored: Stored) -> dict[str, str]:
    """What is served of an object by the names of the index; of one that is hidden what it says itself."""
    told: dict[str, str] = json.loads(stored.served_tags)
    return told


async def stored(connection: Connection, facility: str, studies: Iterable[str]) -> list[Stored]:
    """Every object that was sent as part of these studies, or is served as part of them; in the order of arrival."""
    return await _stored(
        connection,
        "i.study_uid = any($2)",
        "a.study_uid = any($2) or a.served_study_uid = any($2)",
        facility,
        sorted(set(studies)),
    )


async def contents_of(connection: Connection, facility: str, sop_uid: str) -> list[Stored]:
    """Every object that was sent under a SOP Instance UID."""
    return await _stored(connection, "i.sop_uid = $2", "a.sop_uid = $2", facility, sop_uid)


async def _stored(
    connection: Connection, as_sent: str, changed: str, facility: str, of: str | list[str]
) -> list[Stored]:
    rows = await connection.fetch(
        f"""
        select {_of("i")}, i.sop_uid as served_sop_uid, i.study_uid as served_study_uid,
               i.series_uid as served_series_uid, i.location as served_location, i.conflict as served_conflict,
               i.tags as served_tags, '' as hidden
        from instance i where i.facility = $1 and {as_sent} and not exists (
            select from instance_as_sent a
            where a.served_sop_uid = i.sop_uid and a.facility = i.facility and a.sha256 = i.sha256 and a.hidden = '')
        union all
        select {_of("a")}, a.served_sop_uid, a.served_study_uid, coalesce(i.series_uid, a.series_uid),
               coalesce(i.location, ''), coalesce(i.conflict, false),
               coalesce(i.tags, a.tags), a.hidden
        from instance_as_sent a left join instance i
          on i.sop_uid = a.served_sop_uid and i.facility = a.facility and i.sha256 = a.sha256 and a.hidden = ''
        where a.facility = $1 and ({changed})
        order by stored_at, sop_uid, sha256
        """,
        facility,
        of,
    )
    return [
        Stored(
            Instance(**{name: row[name] for name in INSTANCE_COLUMNS}),
            **{name: row[name] for name in Stored.__slots__ if name != "sent"},
        )
        for row in rows
    ]


def _of(table: str) -> str:
    return ", ".join(f"{table}.{name}" for name in INSTANCE_COLUMNS)
