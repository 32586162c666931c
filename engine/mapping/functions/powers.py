"""Is that `^` a separator? Laboratories write `10^9/L` without escaping it; a unit must not lose its power of ten."""

from __future__ import annotations

import re

_POWER_OF_TEN = re.compile(r"(?:^|(?<=\^))([xX×*]?\s?10)\^(?=-?\d{1,2}(?:[ A-Za-z一-鿿]*/|\^|$))")


def whole_unit(raw: str) -> str:
    r"""The field of a unit, with the `^` of a power of ten escaped: `10^9/L^10^9/L` becomes `10\S\9/L^10\S\9/L`."""
    return _POWER_OF_TEN.sub(r"\1\\S\\", raw) if "10^" in raw else raw


def amount_and_unit(raw: str) -> tuple[str, str]:
    """The amount of a CQ, and its unit as a field of its own: what stands there as subcomponents are components."""
    amount, _, unit = raw.partition("^")
    return amount, whole_unit(unit.replace("&", "^"))
