"""Which studies wait for a person to say whose they are? Kept with what is recorded of a study, by its manifests."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from engine.store.database import Connection


class StudyKey(NamedTuple):
    """A study of a facility. `reference` is that of its ImagingStudy."""

    facility: str
    study_uid: str
    reference: str


@dataclass(frozen=True, slots=True)
class CaseLine:
    """A study and why it waits: codes of findings. `objects` counts what is served of it."""

    facility: str
    study_uid: str
    kinds: list[str]
    opened_at: datetime
    revision: int
    last_stored_at: datetime
    patient_name: str
    patient_id: str
    accession: str
    study_date: str
    modalities: list[str]
    objects: int


@dataclass(frozen=True, slots=True)
class Choice:
    """Which cases; None leaves a question open."""

    kind: str | None = None
    facility: str | None = None


async def put(connection: Connection, cases: Mapping[StudyKey, Collection[str]], at: datetime) -> None:
    """Says of each study what waits for a person now, in the caller's transaction; nothing closes its case."""
    if not cases:
        return
    ordered = sorted(cases)
    await connection.execute(
        """
        delete from reconcile_case c
        using unnest($1::text[], $2::text[], $3::jsonb[]) as k (facility, study_uid, kinds)
        where c.facility = k.facility and c.study_uid = k.study_uid and not k.kinds ? c.kind
        """,
        [key.facility for key in ordered],
        [key.study_uid for key in ordered],
        [_json(cases[key]) for key in ordered],
    )
    await connection.execute(
        """
        insert into reconcile_case (facility, study_uid, about, kind, opened_at)
        select k.facility, k.study_uid, k.about, kind, $5
        from unnest($1::text[], $2::text[], $3::text[], $4::jsonb[]) as k (facility, study_uid, about, kinds),
             jsonb_array_elements_text(k.kinds) kind
        order by 1, 2, 4 on conflict do nothing
        """,
        [key.facility for key in ordered],
        [key.study_uid for key in ordered],
        [key.reference for key in ordered],
        [_json(cases[key]) for key in ordered],
        at,
    )


async def close(connection: Connection, studies: Collection[str], kinds: Collection[str]) -> None:
    """Closes what came right by itself, by references of the studies."""
    if studies:
        await connection.execute(
            "delete from reconcile_case where about = any($1) and kind = any($2)", sorted(studies), list(kinds)
        )


async def listed(
    connection: Connection, choice: Choice, *, after: tuple[datetime, str, str] | None, limit: int
) -> list[CaseLine]:
    """Studies that wait, the newest first; `after` is the last one of the page before: when, facility and UID."""
    at, facility, uid = after if after else (None, None, None)
    rows = await connection.fetch(
        """
        select c.facility, c.study_uid, c.kinds, c.opened_at, s.revision, s.last_stored_at,
               coalesce(q.tags ->> 'patient_name', '') as patient_name, coalesce(q.patient_id, '') as patient_id,
               coalesce(q.accession, '') as accession, coalesce(q.study_date, '') as study_date,
               coalesce(q.modalities, '{}') as modalities,
               (select coalesce(sum(e.instances), 0) from series e
                where e.study_uid = c.study_uid and e.facility = c.facility) as objects
        from (
            select facility, study_uid, array_agg(kind order by kind) as kinds, max(opened_at) as opened_at
            from reconcile_case where ($2::text is null or facility = $2) group by facility, study_uid
        ) c
        join study s on s.uid = c.study_uid and s.facility = c.facility
        left join study_search q on q.uid = c.study_uid and q.facility = c.facility
        where ($1::text is null or $1 = any(c.kinds))
          and ($3::timestamptz is null or (c.opened_at, c.facility, c.study_uid) < ($3, $4, $5))
        order by c.opened_at desc, c.facility desc, c.study_uid desc limit $6
        """,
        choice.kind,
        choice.facility,
        at,
        facility,
        uid,
        limit,
    )
    return [CaseLine(**row) for row in rows]


async def count(connection: Connection) -> dict[str, int]:
    """How many studies wait for each reason."""
    rows = await connection.fetch("select kind, count(*) as number from reconcile_case group by kind order by kind")
    return {row["kind"]: row["number"] for row in rows}


async def of_study(connection: Connection, facility: str, study_uid: str) -> list[str]:
    """Why a study waits; nothing when it does not."""
    rows = await connection.fetch(
        "select kind from reconcile_case where facility = $1 and study_uid = $2 order by kind", facility, study_uid
    )
    return [row["kind"] for row in rows]


def _json(kinds: Collection[str]) -> str:
    return json.dumps(sorted(kinds))
