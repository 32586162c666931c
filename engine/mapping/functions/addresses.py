"""XAD and XTN: where somebody lives and how to reach them."""

from __future__ import annotations

import re
from typing import Any

from engine.finding import Severity
from engine.mapping.functions.numbers import folded
from engine.mapping.functions.times import period_of
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope

_ADDRESS_USE = {
    "H": "home",
    "B": "work",
    "O": "work",
    "C": "temp",
    "BA": "old",
    "P": "home",
    "L": "home",
    "BI": "billing",
}
_ADDRESS_TYPE = {"M": "postal", "SH": "postal"}
_ADDRESS_PLAIN = frozenset({"N", "F", "RH", "BDL", "BR", "S", "TM", "V"})
"""Kinds of HL7 table 0190 that FHIR has neither a use nor a type for: places of birth, services, mailing lists."""
_CONTACT_USE = {"PRN": "home", "ORN": "home", "VHN": "home", "WPN": "work", "PRS": "mobile", "HOME": "home"}
"""HL7 table 0201."""
_CONTACT_SYSTEM = {
    "PH": "phone",
    "CP": "phone",
    "SAT": "phone",
    "FX": "fax",
    "BP": "pager",
    "INTERNET": "email",
    "X.400": "email",
    "TDD": "other",
    "TTY": "other",
    "MD": "other",
}
"""HL7 table 0202."""
_DIGIT = re.compile(r"\d", re.ASCII)
_FEWEST_DIGITS = 3
"""Of an extension inside a hospital, and of 120."""
_NUMBER_IN_A_LIST = re.compile(r"(?!(?i:tel|ph|ext|x)\W?\d)[A-Za-z]+[-_/]?\d[\dA-Za-z]*", re.ASCII)
"""Letters that lead a number, as in the numbers of people and of departments."""


@function(parts={"line": 1, "city": 3, "state": 4, "postalCode": 5, "country": 6, "use": 7, "type": 7, "district": 9})
def address(options: Options) -> Apply:
    """An address (Address)."""

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        parts = scope.components(raw)
        parts += [""] * (9 - len(parts))
        found: dict[str, Any] = {}
        kind = parts[6].upper()
        if kind in _ADDRESS_USE:
            found["use"] = _ADDRESS_USE[kind]
        elif kind in _ADDRESS_TYPE:
            found["type"] = _ADDRESS_TYPE[kind]
        elif kind and kind not in _ADDRESS_PLAIN:
            scope.doubt("code-unmapped", "a kind of address that is not known", 7, Severity.INFORMATION)
        lines = [part for part in (*_street(raw, parts[0], scope), parts[1], parts[7]) if part]
        if lines:
            found["line"] = lines
        for element, at in (("city", 2), ("district", 8), ("state", 3), ("postalCode", 4), ("country", 5)):
            if parts[at]:
                found[element] = parts[at]
        if not found.keys() - {"use", "type"}:
            return None
        if len(parts) > 12 and (valid := period_of(parts[12], parts[13] if len(parts) > 13 else "", scope, 13)):
            found["period"] = valid
        return found

    return apply


@function(2, repeats=True)
def district(options: Options) -> Apply:
    """The county that a field of its own names (PID-12), as an address, unless an address (PID-11) names it itself."""

    def apply(raw: str, addresses: str, scope: Scope) -> dict[str, Any] | None:
        county = scope.first(raw)
        if not county:
            return None
        stated = [parts[8] for each in addresses.split("~") if len(parts := scope.components(each)) > 8]
        return {"district": county} if county not in stated else None

    return apply


def _street(raw: str, first: str, scope: Scope) -> list[str]:
    """The street address (SAD): street, name of the street and number of the dwelling stand as subcomponents."""
    whole = raw.split("^", 1)[0]
    return [scope.plain(part) for part in whole.split("&")[:3]] if "&" in whole else [first]


@function(parts={"value": 1, "use": 2, "system": 3})
def telecom(options: Options) -> Apply:
    """A telephone number or e-mail address (ContactPoint); `as` says the use where the sender does not."""
    default = options.argument or ""

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        parts = scope.components(raw)
        parts += [""] * (12 - len(parts))
        equipment = parts[2].upper()
        number = parts[11] or parts[0] or _built(parts)
        system = _CONTACT_SYSTEM.get(equipment, "phone")
        if parts[3] and (system == "email" or not number):
            number, system = parts[3], "email"
        if not number:
            return None
        if system != "email" and not number.isascii() and (narrow := folded(number)).isascii():
            scope.doubt("number-format", "a telephone number in full-width digits", 1, Severity.INFORMATION)
            number = narrow
        use = "mobile" if equipment == "CP" else _CONTACT_USE.get(parts[1].upper(), default)
        found: dict[str, Any] = {"system": system, "value": number}
        if use:
            found["use"] = use
        if len(parts) > 17 and parts[17].isdecimal() and parts[17].isascii() and int(parts[17]) > 0:
            found["rank"] = int(parts[17])
        if len(parts) > 12 and (valid := period_of(parts[12], parts[13] if len(parts) > 13 else "", scope, 13)):
            found["period"] = valid
        return found

    return apply


def _built(parts: list[str]) -> str:
    """A number from its country, area, local and extension parts."""
    country, area, local, extension = parts[4:8]
    if not local:
        return ""
    number = "-".join(part for part in (area, local) if part)
    if country:
        number = f"+{country.lstrip('+')} {number}"
    return f"{number} x{extension}" if extension else number


def reaches_somebody(value: str) -> bool:
    """Whether a text can be a telephone number, an e-mail address or a URL: `D0112` is somebody's number in a list."""
    text = folded(value)
    if "@" in text or "://" in text:
        return True
    return len(_DIGIT.findall(text)) >= _FEWEST_DIGITS and not _NUMBER_IN_A_LIST.fullmatch(text)
