"""What is an identifier domain called? FHIR systems ↔ the assigning authority that HL7 writes in CX-4.

A facility's numbers are called after the authority that the facility's system writes, else after the facility; the
numbers of persons (居民身份证, 居民健康卡) by a name and their object identifier.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from engine.identifiers import HEALTH_CARD, ID_CARD, facility_system

_NAMED = {ID_CARD: "IDCARD", HEALTH_CARD: "HEALTHCARD"}
_FACILITY_PREFIX = facility_system("", "").rstrip(":") + ":"
_OID = "urn:oid:"


@dataclass(frozen=True, slots=True)
class Authority:
    """An assigning authority (HD): namespace, universal id and its type; empty parts are unknown."""

    namespace: str = ""
    universal: str = ""
    universal_type: str = ""

    def __bool__(self) -> bool:
        return bool(self.namespace or self.universal)


def authority_of(system: str) -> Authority:
    """How an identifier's system is written in CX-4. Where two facilities use one name, CX-4.2 tells them apart."""
    if system.startswith(_OID):
        return Authority(_NAMED.get(system, ""), system.removeprefix(_OID), "ISO")
    if system.startswith(_FACILITY_PREFIX):
        facility, _, rest = system.removeprefix(_FACILITY_PREFIX).partition(":")
        kind, _, name = rest.partition(":")
        if kind == "patient":
            if name.replace(".", "").isdecimal() and "." in name:
                return Authority("", name, "ISO")
            return Authority(name or facility, f"{facility}.patient.{name}" if name else f"{facility}.patient", "L")
    return Authority("", system, "URI")


def systems_of(wanted: Authority, known: Collection[str], facilities: Collection[str]) -> list[str]:
    """The known systems that an authority names; a facility's code names all of its own. Empty: an unknown domain."""
    found = [
        system
        for system in known
        if _same(authority_of(system), wanted) or (_facility_of(system) == wanted.namespace and not wanted.universal)
    ]
    if not found and not wanted.universal and wanted.namespace in facilities:
        found = [facility_system(wanted.namespace, "patient")]
    return sorted(found)


def _same(own: Authority, wanted: Authority) -> bool:
    """By the universal id where the other side gives one, else by name."""
    if wanted.universal:
        return own.universal == wanted.universal
    return bool(own.namespace) and own.namespace == wanted.namespace


def _facility_of(system: str) -> str:
    """The facility whose numbers these are; empty for what belongs to none."""
    if not system.startswith(_FACILITY_PREFIX):
        return ""
    return system.removeprefix(_FACILITY_PREFIX).partition(":")[0]


def read_authority(components: Sequence[str]) -> Authority:
    """HD from its parts (namespace, universal id, its type)."""
    parts = [*(part.strip() for part in components), "", "", ""]
    return Authority(parts[0], parts[1], parts[2])
