"""Which URI does the name of a coding system stand for? One that everybody knows, or the facility's own."""

from __future__ import annotations

import re

from engine.identifiers import facility_system
from engine.terminology import Table

_HL7_TABLE = re.compile(r"(?:HL7|HL70|V2-)(\d{4})", re.IGNORECASE)
_OID = re.compile(r"[0-2](?:\.(?:0|[1-9]\d*))+")
_URI = re.compile(r"(?:https?://|urn:)\S+")


def code_system(name: str, facility: str, table: Table) -> str:
    """The URI of a coding system. A name nobody knows, or none, is the facility's own: codes of two never mix."""
    if not name:
        return facility_system(facility, "code")
    row = table.find(name)
    if row is not None:
        return row["code"]
    match = _HL7_TABLE.fullmatch(name)
    if match is not None:
        return f"http://terminology.hl7.org/CodeSystem/v2-{match[1]}"
    if _OID.fullmatch(name):
        return f"urn:oid:{name}"
    if _URI.fullmatch(name):
        return name
    return facility_system(facility, "code", name.replace(" ", "-"))
