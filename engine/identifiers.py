"""Which id and which system does a thing get? The same business identifier always gives the same resource id."""

from __future__ import annotations

from functools import lru_cache
from uuid import UUID, uuid5

_NAMESPACE = UUID("8f0c1f5e-3c55-5c5e-9f0a-5d2f6b1f7a10")

ID_CARD = "urn:oid:2.16.156.10011.1.3"
"""居民身份证号."""
HEALTH_CARD = "urn:oid:2.16.156.10011.1.19"
"""居民健康卡号."""
ORGANIZATION_CODE = "urn:oid:2.16.156.10011.1.5"
"""医疗机构组织机构代码."""
DICOM_UID = "urn:dicom:uid"
REQUEST_STATE = "urn:hutong:request-state"

PERSONAL_SYSTEMS = frozenset({ID_CARD, HEALTH_CARD})
"""Systems whose values belong to one person whichever facility wrote them; only these match patients exactly."""


@lru_cache(maxsize=65_536)
def resource_id(resource_type: str, facility: str, *parts: str) -> str:
    """A deterministic resource id: UUIDv5 of type, facility and business identifier."""
    return str(uuid5(_NAMESPACE, "\x1f".join((resource_type, facility, *parts))))


def facility_system(facility: str, kind: str, authority: str = "") -> str:
    """The identifier system of numbers that a facility gives out: kind is patient, order, accession, visit…"""
    system = f"urn:hutong:facility:{facility}:{kind}"
    return f"{system}:{authority}" if authority else system


def organization_id(facility: str) -> str:
    """The Organization resource of a configured facility."""
    return resource_id("Organization", facility)


def lane(facility: str, value: str) -> str:
    """The lane of one patient identifier at one facility (assigning authorities share it: coarser is safer)."""
    return f"{facility}|{value}"
