"""RXO, RXE, RXD and RXC: which medicine it is, in what form and strength, and what it is mixed of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from engine.identifiers import resource_id
from engine.mapping.functions.amounts import Amounts, ratio
from engine.mapping.functions.codes import Concepts, concept
from engine.mapping.functions.people import mention_organization
from engine.mapping.functions.times import read_moment
from engine.mapping.mapped import Resource
from engine.mapping.registry import Apply, Options, Value, function
from engine.mapping.scope import Scope

_BASE = "B"
"""RXC-1 of what the rest is mixed into (HL7 table 0166); an additive is an active part."""
_STRENGTH = 6
"""Fields from the code to the unit of the volume."""
_COMPONENT = 8
"""Fields of RXC that are read."""


class Medications:
    """Reads medicines for one facility: a plain code stays one, with anything more it is a Medication."""

    def __init__(self, options: Options) -> None:
        plain = Options(options.facility, options.tables)
        self._facility = options.facility
        self._codes, self._concept, self._amounts = Concepts(plain), concept(plain), Amounts(plain)

    def elements(
        self, said: Sequence[str], components: Sequence[Sequence[str]], further: str, batch: Resource, scope: Scope
    ) -> dict[str, Any] | None:
        """`medicationCodeableConcept`, or `medicationReference` to a Medication that its content gives the id of."""
        code, form, strength, strength_unit, volume, volume_unit = said
        found = self._codes.read(code, scope) if code else None
        named = found.as_json() if found is not None and (found.codings or found.text) else None
        if named is not None and further:
            others = [self._codes.read(each, scope) for each in further.split("~")]
            named = {**named, "coding": [*named.get("coding", ()), *(c for other in others for c in other.codings)]}
        made: Resource = {"code": named} if named is not None else {}
        if form and (shape := self._concept(form, scope)):
            made["form"] = shape
        ingredients = self._ingredients(named, (strength, strength_unit, volume, volume_unit), components, scope)
        if ingredients:
            made["ingredient"] = ingredients
        made |= batch
        if set(made) == {"code"}:
            return {"medicationCodeableConcept": named}
        return {"medicationReference": self._mention(made, scope)} if made else None

    def _ingredients(
        self, named: Value, strength: Sequence[str], components: Sequence[Sequence[str]], scope: Scope
    ) -> list[dict[str, Any]]:
        found = [part for component in components if (part := self._component(component, scope)) is not None]
        amount, unit, volume, volume_unit = strength
        contained = self._amounts.read(amount, unit, scope)
        if contained is not None and named is not None:
            whole = {
                "itemCodeableConcept": named,
                "strength": ratio(contained, self._amounts.read(volume, volume_unit, scope)),
            }
            found.insert(0, whole)
        return found

    def _component(self, fields: Sequence[str], scope: Scope) -> dict[str, Any] | None:
        kind, code, amount, unit, strength, strength_unit, volume, volume_unit = fields
        named = self._concept(code, scope) if code else None
        if named is None:
            return None
        part: dict[str, Any] = {"code": named}
        if (much := self._amounts.read(amount, unit, scope)) is not None:
            part["amount"] = ratio(much, None)
        item: dict[str, Any] = {"itemCodeableConcept": named}
        if len(part) > 1:
            item = {"itemReference": self._mention(part, scope)}
        if scope.first(kind):
            item["isActive"] = scope.first(kind).upper() != _BASE
        if (contained := self._amounts.read(strength, strength_unit, scope)) is not None:
            item["strength"] = ratio(contained, self._amounts.read(volume, volume_unit, scope))
        return item

    def _mention(self, made: Resource, scope: Scope) -> Resource:
        identity = resource_id("Medication", self._facility, json.dumps(made, sort_keys=True, default=str))
        reference: Resource = {"reference": f"Medication/{identity}"}
        code = made.get("code", {})
        words = code.get("text") or next((each["display"] for each in code.get("coding", ()) if "display" in each), "")
        if words:
            reference["display"] = words
        scope.mentioned.setdefault(reference["reference"], {"resourceType": "Medication", "id": identity, **made})
        return reference


def _components(gathered: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    return [each for each in zip(*gathered, strict=True) if any(each)]


@function(15, elements=True, gathers=True)
def medication(options: Options) -> Apply:
    """Which medicine: code, form, strength, its unit, volume, its unit, further codes, and RXC-1 to 6, 8 and 9."""
    medications = Medications(options)

    def apply(*said: Any) -> dict[str, Any] | None:
        *fields, scope = said
        first = [field[0] for field in fields[: _STRENGTH + 1]]
        parts = _components(fields[_STRENGTH + 1 :])
        return medications.elements(first[:_STRENGTH], parts, first[_STRENGTH], {}, scope)

    return apply


@function(18, elements=True, gathers=True, repeats=True)
def dispensed_medication(options: Options) -> Apply:
    """The same as medication, with lot, expiry and maker (RXD-18, RXD-19, RXD-20) after the further codes."""
    medications, codes = Medications(options), Concepts(options, numbers=True)

    def batch(said: Sequence[str], scope: Scope) -> Resource:
        lot, expires, maker = said
        found: Resource = {}
        held = {"lotNumber": scope.first(lot)} if scope.first(lot) else {}
        if expires and (until := read_moment(scope.first(expires.split("~")[0]), scope).date_time):
            held["expirationDate"] = until
        if held:
            found["batch"] = held
        if maker:
            by = codes.read(maker.split("~")[0], scope)
            number = by.codings[0]["code"] if by.codings else ""
            organization = mention_organization([by.text or number, "", number], options.facility, scope)
            if organization is not None:
                found["manufacturer"] = organization
        return found

    def apply(*said: Any) -> dict[str, Any] | None:
        *fields, scope = said
        first = [field[0] for field in fields[: _STRENGTH + 4]]
        parts = _components(fields[_STRENGTH + 4 :])
        held = batch(first[_STRENGTH + 1 :], scope)
        return medications.elements(first[:_STRENGTH], parts, first[_STRENGTH], held, scope)

    return apply
