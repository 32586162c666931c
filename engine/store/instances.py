"""What does the index hold of one stored object? Its row, as it is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from engine.store.database import Connection


@dataclass(frozen=True, slots=True)
class Instance:
    """One object of the store.

    sha256    of the data set bytes as they were on the wire
    location  key in the object store
    tags      JSON object of identifying attributes, text repaired
    charset   JSON object: declared, used, doubtful
    """

    sop_uid: str
    facility: str
    sha256: bytes
    study_uid: str
    series_uid: str
    sop_class: str
    transfer_syntax: str
    modality: str
    number: int | None
    bytes: int
    location: str
    tags: str
    charset: str
    peer: str
    stored_at: datetime
    conflict: bool = False

    @property
    def study(self) -> tuple[str, str]:
        """Its UID and facility."""
        return self.study_uid, self.facility


_COLUMN_TYPES = {
    "sop_uid": "text",
    "facility": "text",
    "sha256": "bytea",
    "study_uid": "text",
    "series_uid": "text",
    "sop_class": "text",
    "transfer_syntax": "text",
    "modality": "text",
    "number": "int",
    "bytes": "bigint",
    "location": "text",
    "tags": "jsonb",
    "charset": "jsonb",
    "peer": "text",
    "stored_at": "timestamptz",
    "conflict": "boolean",
}
INSTANCE_COLUMNS = tuple(_COLUMN_TYPES)
"""Of `instance`, and the fields of `Instance`."""
_INSERT = (
    f"insert into instance ({', '.join(INSTANCE_COLUMNS)}) select * from unnest("
    + ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(_COLUMN_TYPES.values(), 1))
    + ")"
)


async def insert(connection: Connection, instances: Sequence[Instance]) -> None:
    """Adds rows, in the caller's transaction; what they are found by is not theirs to say."""
    await connection.execute(_INSERT, *([getattr(i, name) for i in instances] for name in _COLUMN_TYPES))
