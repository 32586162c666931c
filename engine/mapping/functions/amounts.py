"""How much? An amount and its unit from two fields, or from a CQ, with the unit's code where the sender says whose."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from engine.mapping.functions.codes import Concepts
from engine.mapping.functions.numbers import folded, number, quantity
from engine.mapping.functions.powers import amount_and_unit, whole_unit
from engine.mapping.registry import Options
from engine.mapping.scope import Scope

Quantity = dict[str, Any]
UCUM = "http://unitsofmeasure.org"
ONE_DAY: Quantity = {"value": Decimal(1), "unit": "d", "system": UCUM, "code": "d"}


class Amounts:
    """Reads quantities for one facility."""

    __slots__ = ("_concepts",)

    def __init__(self, options: Options) -> None:
        self._concepts = Concepts(options)

    def read(self, amount: str, unit: str, scope: Scope) -> Quantity | None:
        """A Quantity; None where there is no amount, and with a doubt where it is no number."""
        text = folded(scope.first(amount))
        if not text:
            return None
        exact = number(text)
        if exact is None:
            scope.doubt("number-unreadable", "an amount that is no number; it is left out", 1)
            return None
        return quantity(exact, self.unit(unit, scope))

    def of_cq(self, raw: str, scope: Scope) -> Quantity | None:
        """The Quantity of a CQ: the amount, and a unit whose parts stand as subcomponents."""
        return self.read(*amount_and_unit(raw), scope)

    def unit(self, raw: str, scope: Scope) -> dict[str, str]:
        """Unit (CWE.2, else CWE.1), and system and code where CWE.3 says whose the code is."""
        raw = whole_unit(raw)
        found = self._concepts.read(raw, scope) if raw else None
        if found is None or not (found.codings or found.text):
            return {}
        if not found.codings:
            return {"unit": found.text}
        coding = found.codings[0]
        unit = {"unit": found.text or coding.get("display") or coding["code"]}
        if len(parts := scope.components(raw)) > 2 and parts[2]:
            unit |= {"system": coding["system"], "code": coding["code"]}
        return unit


def ratio(numerator: Quantity, denominator: Quantity | None) -> dict[str, Any]:
    """A Ratio; of one where nothing else is said."""
    return {"numerator": numerator, "denominator": denominator or {"value": Decimal(1)}}
