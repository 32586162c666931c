"""Which id does something get that belongs to a patient or to a visit?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.identifiers import resource_id
from engine.mapping.functions.ids import code_key
from engine.mapping.registry import MakeId, Options, makes_id
from engine.mapping.scope import Scope

KeyOf = Callable[[str, Scope], str]

_SELF = frozenset({"SEL", "SELF", "ONESELF", "18", "01", "本人"})
"""Words for the patient: HL7 table 0063, X12, and what systems write."""


@makes_id(0)
def the_same(options: Options) -> MakeId:
    """The resource named by `within` itself: more is said of it."""
    return lambda within, scope: within or None


@makes_id(None)
def patient_item_id(options: Options) -> MakeId:
    """From the patient and the first field that says something: a number, a code, a name. `as` is the resource."""
    facility, kind = options.facility, _kind(options)

    def make(*said: object) -> str | None:
        *fields, within, scope = said
        assert isinstance(scope, Scope)
        return _item(kind, facility, [str(field) for field in fields], str(within), "", scope)

    return make


@makes_id(None)
def visit_item_id(options: Options) -> MakeId:
    """From the patient, the number of the visit (first field) and the first other field that says something."""
    facility, kind = options.facility, _kind(options)

    def make(*said: object) -> str | None:
        visit, *fields, within, scope = said
        assert isinstance(scope, Scope)
        number = scope.first(str(visit))
        return _item(kind, facility, [str(field) for field in fields], str(within), number, scope)

    return make


@makes_id(None)
def relative_id(options: Options) -> MakeId:
    """From the patient and the first field that says who this is: a number, a name. `as` is what they are to him."""
    facility, part = options.facility, _kind(options)

    def make(*said: object) -> str | None:
        *fields, within, scope = said
        assert isinstance(scope, Scope)
        return _item("RelatedPerson", facility, [str(field) for field in fields], str(within), part, scope, _name_key)

    return make


@makes_id(None)
def patient_observation_id(options: Options) -> MakeId:
    """From the patient, the visit, the code, sub-id and time of what was observed; a repeated one is counted.

    The value, where the row hands it in, tells whether something is lost when nothing says what was observed.
    """
    facility = options.facility

    def make(visit: str, code: str, sub_id: str, at: str, *said: Any) -> str | None:
        *values, within, scope = said
        key = code_key(code, scope)
        if not key and any(map(scope.plain, values)):
            scope.doubt("item-unidentified", "nothing in OBX-3 says what was observed; it is left out")
        if not key or not within:
            return None
        parts = (within, scope.first(visit), key, scope.plain(sub_id), scope.first(at))
        return _counted("Observation", facility, parts, scope)

    return make


@makes_id(3)
def insured_id(options: Options) -> MakeId:
    """From the patient and the insured person (IN1-49, IN1-16); none where the patient is insured (IN1-17)."""
    facility = options.facility

    def make(number: str, name: str, relationship: str, within: str, scope: Scope) -> str | None:
        if scope.first(relationship).upper() in _SELF or not (number or name):
            return None
        return _item("RelatedPerson", facility, [number, name], within, "insured", scope, _name_key)

    return make


def _kind(options: Options) -> str:
    if not options.argument:
        raise TypeError("the row says no resource for the id ('as')")
    return options.argument


def _name_key(raw: str, scope: Scope) -> str:
    """Who a name means: family and given name, whatever stands after them."""
    return "^".join(part for part in scope.components(raw)[:3] if part)


def _item(
    kind: str, facility: str, fields: list[str], within: str, visit: str, scope: Scope, key_of: KeyOf = code_key
) -> str | None:
    """None, with a finding, where no field tells this from other things of the patient."""
    if not any(fields):
        return None
    for field in fields:
        key = key_of(field.split("~")[0], scope) if field else ""
        if key and within:
            return _counted(kind, facility, (within, visit, key), scope)
    scope.doubt("item-unidentified", f"nothing says which {kind} of the patient this is; it is left out")
    return None


def _counted(kind: str, facility: str, parts: tuple[str, ...], scope: Scope) -> str:
    found = resource_id(kind, facility, *parts)
    position = 1
    while found in scope.ids:
        position += 1
        found = resource_id(kind, facility, *parts, str(position))
    return found
