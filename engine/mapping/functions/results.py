"""OBX: what was found. The type of the value stands in OBX-2; a value that is not what it says is kept as text."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from engine.finding import Severity
from engine.identifiers import is_uid
from engine.mapping.functions.codes import Concepts
from engine.mapping.functions.embedded import EmbeddedUnreadable, embedded, pointer
from engine.mapping.functions.moments import moment
from engine.mapping.functions.numbers import between, compared, folded, number, quantity
from engine.mapping.functions.powers import amount_and_unit
from engine.mapping.functions.texts import joined_lines
from engine.mapping.functions.times import read_moment
from engine.mapping.functions.units import Units
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope

_ATTACHMENT = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Observation.value"
_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_MISSING: dict[str, dict[str, Any]] = {
    "N": {"dataAbsentReason": {"coding": [{"system": _ABSENT, "code": "not-asked"}]}}
}
"""Why a result has no value, by its status (HL7 table 0085)."""
_TEXTS = frozenset({"ST", "TX", "FT", "", "VR", "ID", "SI", "HD", "EI"})
_WORDS = frozenset({"ST", "TX", "FT", ""})
"""Texts that may hold a number, as systems write it that type everything as text; the others hold numbers of things."""
_LONGEST_CODE = 32
"""A longer code of what was measured is not repeated in a finding: it may be words."""
_CODED = frozenset({"CE", "CWE", "CNE", "CF", "IS"})
_TIMES = frozenset({"TS", "DTM", "DT"})


@function(5, elements=True, repeats=True)
def observation_value(options: Options) -> Apply:
    """The value of a result by its type, from OBX-5, OBX-2 and OBX-6; several coded values repeat the code of OBX-3.

    Where there is no value, OBX-11 may say why.
    """
    concepts, units = Concepts(options), Units(options)

    def of_text(raw: str, kind: str, unit: str, code: str, scope: Scope) -> dict[str, Any] | None:
        """A text with a unit is a number where it can be; words have no unit, so that of theirs is said to be left."""
        if unit and kind in _WORDS and (found := _number_in_text(raw, unit, code, units, scope)) is not None:
            return found
        if unit:
            _leave_unit(unit, scope)
        return _text(raw, scope)

    def apply(raw: str, kind: str, unit: str, code: str, status: str, scope: Scope) -> dict[str, Any] | None:
        if not raw:
            return _MISSING.get(status)
        if kind == "NM":
            exact = number(raw)
            if exact is not None:
                known = units.known.get(unit)
                if known is None:
                    known = units.told(unit, scope)
                return {"valueQuantity": {"value": exact, **known}}
            loose = _loose_number(raw, unit, units, scope)
            if unit and loose is not None and "valueString" in loose:
                _leave_unit(unit, scope)
            return loose
        if kind in _TEXTS:
            return of_text(raw, kind, unit, code, scope)
        if kind in _CODED:
            return _coded(raw, code, concepts, scope)
        if kind == "CQ":
            return _amount(raw, units, scope)
        if kind == "SN":
            return _structured_number(raw, unit, units, scope)
        if kind in _TIMES:
            return _time(raw, scope)
        if kind == "TM":
            return _time_of_day(raw, scope)
        if kind == "DR":
            return _period(raw, scope)
        if kind == "NR":
            return _range(raw, units.told(unit, scope), scope)
        if kind == "ED":
            return _embedded(raw, scope)
        if kind == "RP":
            return _pointer(raw, scope)
        if (plain := scope.first(kind).upper()) != kind:  # `CWE^^HL70125`, `nm`
            return apply(raw, plain, unit, code, status, scope)
        scope.doubt("value-type-unknown", "a type of value that is not read yet; the value is kept as text")
        return of_text(raw, kind, unit, code, scope)

    return apply


def _number_in_text(raw: str, unit: str, code: str, units: Units, scope: Scope) -> dict[str, Any] | None:
    """`<0.5` typed as text, with a unit beside it, is a quantity; None for anything that is more than a number."""
    text = folded(scope.plain(raw))
    exact = number(text)
    against = compared(text) if exact is None else ("", exact)
    if against is None or not units.read(unit, scope):
        return None
    measured = scope.first(code)
    shown = measured if len(measured) <= _LONGEST_CODE else ""
    said = "a number with a unit that is typed as text; it is read as a number"
    scope.doubt("number-format", said, 1, Severity.INFORMATION, once=f"OBX-3 {shown}".strip())
    return {"valueQuantity": quantity(against[1], units.told(unit, scope), against[0])}


def _leave_unit(unit: str, scope: Scope) -> None:
    """FHIR has no place for the unit of a text."""
    if unit.replace('""', "").strip("^&~ "):
        scope.left_out["OBX-6"] = None


def _amount(raw: str, units: Units, scope: Scope) -> dict[str, Any] | None:
    """CQ: a quantity that brings its unit."""
    much, of_what = amount_and_unit(raw)
    exact = number(folded(scope.plain(much)))
    if exact is None or "~" in raw:
        scope.doubt("number-unreadable", "a CQ that is no quantity; kept as text", 1)
        return _text(raw, scope)
    return {"valueQuantity": quantity(exact, units.told(of_what, scope))}


def _text(raw: str, scope: Scope) -> dict[str, Any] | None:
    text = joined_lines(raw, scope)
    return {"valueString": text} if text else None


def _loose_number(raw: str, unit: str, units: Units, scope: Scope) -> dict[str, Any] | None:
    """NM that holds something else: `<0.5` says what it means; anything in two values, or in words, stays text."""
    if "~" in raw:
        scope.doubt("number-unreadable", "several numbers in one NM; kept as text")
        return _text(raw, scope)
    text = folded(scope.first(raw))
    if any(scope.components(raw)[1:]):  # `1^390.9`: nobody knows which of them is the number
        scope.doubt("number-unreadable", "an NM of several components; kept as text")
        return _text(raw, scope)
    if not text:
        return None
    exact = number(text)
    if exact is not None:
        if text != raw:
            scope.doubt("number-format", "a number in an unusual form", 1, Severity.INFORMATION)
        return {"valueQuantity": quantity(exact, units.told(unit, scope))}
    against = compared(text)
    if against is not None:
        scope.doubt("number-format", "a comparator in an NM, where SN belongs", 1, Severity.INFORMATION)
        return {"valueQuantity": quantity(against[1], units.told(unit, scope), against[0])}
    if unit and (limits := between(text)) is not None and units.read(unit, scope):
        scope.doubt("number-format", "a range in an NM, where SN belongs", 1, Severity.INFORMATION)
        return _between(limits, units.told(unit, scope))
    scope.doubt("number-unreadable", "an NM that is no number; kept as text", 1)
    return _text(raw, scope)


def _coded(raw: str, code: str, concepts: Concepts, scope: Scope) -> dict[str, Any] | None:
    """One coded value; several become components, each with the code of the whole."""
    values = [found for each in raw.split("~") if (found := concepts.read(each, scope)).codings or found.text]
    if not values:
        return None
    if len(values) == 1:
        return {"valueCodeableConcept": values[0].as_json()}
    whole = concepts.read(code, scope).as_json()
    return {"component": [{"code": whole, "valueCodeableConcept": value.as_json()} for value in values]}


def _structured_number(raw: str, unit: str, units: Units, scope: Scope) -> dict[str, Any] | None:
    """SN (HL7 v2.5.1 chapter 2A): comparator, number, separator or suffix, number; with its unit, also as text."""
    parts = [folded(part) for part in scope.components(raw)]
    parts += [""] * (4 - len(parts))
    comparator, low, separator, high = parts[0], number(parts[1]), parts[2], number(parts[3])
    if low is not None and not parts[3] and not separator and comparator in ("", "=", "<", ">", "<=", ">="):
        return {"valueQuantity": quantity(low, units.told(unit, scope), "" if comparator == "=" else comparator)}
    if low is not None and high is not None and comparator in ("", "="):
        if separator == "-":
            return _between((low, high), units.told(unit, scope))
        if separator in (":", "/"):
            of = units.told(unit, scope)
            return {"valueRatio": {"numerator": quantity(low, of), "denominator": quantity(high, of)}}
    if low is not None or high is not None:
        return _text_of_parts([*parts, units.read(unit, scope).get("unit", "")], scope)
    if unit:
        _leave_unit(unit, scope)
    return _text_of_parts(parts, scope)


def _between(limits: tuple[Decimal, Decimal], unit: dict[str, str]) -> dict[str, Any]:
    return {"valueRange": {"low": quantity(limits[0], unit), "high": quantity(limits[1], unit)}}


def _text_of_parts(parts: list[str], scope: Scope) -> dict[str, Any] | None:
    text = " ".join(part for part in parts if part)
    if not text:
        return None
    scope.doubt("number-unreadable", "an SN that is no quantity, range or ratio; kept as text", 0, Severity.INFORMATION)
    return {"valueString": text}


def _time(raw: str, scope: Scope) -> dict[str, Any] | None:
    found = read_moment(scope.first(raw), scope)
    if found.date_time:
        return {"valueDateTime": found.date_time}
    return _text(raw, scope)


def _time_of_day(raw: str, scope: Scope) -> dict[str, Any] | None:
    found = moment("20000101" + scope.first(raw).replace(":", ""))
    if found.has_time:
        return {"valueTime": found.date_time[11:19]}
    scope.doubt("time-unreadable", "no time of day that can be read; kept as text", 1)
    return _text(raw, scope)


def _period(raw: str, scope: Scope) -> dict[str, Any] | None:
    parts = [*scope.components(raw), ""]
    period = {}
    for element, part, component in (("start", parts[0], 1), ("end", parts[1], 2)):
        if part and (found := read_moment(part, scope, component)).date_time:
            period[element] = found.date_time
    return {"valuePeriod": period} if period else _text(raw, scope)


def _range(raw: str, unit: dict[str, str], scope: Scope) -> dict[str, Any] | None:
    parts = [*scope.components(raw), ""]
    low, high = number(folded(parts[0])), number(folded(parts[1]))
    limits = {
        name: quantity(limit, unit)
        for name, limit in (("low", low), ("high", high))
        if limit is not None and isinstance(limit, Decimal)
    }
    return {"valueRange": limits} if limits else _text(raw, scope)


def _embedded(raw: str, scope: Scope) -> dict[str, Any] | None:
    """R4 has no attachment here, so R5's extension carries it."""
    try:
        found = embedded(raw, scope)
    except EmbeddedUnreadable:
        return _absent()
    return _attachment(found) if found is not None else None


def _pointer(raw: str, scope: Scope) -> dict[str, Any] | None:
    address, media = pointer(raw, scope)
    if not address:
        return None
    if is_uid(address):
        return {"valueString": address}
    if ":" not in address:
        scope.doubt("pointer-relative", "a pointer without a scheme; kept as text", 1, Severity.INFORMATION)
        return {"valueString": address}
    return _attachment({"contentType": media, "url": address})


def _attachment(attachment: dict[str, str]) -> dict[str, Any]:
    return {"extension": [{"url": _ATTACHMENT, "valueAttachment": attachment}]}


def _absent() -> dict[str, Any]:
    return {"dataAbsentReason": {"coding": [{"system": _ABSENT, "code": "error"}]}}


@function(remember=True, repeats=True)
def reference_range(options: Options) -> Apply:
    """The reference range, as text and, where it is `low-high`, `<high` or `>low`, as numbers.

    OBX-7 is text that does not repeat: `3.5~5.3` is one range, whose sender did not escape the `~`.
    """

    def apply(raw: str, scope: Scope) -> list[dict[str, Any]] | None:
        text = scope.plain(raw)
        if not text:
            return None
        low, high = _limits(folded(text))
        entry: dict[str, Any] = {"text": text}
        if low is not None:
            entry["low"] = {"value": low}
        if high is not None:
            entry["high"] = {"value": high}
        return [entry]

    return apply


def _limits(text: str) -> tuple[Decimal | None, Decimal | None]:
    if (both := between(text)) is not None:
        return both
    against = compared(text)
    if against is not None:
        comparator, limit = against
        return (None, limit) if comparator.startswith("<") else (limit, None)
    return None, None
