"""FT1 and PID-18: what is charged, at what price, and to which account."""

from __future__ import annotations

import re
from typing import Any

from engine.identifiers import facility_system, resource_id
from engine.mapping.functions.codes import Concepts, concept, looked_up
from engine.mapping.functions.ids import code_key
from engine.mapping.functions.numbers import folded, number
from engine.mapping.functions.patients import authority_of, typed
from engine.mapping.functions.people import People, mention_organization
from engine.mapping.functions.times import read_moment
from engine.mapping.registry import Apply, MakeId, Options, function, makes_id
from engine.mapping.scope import Scope

_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
HOME_CURRENCY = "CNY"
"""Of a price that names no currency: the systems of a county charge in yuan."""
_NO_CHARGE = "charge-not-recorded"


@makes_id(5)
def charge_id(options: Options) -> MakeId:
    """From the facility, the transaction (FT1-2) and the code; without FT1-2 patient, visit, code, date and FT1-1."""
    facility = options.facility

    def make(transaction: str, visit: str, code: str, at: str, position: str, within: str, scope: Scope) -> str | None:
        number, key, when = scope.first(transaction), code_key(code, scope), scope.first(at)
        if number:
            # One number may stand for every line of a bill.
            found = resource_id("ChargeItem", facility, number, key)
            if found in scope.ids:
                text = "two charges of one number and one code; what the second says beyond the first is added"
                scope.doubt("charge-number-repeated", text)
            return found
        if not within or not key or not when:
            return None
        return resource_id("ChargeItem", facility, within, scope.first(visit), key, when, scope.first(position))

    return make


@makes_id(1)
def account_id(options: Options) -> MakeId:
    """From the facility and the number of the account (PID-18)."""
    facility = options.facility

    def make(account: str, within: str, scope: Scope) -> str | None:
        parts = scope.components(account)
        return resource_id("Account", facility, authority_of(parts, account), parts[0]) if parts[0] else None

    return make


@function(parts={"value": 1})
def account_number(options: Options) -> Apply:
    """The number of an account (CX) as an Identifier."""

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        parts = scope.components(raw)
        if not parts[0]:
            return None
        kind = parts[4].upper() if len(parts) > 4 and parts[4] else "AN"
        system = facility_system(options.facility, "account", authority_of(parts, raw))
        return {"type": typed(kind), "system": system, "value": parts[0]}

    return apply


@function()
def charge_status(options: Options) -> Apply:
    """The state of a charge from what the transaction is (FT1-6): a credit takes it back; a payment is none."""
    table = options.tables["charge_kinds"]

    def apply(kind: str, scope: Scope) -> str | None:
        code = scope.first(kind)
        row = looked_up(table, code, scope) if code else None
        if row is not None and not row["code"]:
            scope.doubt(_NO_CHARGE, "a transaction that is no charge; it is recorded in an unknown state")
        return row["code"] if row is not None and row["code"] else "unknown"

    return apply


@function(parts={"value": 1})
def transaction_number(options: Options) -> Apply:
    """The number of a transaction (FT1-2) as an Identifier."""
    system = facility_system(options.facility, "transaction")

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        value = scope.first(raw)
        return {"system": system, "value": value} if value else None

    return apply


@function(elements=True)
def charged_at(options: Options) -> Apply:
    """When the service was done (DR, FT1-4): a moment, or a period where there is an end."""

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        parts = [*scope.components(raw), ""]
        begins = read_moment(parts[0], scope, 1).date_time if parts[0] else ""
        ends = read_moment(parts[1], scope, 2).date_time if parts[1] else ""
        if begins and ends and begins != ends:
            return {"occurrencePeriod": {"start": begins, "end": ends}}
        return {"occurrenceDateTime": begins or ends} if begins or ends else None

    return apply


@function()
def charged_quantity(options: Options) -> Apply:
    """How many times it was done."""

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        text = folded(scope.first(raw))
        exact = number(text) if text else None
        if text and exact is None:
            scope.doubt("number-unreadable", "an amount that is no number; it is left out", 1)
        return {"value": exact} if exact is not None else None

    return apply


@function(3)
def price(options: Options) -> Apply:
    """The price of the whole (FT1-11), else of one (FT1-12) times how many (FT1-10), as Money."""

    def money(raw: str, scope: Scope) -> dict[str, Any] | None:
        parts = [scope.plain(part) for part in raw.split("^", 1)[0].split("&")]
        text = folded(parts[0])
        if not text:
            return None
        exact = number(text)
        currency = parts[1].upper() if len(parts) > 1 and parts[1] else HOME_CURRENCY
        if exact is None or not _CURRENCY.fullmatch(currency):
            scope.doubt("number-unreadable", "a price that is no amount of money; it is left out", 1)
            return None
        return {"value": exact, "currency": currency}

    def apply(whole: str, one: str, times: str, scope: Scope) -> dict[str, Any] | None:
        if found := money(whole, scope):
            return found
        each = money(one, scope) if one else None
        much = number(folded(scope.first(times))) if each else None
        if each is None or (scope.first(times) and much is None):
            return None
        return {**each, "value": each["value"] * much} if much is not None else each

    return apply


@function()
def department(options: Options) -> Apply:
    """A department of the facility (CE) as an organisation."""
    codes = Concepts(options, numbers=True)

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        found = codes.read(raw, scope)
        number = found.codings[0]["code"] if found.codings else ""
        name = found.text or number
        reference: dict[str, Any] | None = mention_organization([name, "", number], options.facility, scope)
        return reference

    return apply


@function(parts={"actor": 1})
def charge_performer(options: Options) -> Apply:
    """Someone who did what is charged, in the part that `as` says: PRF did it, REF ordered it."""
    people, part = People(options), options.argument or "PRF"
    system = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        person = people.read(raw, scope)
        if person is None:
            return None
        return {"function": {"coding": [{"system": system, "code": part}]}, "actor": person}

    return apply


@function(3)
def charged_code(options: Options) -> Apply:
    """What is charged (FT1-7), its words from FT1-8 or FT1-9 where it has none."""
    coded = concept(Options(options.facility, options.tables))

    def apply(code: str, words: str, more: str, scope: Scope) -> dict[str, Any] | None:
        found = coded(code, scope) if code else None
        said = scope.first(words) or scope.first(more)
        if not said or (found is not None and "text" in found):
            return found
        return {**(found or {}), "text": said}

    return apply
