"""What studies and series are found by."""

from __future__ import annotations

from typing import cast

import asyncpg
from alembic import op
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection

from engine.store.imaging_names import forms_of, tokens_of
from engine.store.migrations.sql import run_file

revision = "0008"
down_revision = "0006"

_BATCH = 1000


def upgrade() -> None:
    run_file("0008_imaging_search.sql")
    adapter = cast(AsyncAdapt_asyncpg_connection, op.get_bind().connection.dbapi_connection)
    adapter.run_async(_add_names)


async def _add_names(connection: asyncpg.Connection) -> None:
    """Names of studies that are there already: their readings are not SQL's to know."""
    names = await connection.fetch(
        """
        select study_uid, facility, array_agg(distinct tags ->> 'patient_name') as names from instance
        where not conflict and tags ->> 'patient_name' <> '' group by study_uid, facility
        """
    )
    for at in range(0, len(names), _BATCH):
        await connection.executemany(
            "update study_search set names = $3, tokens = tokens || $4::text[] where uid = $1 and facility = $2",
            [
                (
                    row["study_uid"],
                    row["facility"],
                    list(dict.fromkeys(form for name in row["names"] for form in forms_of(name))),
                    list(dict.fromkeys(token for name in row["names"] for token in tokens_of(name))),
                )
                for row in names[at : at + _BATCH]
            ],
        )
