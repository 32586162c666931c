"""MFE, STF and PRA: the people of a facility, as its master file lists them."""

from __future__ import annotations

from typing import Any

from engine.identifiers import facility_system, resource_id
from engine.mapping.functions.codes import looked_up
from engine.mapping.functions.patients import personal_identifier, typed
from engine.mapping.functions.times import period_of
from engine.mapping.registry import Apply, MakeId, Options, function, makes_id
from engine.mapping.scope import Scope

_INACTIVE = frozenset({"I", "N", "停用", "离职"})
"""STF-7 (HL7 table 0183) of somebody who works here no more."""


@makes_id(3)
def staff_id(options: Options) -> MakeId:
    """From the facility and the number by which messages name a person: STF-1, else MFE-4, else STF-2."""
    facility = options.facility

    def make(key: str, master: str, number: str, within: str, scope: Scope) -> str | None:
        found = scope.first(key) or scope.first(master) or scope.first(number)
        return resource_id("Practitioner", facility, found) if found else None

    return make


@makes_id(0)
def staff_role_id(options: Options) -> MakeId:
    """From the Practitioner: the role under which orders of the facility name this person."""
    facility = options.facility
    return lambda within, scope: resource_id("PractitionerRole", facility, f"Practitioner/{within}") if within else None


@function(2)
def staff_active(options: Options) -> Apply:
    """Whether an entry of a master file holds: from what is done to it (MFE-1), and from STF-7."""
    table = options.tables["master_file_events"]

    def apply(doing: str, flag: str, scope: Scope) -> bool:
        event = scope.first(doing)
        row = looked_up(table, event, scope) if event else None
        stands = row is None or row["code"] != "false"
        return stands and scope.first(flag).upper() not in _INACTIVE

    return apply


@function(parts={"value": 1})
def staff_number(options: Options) -> Apply:
    """The number of a person of the facility (CE, CX), as messages name it; a 居民身份证 number is recognised."""
    system = facility_system(options.facility, "practitioner")

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        parts = scope.components(raw)
        if not parts[0]:
            return None
        kind = parts[4].upper() if len(parts) > 4 else ""
        if kind and (personal := personal_identifier(parts[0], kind, scope)) is not None:
            return personal
        return {**({"type": typed(kind)} if kind else {}), "system": system, "value": parts[0]}

    return apply


@function(parts={"value": 1, "type": 2, "period": 4})
def license_number(options: Options) -> Apply:
    """A number that lets somebody practise (PLN): number, kind, who says so, until when."""
    facility = options.facility

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        parts = [*scope.components(raw), "", "", ""]
        if not parts[0]:
            return None
        found: dict[str, Any] = {"type": typed(parts[1])} if parts[1] else {}
        found |= {"system": facility_system(facility, "license", parts[2] or parts[1]), "value": parts[0]}
        if parts[3] and (until := period_of("", parts[3], scope, 3)):
            found["period"] = until
        return found

    return apply


@function(2)
def employed(options: Options) -> Apply:
    """From when to when somebody works here (DIN in STF-12 and STF-13)."""

    def apply(begins: str, ends: str, scope: Scope) -> dict[str, str] | None:
        return period_of(scope.first(begins), scope.first(ends), scope, 1) or None

    return apply


@function()
def specialty(options: Options) -> Apply:
    """A specialty of somebody (SPD): its name, and since when where that is known."""

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        name = scope.first(raw)
        return {"text": name} if name else None

    return apply


@function()
def email(options: Options) -> Apply:
    """An e-mail address that stands in a text (ST)."""

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        found = scope.first(raw)
        return {"system": "email", "value": found, "use": "work"} if found else None

    return apply
