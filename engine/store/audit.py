"""Who did what to whose data? Audit rows, written in the transaction of what they tell about."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from engine.store.database import Connection

SYSTEM = "system"
"""The actor of what hutong does by itself."""


@dataclass(frozen=True, slots=True)
class Audited:
    """One act: a user name or SYSTEM, a verb, and its subject (`Patient/…`, `Envelope/…`); never patient data."""

    actor: str
    action: str
    subject: str
    detail: Mapping[str, str | int | bool | None] = field(default_factory=dict)


BY_A_PERSON = ("release", "skip", "replace", "replay")
"""What a person does with an envelope, and says why."""


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody did with an envelope, and the reason given; `replace` is the correction of a message."""

    at: datetime
    actor: str
    action: str
    reason: str


async def acts_on(connection: Connection, envelopes: Collection[UUID]) -> dict[UUID, list[Act]]:
    """What people did with these envelopes, the first act first."""
    by_subject = {f"Envelope/{envelope}": envelope for envelope in envelopes}
    rows = await connection.fetch(
        """
        select at, actor, action, subject, coalesce(detail ->> 'reason', '') as reason from audit
        where subject = any($1) and action = any($2) order by id
        """,
        list(by_subject),
        list(BY_A_PERSON),
    )
    found: dict[UUID, list[Act]] = {}
    for row in rows:
        act = Act(row["at"], row["actor"], row["action"], row["reason"])
        found.setdefault(by_subject[row["subject"]], []).append(act)
    return found


async def write(connection: Connection, acts: Sequence[Audited], at: datetime) -> None:
    if not acts:
        return
    await connection.execute(
        """
        insert into audit (at, actor, action, subject, detail)
        select $1, * from unnest($2::text[], $3::text[], $4::text[], $5::jsonb[])
        """,
        at,
        [act.actor for act in acts],
        [act.action for act in acts],
        [act.subject for act in acts],
        [json.dumps(act.detail, ensure_ascii=False) for act in acts],
    )
