"""Who are the members of the community? An Organization for each configured facility, for references to lead to."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any

from engine.config import Community, Facility
from engine.identifiers import ORGANIZATION_CODE, organization_id
from engine.store import audit, records
from engine.store.database import Connection

FACILITY_CODE = "urn:hutong:facility"
LEVEL = "urn:hutong:facility-level"


async def record_facilities(connection: Connection, community: Community, at: datetime) -> None:
    """Records what the configuration says; an Organization that says so already gets no new version."""
    changes = [records.Change(organization(facility), actor=audit.SYSTEM) for facility in community.facilities.values()]
    with suppress(records.VersionConflict):  # another process of the hub is recording the same
        async with connection.transaction():
            await records.put_many(connection, changes, at)


def organization(facility: Facility) -> dict[str, Any]:
    identifiers = [{"system": FACILITY_CODE, "value": facility.code}]
    if facility.organization_code:
        identifiers.append({"system": ORGANIZATION_CODE, "value": facility.organization_code})
    return {
        "resourceType": "Organization",
        "id": organization_id(facility.code),
        "identifier": identifiers,
        "active": True,
        "type": [{"coding": [{"system": LEVEL, "code": str(facility.level)}]}],
        "name": facility.name,
    }
