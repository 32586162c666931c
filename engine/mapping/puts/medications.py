"""RXO, RXE, RXD, RXA and RXC: which medicine it is, in what form and strength, and what it is mixed of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from engine.mapping.lens.back import Back, Field
from engine.mapping.puts.codes import Written, system_names
from engine.mapping.puts.times import written_time
from engine.mapping.puts.units import written_amount
from engine.mapping.registry import Options, Put, puts

_ADDITIVE, _BASE = "A", "B"
"""RXC-1 (HL7 table 0166)."""
_CODES_OF_A_FIELD = 2
"""Of more codes the others stand in the field for further ones."""

Fields = dict[int, Field]
Item = tuple[Mapping[str, Any], Mapping[str, Any]]
"""The code of something and the Medication that says more of it."""


class Medicines:
    """Writes medicines for one facility. `at` is the place of the first field of RXC, after code, form and strength."""

    def __init__(self, options: Options, at: int) -> None:
        self._written, self._names, self._at = Written(options, None), system_names(options), at

    def write(self, resource: Any, back: Back) -> list[Fields]:
        """The fields of the medicine, then those of each RXC."""
        code, made = _item(resource, "medication", resource, back)
        codings = [each for each in code.get("coding", ()) if each.get("code")]
        if codings and "display" not in codings[0] and code.get("text"):
            # Whoever reads the message looks for the name beside the code.
            codings[0] = {**codings[0], "display": code["text"]}
        fields: Fields = {0: self._written.of({**code, "coding": codings[:_CODES_OF_A_FIELD]}) or ""}
        fields[6] = [self._written.of({"coding": [each]}) or "" for each in codings[_CODES_OF_A_FIELD:]]
        fields[1] = self._written.of(made.get("form", {})) or ""
        ingredients: list[Any] = list(made.get("ingredient", ()))
        if ingredients and (len(ingredients) == 1 or ingredients[0].get("itemCodeableConcept") == code):
            strength = ingredients[0].get("strength")
            if strength and not ingredients[0].keys() & {"itemReference", "isActive"}:
                fields |= self._strength(strength, 2, 4)
                del ingredients[0]
        return [fields, *(self._component(each, made, back) for each in ingredients)]

    def _component(self, ingredient: Any, around: Mapping[str, Any], back: Back) -> Fields:
        code, made = _item(ingredient, "item", around, back)
        found: Fields = {
            self._at: _BASE if ingredient.get("isActive") is False else _ADDITIVE,
            self._at + 1: self._written.of(code) or "",
        }
        amount, unit = written_amount(made.get("amount", {}).get("numerator", {}), self._names)
        found |= {self._at + 2: amount, self._at + 3: unit}
        return found | self._strength(ingredient.get("strength", {}), self._at + 4, self._at + 6)

    def _strength(self, ratio: Any, over: int, under: int) -> Fields:
        """The two fields of a strength, and the two of the volume that it is the strength of, where there is one."""
        whole = ratio.get("denominator", {})
        amount = written_amount(ratio.get("numerator", {}), self._names)
        found: Fields = dict(zip((over, over + 1), amount, strict=True))
        if whole.get("unit") or whole.get("code") or whole.get("value") != Decimal(1):
            found |= zip((under, under + 1), written_amount(whole, self._names), strict=True)
        return found


def _item(holder: Any, stem: str, around: Any, back: Back) -> Item:
    """The code of `medication[x]` or `item[x]`, and what a Medication says beyond it."""
    if concept := holder.get(f"{stem}CodeableConcept"):
        return concept, {}
    reference = holder.get(f"{stem}Reference", {})
    made = back.resource(reference)
    if made:
        return made.get("code", {}), made
    number, words = reference.get("identifier", {}).get("value", ""), reference.get("display", "")
    if number:
        return {"coding": [{"code": number, **({"display": words} if words else {})}]}, {}
    return ({"text": words} if words else {}), {}


@puts("medication")
def write_medication(options: Options) -> Put:
    return Medicines(options, 7).write


@puts("dispensed_medication")
def write_dispensed_medication(options: Options) -> Put:
    """The same with lot, expiry and maker after the further codes."""
    medicines = Medicines(options, 10)

    def put(resource: Any, back: Back) -> Sequence[Fields]:
        first, *components = medicines.write(resource, back)
        made = back.resource(resource.get("medicationReference", {}))
        batch = made.get("batch", {})
        first |= {7: batch.get("lotNumber", ""), 8: written_time(batch.get("expirationDate"))}
        if maker := made.get("manufacturer"):
            first[9] = organization_code(maker, back) or ""
        return [first, *components]

    return put


def organization_code(reference: Any, back: Back) -> tuple[str, ...] | None:
    """An organisation as a coded value: its number and its name; None where the reference names none."""
    found = back.resource(reference)
    if found and found.get("resourceType") != "Organization":
        return None
    identifier = next(iter(found.get("identifier", ())), None) or reference.get("identifier", {})
    number, name = identifier.get("value", ""), found.get("name") or reference.get("display", "")
    parts = (number, "" if name == number else name)
    return parts if any(parts) else None
