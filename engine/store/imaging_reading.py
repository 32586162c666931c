"""Which stored objects are a study, a series or an instance, and where do they lie? For those who fetch them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.store.database import Connection


@dataclass(frozen=True, slots=True)
class Held:
    """One object that is served.

    sha256    of its data set
    charset   the Python codec that its text was read with
    declared  its Specific Character Set, as written
    """

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class: str
    facility: str
    sha256: bytes
    transfer_syntax: str
    modality: str
    location: str
    charset: str
    declared: str


_COLUMNS = """
    i.study_uid, i.series_uid, i.sop_uid, i.sop_class, i.facility, i.sha256, i.transfer_syntax, i.modality, i.location,
    i.charset ->> 'used' as charset, i.charset ->> 'declared' as declared
"""


@dataclass(frozen=True, slots=True)
class Named:
    """One object by its UIDs, and the facility that asks for it."""

    facility: str
    study_uid: str
    series_uid: str
    sop_uid: str


SERIES_MOST = 2000
"""Objects of one series that are read at once; longer ones are seldom, and looked into by their instances."""


async def of_series(connection: Connection, series: Sequence[tuple[str, str, str]]) -> list[tuple[int, Held]]:
    """The first objects of each series, with the place of the series in what was asked, each as `of_instances` chooses.

    series  the facility that asks, Study and Series Instance UID
    """
    if not series:
        return []
    rows = await connection.fetch(
        f"""
        select n.place, {_COLUMNS}
        from unnest($1::text[], $2::text[], $3::text[]) with ordinality as n (asks, study, series, place)
        join lateral (
            select * from (
                select distinct on (sop_uid) * from instance
                where study_uid = n.study and series_uid = n.series and not conflict
                order by sop_uid, facility = n.asks desc, stored_at, sha256
            ) one order by number nulls last, sop_uid limit {SERIES_MOST}
        ) i on true
        """,
        *map(list, zip(*series, strict=True)),
    )
    return [(row["place"] - 1, _held(row)) for row in rows]


async def of_instances(connection: Connection, named: Sequence[Named]) -> list[Held | None]:
    """Of each that of its facility where it has one under these UIDs, else the first that came; None where none is.

    Content that came later under a used SOP Instance UID is never served in its place.
    """
    if not named:
        return []
    rows = await connection.fetch(
        f"""
        select n.place, {_COLUMNS}
        from unnest($1::text[], $2::text[], $3::text[], $4::text[]) with ordinality
             as n (asks, study, series, sop, place)
        join lateral (
            select * from instance
            where sop_uid = n.sop and study_uid = n.study and series_uid = n.series and not conflict
            order by facility = n.asks desc, stored_at, sha256 limit 1
        ) i on true
        """,
        [one.facility for one in named],
        [one.study_uid for one in named],
        [one.series_uid for one in named],
        [one.sop_uid for one in named],
    )
    found = {row["place"]: _held(row) for row in rows}
    return [found.get(place) for place in range(1, len(named) + 1)]


async def of_study(connection: Connection, facility: str, study_uid: str, series_uid: str | None = None) -> list[Held]:
    """The objects of a study, or of one of its series, each as `of_instances` chooses it; by series and number."""
    rows = await connection.fetch(
        f"""
        select {_COLUMNS}
        from (select distinct on (sop_uid, series_uid) * from instance
              where study_uid = $2 and ($3::text is null or series_uid = $3) and not conflict
              order by sop_uid, series_uid, facility = $1 desc, stored_at, sha256) i
        order by i.series_uid, i.number nulls last, i.sop_uid
        """,
        facility,
        study_uid,
        series_uid,
    )
    return [_held(row) for row in rows]


async def tags_of(connection: Connection, held: Held) -> dict[str, str]:
    """The identifying attributes of an object, text repaired; of one that is gone none."""
    tags = await connection.fetchval(
        "select tags from instance where sop_uid = $1 and facility = $2 and sha256 = $3",
        held.sop_uid,
        held.facility,
        held.sha256,
    )
    return dict(json.loads(tags)) if tags is not None else {}


async def places(connection: Connection, facility: str, sop_uids: list[str]) -> dict[str, tuple[str, str]]:
    """Study and series of the instances of a facility that are in the index."""
    rows = await connection.fetch(
        """
        select sop_uid, study_uid, series_uid from instance
        where facility = $1 and sop_uid = any($2::text[]) and not conflict
        """,
        facility,
        sop_uids,
    )
    return {row["sop_uid"]: (row["study_uid"], row["series_uid"]) for row in rows}


def _held(row: Mapping[str, Any]) -> Held:
    return Held(**{name: row[name] for name in Held.__slots__})
