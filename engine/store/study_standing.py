"""What has come of one study, series by series, and what of each is missing? For somebody who looks at that study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from engine.store.database import Connection


@dataclass(frozen=True, slots=True)
class SeriesStanding:
    """A series that came, or was announced.

    instances  how many are there
    announced  how many it has, as the one says who says most; 0 where nobody said it
    missing    SOP Instance UIDs that were announced of it and have not come; an empty `uid` has those of which nobody
               said the series
    """

    uid: str
    modality: str
    number: int | None
    description: str
    instances: int
    announced: int
    missing: list[str]


@dataclass(frozen=True, slots=True)
class Waived:
    """Somebody said that instances will not come; `statements` counts the announcements that this holds for."""

    by: str
    why: str
    at: datetime
    statements: int


async def series_of(connection: Connection, uid: str, facility: str, missing: Sequence[str]) -> list[SeriesStanding]:
    """Every series of a study by its number, those that never came last. `missing`: of the whole study."""
    placed = await connection.fetch(
        """
        select m.sop_uid, coalesce(max(a.series_uid), '') as series_uid
        from unnest($3::text[]) as m (sop_uid)
        left join announced_instance a on a.study_uid = $1 and a.facility = $2 and a.sop_uid = m.sop_uid
        group by m.sop_uid order by m.sop_uid
        """,
        uid,
        facility,
        list(missing),
    )
    absent: dict[str, list[str]] = {}
    for row in placed:
        absent.setdefault(row["series_uid"], []).append(row["sop_uid"])
    rows = await connection.fetch(
        """
        with said as (
            select series_uid as uid,
                   greatest(count(distinct sop_uid) filter (where sop_uid <> ''), max(count)) as number
            from announced_instance
            where study_uid = $1 and facility = $2 and waived_at is null and series_uid <> '' group by series_uid
        ), here as (
            select uid, modality, number, coalesce(tags ->> 'series_description', '') as description, instances
            from series where study_uid = $1 and facility = $2
        )
        select coalesce(here.uid, said.uid) as uid, coalesce(modality, '') as modality, here.number,
               coalesce(description, '') as description, coalesce(instances, 0) as instances,
               coalesce(said.number, 0) as announced
        from here full join said on said.uid = here.uid
        order by here.uid is null, here.number nulls last, 1
        """,
        uid,
        facility,
    )
    found = [SeriesStanding(**row, missing=absent.pop(row["uid"], [])) for row in rows]
    return found + [SeriesStanding(series, "", None, "", 0, 0, uids) for series, uids in sorted(absent.items())]


async def waived_of(connection: Connection, uid: str, facility: str) -> list[Waived]:
    """What persons said will not come of a study, the oldest first."""
    rows = await connection.fetch(
        """
        select waived_by as by, waived_why as why, waived_at as at, count(*) as statements from announced_instance
        where study_uid = $1 and facility = $2 and waived_at is not null group by 1, 2, 3 order by 3, 1
        """,
        uid,
        facility,
    )
    return [Waived(**row) for row in rows]
