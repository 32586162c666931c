"""Which orders went out under this control id? What deliveries carried, by the records that their envelopes made."""

from __future__ import annotations

import json
from collections.abc import Collection

from engine.store.database import Connection


async def orders_sent(connection: Connection, control_id: str, endpoints: Collection[str]) -> list[str]:
    """References of the orders that a message to one of these endpoints carried."""
    rows = await connection.fetch(
        """
        select distinct o.resources
        from delivery d join outcome o on o.envelope = d.envelope
        where d.control_id = $1 and d.endpoint = any($2::text[])
        """,
        control_id,
        list(endpoints),
    )
    labels = [label for row in rows for label in json.loads(row["resources"])]
    return sorted({label.partition("@")[0] for label in labels if label.startswith("ServiceRequest/")})
