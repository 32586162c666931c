"""Who did what to whose data? Audit rows, written in the transaction of what they tell about."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

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


async def write(connection: Connection, acts: Sequence[Audited], at: datetime) -> None:
    if not acts:
        return
    await connection.executemany(
        "insert into audit (at, actor, action, subject, detail) values ($1, $2, $3, $4, $5)",
        [(at, act.actor, act.action, act.subject, json.dumps(act.detail, ensure_ascii=False)) for act in acts],
    )
