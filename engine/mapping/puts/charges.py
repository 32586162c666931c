"""FT1 and PID-18: what is charged, at what price, and to which account."""

from __future__ import annotations

from typing import Any

from engine.identifiers import facility_system
from engine.mapping.lens.back import Back, Field
from engine.mapping.puts.codes import Written
from engine.mapping.puts.medications import organization_code
from engine.mapping.puts.patients import type_code
from engine.mapping.puts.people import person_parts
from engine.mapping.puts.prescriptions import refused
from engine.mapping.puts.results import written_number
from engine.mapping.puts.times import written_period, written_time
from engine.mapping.registry import Options, Put, puts

_KINDS = {"billable": "CG", "billed": "CG", "aborted": "CD", "entered-in-error": "CD", "unknown": "AJ"}
"""FT1-6 (HL7 table 0017): a charge, a credit that takes it back, an adjustment."""
_ACCOUNT = "AN"
_PERFORMED = "PRF"


@puts("charge_status")
def write_charge_status(options: Options) -> Put:
    def put(status: Any, back: Back) -> Field | None:
        if status not in _KINDS:
            raise refused(back.message_type, "ChargeItem", status)
        return _KINDS[status]

    return put


@puts("transaction_number")
def write_transaction_number(options: Options) -> Put:
    return lambda identifier, back: identifier.get("value") or None


@puts("charged_at")
def write_charged_at(options: Options) -> Put:
    def put(resource: Any, back: Back) -> Field | None:
        if "occurrencePeriod" in resource:
            return written_period(resource["occurrencePeriod"])
        return written_time(resource.get("occurrenceDateTime")) or None

    return put


@puts("charged_quantity")
def write_charged_quantity(options: Options) -> Put:
    return lambda quantity, back: written_number(quantity.get("value")) or None


@puts("charged_code")
def write_charged_code(options: Options) -> Put:
    """The code, and its words in FT1-8 where they are others than the code's own."""
    written = Written(options, None)

    def put(concept: Any, back: Back) -> dict[int, Field] | None:
        codings, text = concept.get("coding", ()), concept.get("text", "")
        found = written.of({"coding": codings} if codings else concept)
        shown = next((each["display"] for each in codings if each.get("display")), "" if codings else text)
        return {0: found, 1: "" if text == shown else text} if found is not None else None

    return put


@puts("price")
def write_price(options: Options) -> Put:
    """The price of the whole (FT1-11), with its currency."""

    def put(money: Any, back: Back) -> dict[int, Field] | None:
        number = written_number(money.get("value"))
        return {0: ((number, money.get("currency", "")),)} if number else None

    return put


@puts("department")
def write_department(options: Options) -> Put:
    return organization_code


@puts("charge_performer")
def write_charge_performer(options: Options) -> Put:
    part = options.argument or _PERFORMED

    def put(performer: Any, back: Back) -> Field | None:
        codes = [coding.get("code") for coding in performer.get("function", {}).get("coding", ())]
        meant = part in codes or (part == _PERFORMED and "function" not in performer)
        return person_parts(performer.get("actor", {}), back) if meant else None

    return put


@puts("account_number")
def write_account_number(options: Options) -> Put:
    prefix = facility_system(options.facility, "account")

    def put(identifier: Any, back: Back) -> Field | None:
        value, system, kind = identifier.get("value", ""), identifier.get("system", ""), type_code(identifier)
        authority = system.removeprefix(f"{prefix}:") if system.startswith(f"{prefix}:") else ""
        return (value, "", "", authority, "" if kind == _ACCOUNT else kind) if value else None

    return put
