"""CX in PID: the identifiers of a patient."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from engine.finding import Severity
from engine.identifiers import HEALTH_CARD, ID_CARD, facility_system
from engine.mapping.functions.codes import concept, single_blanks
from engine.mapping.functions.id_card import id_card, normal
from engine.mapping.functions.times import period_of, read_moment
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope

IDENTIFIER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"
DEFAULT_TYPE = "PI"
"""Of a number whose type the sender does not say: HL7 table 0203, patient internal identifier."""
ID_CARD_TYPE = "NNCHN"
_ALWAYS_ID_CARD = frozenset({"NNCHN", "SFZ", "IDCARD", "ID_CARD", "身份证", "居民身份证", "身份证号", "01"})
"""Types that say 居民身份证 whatever the number looks like (01 is CV02.01.101)."""
_ID_CARD_BY_FORM = frozenset({"NI", "NN", "SS", "SB", "IN", "ID", "", "PI", "PT"})
"""Types under which a number with the form and the check character of a 居民身份证 is one."""
_NATIONAL = frozenset({"NI", "NN", "SB", "ID"})
"""Of these, the types that say a number of the whole country."""
LARGEST_BIRTH = 15
"""Children of one birth; more were never born."""
_HEALTH_CARD = frozenset({"JKK", "健康卡", "居民健康卡", "HEALTHCARD", "EHC"})


@lru_cache(maxsize=256)
def typed(code: str) -> dict[str, Any]:
    """The type of an identifier by its code."""
    return {"coding": [{"system": IDENTIFIER_TYPE, "code": single_blanks(code)}]}


def personal_identifier(value: str, kind: str, scope: Scope) -> dict[str, Any] | None:
    """The identifier of a 居民身份证 or 居民健康卡; None when this number is neither.

    A wrong check character is common: the number is kept with `use: temp`, so that nothing is matched by it.
    """
    kind = kind.upper()
    if kind in _HEALTH_CARD:
        return {"type": typed("HC"), "system": HEALTH_CARD, "value": normal(value)}
    certain = kind in _ALWAYS_ID_CARD
    if not certain and kind not in _ID_CARD_BY_FORM:
        return None
    number = normal(value)
    card = id_card(number)
    national = kind in _NATIONAL
    # A 15-digit number has no check character, so its form alone says nothing.
    if card is not None and card.valid and (certain or national or len(number) == 18):
        return {"use": "official", "type": typed(ID_CARD_TYPE), "system": ID_CARD, "value": card.number}
    if certain or (card is not None and national and len(number) == 18):
        scope.doubt("id-card-check-digit", "not a valid 居民身份证 number; nobody is matched by it", 1)
        return {"use": "temp", "type": typed(ID_CARD_TYPE), "system": ID_CARD, "value": number}
    return None


def authority_of(components: list[str], raw: str) -> str:
    """Who gave out a CX: CX.4.1, else CX.4.2, else CX.5, else nobody."""
    if len(components) > 3:
        if components[3]:
            return components[3]
        parts = raw.split("^")[3].split("&")
        if len(parts) > 1 and parts[1].strip():
            return parts[1].strip()
    return components[4].upper() if len(components) > 4 else ""


@function(parts={"value": 1, "system": 4, "type": 5, "period": 7})
def patient_identifier(options: Options) -> Apply:
    """An identifier of the patient; a 居民身份证 is recognised and checked. `as` is the type where none is given."""
    default, facility = options.argument or DEFAULT_TYPE, options.facility

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        parts = scope.components(raw)
        value, kind = parts[0], parts[4] if len(parts) > 4 else ""
        if not value:
            return None
        found = personal_identifier(value, kind, scope)
        if found is None:
            found = {
                "type": typed(kind.upper() or default),
                "system": facility_system(facility, "patient", authority_of(parts, raw)),
                "value": value,
            }
        if len(parts) > 6 and (valid := period_of(parts[6], parts[7] if len(parts) > 7 else "", scope, 7)):
            found["period"] = valid
        return found

    return apply


@function(parts={"value": 1})
def national_number(options: Options) -> Apply:
    """PID-19: a 居民身份证 number in China; any other number keeps its own kind (SS)."""
    facility = options.facility

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        value = scope.first(raw)
        if not value:
            return None
        card = id_card(value)
        if card is not None:
            return personal_identifier(value, ID_CARD_TYPE, scope)
        return {"type": typed("SS"), "system": facility_system(facility, "patient", "SS"), "value": value}

    return apply


@function(parts={"language": 1}, remember=True)
def language(options: Options) -> Apply:
    """A language the patient speaks."""
    read = concept(options)

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        value = read(raw, scope)
        return {"language": value} if value is not None else None

    return apply


@function(2, elements=True)
def multiple_birth(options: Options) -> Apply:
    """Whether the patient is one of several children of a birth: which one (PID-25), else Y or N (PID-24)."""

    def apply(indicator: str, order: str, scope: Scope) -> dict[str, Any] | None:
        number, word = scope.first(order), scope.first(indicator).upper()
        if number.isdecimal() and number.isascii() and 0 < int(number) <= LARGEST_BIRTH and word != "N":
            return {"multipleBirthInteger": int(number)}
        if number:
            scope.doubt("number-unreadable", "no place among children of one birth", 0, Severity.INFORMATION)
        if word in ("Y", "N"):
            return {"multipleBirthBoolean": word == "Y"}
        return None

    return apply


@function(2, elements=True)
def deceased(options: Options) -> Apply:
    """Whether and when the patient died: the time (PID-29) if there is one, else Y or N (PID-30)."""

    def apply(died: str, indicator: str, scope: Scope) -> dict[str, Any] | None:
        at = read_moment(scope.first(died), scope).date_time if scope.first(died) else ""
        if at:
            return {"deceasedDateTime": at}
        word = scope.first(indicator).upper()
        if word in ("Y", "N"):
            return {"deceasedBoolean": word == "Y"}
        return {"deceasedBoolean": True} if died and scope.first(died) else None

    return apply
