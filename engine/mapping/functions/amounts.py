"""How much? An amount and its unit from two fields, or from a CQ, with the unit's code where the sender says whose."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from engine.mapping.functions.numbers import folded, number, quantity
from engine.mapping.functions.powers import amount_and_unit
from engine.mapping.functions.units import UCUM, Units
from engine.mapping.registry import Options
from engine.mapping.scope import Scope

Quantity = dict[str, Any]
ONE_DAY: Quantity = {"value": Decimal(1), "unit": "d", "system": UCUM, "code": "d"}


class Amounts:
    """Reads quantities for one facility."""

    __slots__ = ("_units",)

    def __init__(self, options: Options) -> None:
        self._units = Units(options, local=True)

    def read(self, amount: str, unit: str, scope: Scope) -> Quantity | None:
        """A Quantity; None where there is no amount, and with a doubt where it is no number."""
        text = folded(scope.first(amount))
        if not text:
            return None
        exact = number(text)
        if exact is None:
            scope.doubt("number-unreadable", "an amount that is no number; it is left out", 1)
            return None
        return quantity(exact, self._units.read(unit, scope))

    def of_cq(self, raw: str, scope: Scope) -> Quantity | None:
        """The Quantity of a CQ: the amount, and a unit whose parts stand as subcomponents."""
        return self.read(*amount_and_unit(raw), scope)


def ratio(numerator: Quantity, denominator: Quantity | None) -> dict[str, Any]:
    """A Ratio; of one where nothing else is said."""
    return {"numerator": numerator, "denominator": denominator or {"value": Decimal(1)}}
