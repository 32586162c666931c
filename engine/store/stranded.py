"""Which deliveries are owed to an endpoint that is configured no more? Said by one finding for each such endpoint."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from engine.finding import Finding
from engine.store import findings
from engine.store.database import Connection
from engine.store.findings import Raised

CODE = "endpoint-unknown"


async def tell(connection: Connection, configured: Collection[str], at: datetime) -> None:
    """Raises a finding about every endpoint that is owed something by nobody, and settles those that came right."""
    owed = await _owed_by_nobody(connection, configured)
    rows = await connection.fetch("select about from finding where code = $1 and settled_at is null", CODE)
    told = {row["about"] for row in rows}
    stranded = {f"Endpoint/{endpoint}": Raised(_finding(endpoint), about=f"Endpoint/{endpoint}") for endpoint in owed}
    await findings.raise_many(connection, [raised for about, raised in stranded.items() if about not in told], at)
    for about in sorted(told - stranded.keys()):
        await findings.settle(connection, CODE, about, "Nothing is owed to an endpoint that is not configured.", at)


async def _owed_by_nobody(connection: Connection, configured: Collection[str]) -> list[str]:
    """Asked endpoint by endpoint, each from the index: a backlog may hold millions."""
    rows = await connection.fetch(
        """
        with recursive owed as (
            (select endpoint from delivery where state = 'owed' order by endpoint limit 1)
            union all
            select (select d.endpoint from delivery d where d.state = 'owed' and d.endpoint > owed.endpoint
                    order by d.endpoint limit 1)
            from owed where owed.endpoint is not null
        )
        select endpoint from owed where endpoint is not null and endpoint <> all($1::text[])
        """,
        sorted(configured),
    )
    return [row["endpoint"] for row in rows]


def _finding(endpoint: str) -> Finding:
    return Finding(
        CODE,
        f"Deliveries are owed to {endpoint}, which is configured no more, so nobody sends them. Add the endpoint "
        f"again, or give them up: hutong deliveries give-up --endpoint {endpoint}.",
    )
