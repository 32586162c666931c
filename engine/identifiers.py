"""Which id and which system does a thing get? The same business identifier always gives the same resource id."""

from __future__ import annotations

import re
from hashlib import sha1
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from hashlib import _Hash as HASH

_NAMESPACE = UUID("8f0c1f5e-3c55-5c5e-9f0a-5d2f6b1f7a10").bytes
_BETWEEN = "\x1f"
"""Between the parts of what an id is made of: stands in no identifier."""
_VARIANT = {f"{digit:x}": f"{digit & 0b0011 | 0b1000:x}" for digit in range(16)}
"""The first digit of the fourth group keeps two of its bits; the others say which kind of UUID it is."""

_FACILITY_SYSTEM = "urn:hutong:facility:"

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


_AE_DESTINATION = "ae:"
_UID = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]*))+", re.ASCII)
LIMIT_UID = 64
"""Characters of a UID (DICOM PS3.5 §9.1)."""


def is_uid(text: str) -> bool:
    """Whether a text is a DICOM UID: numbers with dots between, none with a zero before it (PS3.5 §9.1)."""
    return len(text) <= LIMIT_UID and _UID.fullmatch(text) is not None


def ae_destination(channel: str, ae_title: str, facility: str = "") -> str:
    """What deliveries to an application entity of a channel are owed to. No endpoint's name has a colon.

    `facility` is said of one whose title others of the channel have too.
    """
    of_facility = f":{facility}" if facility else ""
    return f"{_AE_DESTINATION}{channel}{of_facility}/{ae_title}"


def title_of(destination: str) -> str:
    """The AE title of an application entity of a channel."""
    return destination.partition("/")[2]


def resource_id(resource_type: str, facility: str, *parts: str) -> str:
    """A deterministic resource id: UUIDv5 (RFC 9562 §5.5) of type, facility and business identifier.

    Written out, because a message makes dozens and `uuid.uuid5` spends most of its time on making objects.
    """
    name = _BETWEEN.join((resource_type, facility) + parts).encode()  # noqa: RUF005  unpacking takes twice as long
    return _uuid(sha1(_NAMESPACE + name, usedforsecurity=False))


class IdsWithin:
    """Makes the ids of many things of one resource: `resource_id`, of which all but the last parts is hashed once."""

    __slots__ = ("_begun",)

    def __init__(self, resource_type: str, facility: str, within: str) -> None:
        begun = _BETWEEN.join((resource_type, facility, within, ""))
        self._begun = sha1(_NAMESPACE + begun.encode(), usedforsecurity=False)

    def id_of(self, last: str) -> str:
        """`last` are the last parts of the business identifier, with U+001F between them."""
        digest = self._begun.copy()
        digest.update(last.encode())
        return _uuid(digest)


def _uuid(digest: HASH) -> str:
    """Groups of 8, 4, 4, 4 and 12 digits, out of groups of 8, 12 and 12, which need fewer cuts than all at once."""
    digits = digest.digest()[:16].hex("-", 6)
    return f"{digits[:13]}-5{digits[14:17]}-{_VARIANT[digits[17]]}{digits[18:]}"


def facility_system(facility: str, kind: str, authority: str = "") -> str:
    """The identifier system of numbers that a facility gives out: kind is patient, order, accession, visit…"""
    system = f"{_FACILITY_SYSTEM}{facility}:{kind}"
    return f"{system}:{authority}" if authority else system


def is_of_facility(system: str, facility: str) -> bool:
    """Whether numbers of this system may be this facility's: those of another facility's own systems are not."""
    prefix, _, rest = system.partition(_FACILITY_SYSTEM)
    return bool(prefix) or not rest or rest.split(":", 1)[0] == facility


def organization_id(facility: str) -> str:
    """The Organization resource of a configured facility."""
    return resource_id("Organization", facility)


def lane(facility: str, value: str) -> str:
    """The lane of one patient identifier at one facility (assigning authorities share it: coarser is safer), or of one
    study or step there."""
    return f"{facility}|{value}"
