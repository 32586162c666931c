"""Which id does a resource get? Business identifiers decide: the same ones always give the same id."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.finding import Severity
from engine.identifiers import IdsWithin, resource_id
from engine.mapping.functions.patients import authority_of
from engine.mapping.registry import NOTHING_TO_IDENTIFY, MakeId, Options, makes_id
from engine.mapping.remembering import LIMIT_REMEMBERED, LIMIT_TEXT
from engine.mapping.scope import Scope

_OWN_TYPES = frozenset({"MR", "PI"})
_NEXT_TYPE = "PT"
_NO_VISIT = "N"
_DATA_OF: Mapping[str, Callable[[list[str]], str]] = {
    "ED": lambda parts: "".join(parts[4:5]),
    "RP": lambda parts: parts[0],
}
"""What is data in a value of such a type (HL7 v2.5.1 chapter 2A): the rest says how it is written."""
_UNIDENTIFIED = (
    "nothing says which visit this is, so none was recorded and nothing refers to it: its number (PV1-19) is needed, "
    "or the time of admission (PV1-44); if the sender writes the number elsewhere, give its facility a row visit-id"
)


def patient_key(field: str, scope: Scope) -> tuple[str, str] | None:
    """Authority and value of the identifier by which a facility knows its patient."""
    own = own_repetition(field, scope)
    if own is None:
        return None
    parts = scope.components(own)
    return authority_of(parts, own), parts[0]


def own_repetition(field: str, scope: Scope) -> str | None:
    """The repetition that holds it: the first of type MR or PI, else the first of type PT, else the first."""
    best: tuple[int, str] | None = None
    for raw in field.split("~"):
        parts = scope.components(raw)
        if not parts[0]:
            continue
        kind = parts[4].upper() if len(parts) > 4 else ""
        rank = 0 if kind in _OWN_TYPES else 1 if kind == _NEXT_TYPE else 2
        if best is None or rank < best[0]:
            best = (rank, raw)
    return best[1] if best is not None else None


@makes_id(5, repeats=True)
def patient_id(options: Options) -> MakeId:
    """From the facility and its own number of the patient: PID-3, else PID-2, PID-4, PID-19, PID-18."""
    facility = options.facility

    def make(pid3: str, pid2: str, pid4: str, pid19: str, pid18: str, within: str, scope: Scope) -> str | None:
        for field in (pid3, pid2, pid4, pid19, pid18):
            key = patient_key(field, scope) if field else None
            if key is not None:
                return resource_id("Patient", facility, *key)
        # Somebody without any number is a patient of this message alone: never guessed to be another.
        scope.doubt("patient-unidentified", "no field says which patient this is; recorded as a patient of its own")
        return resource_id("Patient", facility, "message", scope.fingerprint())

    return make


@makes_id(None)
def visit_id(options: Options) -> MakeId:
    """From the facility and the number of the visit, else from the patient and the time of admission.

    The third field is the class of the visit (PV1-2), where N says that there is none, the fourth the event (MSH-9):
    whoever tells of a visit without saying which one (A01 to A17) loses it, and should be told.
    """
    facility = options.facility

    def make(*said: object) -> str | None:
        *fields, within, scope = said
        assert isinstance(scope, Scope)
        number, admitted, kind, message_type = [*map(str, fields), "", "", ""][:4]
        visit = scope.first(number)
        if visit:
            return resource_id("Encounter", facility, visit)
        at = scope.first(admitted)
        if at and within:
            return resource_id("Encounter", facility, str(within), at)
        if scope.first(kind).upper() != _NO_VISIT:
            event = ([*scope.components(message_type), ""])[1]
            severity = Severity.WARNING if "A01" <= event <= "A17" else Severity.INFORMATION
            scope.doubt("visit-unidentified", _UNIDENTIFIED, severity=severity)
        return None

    return make


@makes_id(4)
def order_id(options: Options) -> MakeId:
    """From the facility and the placer's number of the order (OBR-2, ORC-2), else the filler's (OBR-3, ORC-3)."""
    facility = options.facility

    def make(obr2: str, orc2: str, obr3: str, orc3: str, within: str, scope: Scope) -> str | None:
        number = _first_of((obr2, orc2, obr3, orc3), scope)
        return resource_id("ServiceRequest", facility, number) if number else None

    return make


@makes_id(4)
def placed_order_id(options: Options) -> MakeId:
    """The same as order_id for orders that are placed: a second one with the same number is said, for it is lost."""
    number_of = order_id(options)

    def make(obr2: str, orc2: str, obr3: str, orc3: str, within: str, scope: Scope) -> str | None:
        found = number_of(obr2, orc2, obr3, orc3, within, scope)
        if found is not None and found in scope.ids:
            scope.doubt("order-number-repeated", "two orders of one number; what the second asks for is not recorded")
        return found

    return make


@makes_id(6)
def report_id(options: Options) -> MakeId:
    """From the facility, the filler's or placer's number of the order and the code of the service."""
    facility = options.facility

    def make(
        obr3: str, orc3: str, obr2: str, orc2: str, service: str, at: str, within: str, scope: Scope
    ) -> str | None:
        numbers = (obr3, orc3, obr2, orc2)
        found = identity(numbers, code_key(service, scope), at, within, scope)
        for raw in numbers:
            if raw and (number := scope.first(raw)) and found not in scope.reports.setdefault(number, []):
                scope.reports[number].append(found)
        return found

    def identity(numbers: tuple[str, ...], code: str, at: str, within: str, scope: Scope) -> str:
        number = _first_of(numbers, scope)
        if number:
            return resource_id("DiagnosticReport", facility, number, code)
        when = scope.first(at)
        if when and within:
            return resource_id("DiagnosticReport", facility, within, code, when)
        scope.doubt("report-unidentified", "no number and no time say which report this is; recorded as one of its own")
        return resource_id("DiagnosticReport", facility, "message", scope.fingerprint(), str(len(scope.ids)))

    return make


@makes_id(None, enough=2)
def observation_id(options: Options) -> MakeId:
    """From the report, the code and the sub-id of the result; a repeated one is counted.

    Value, type of the value and comment, where the row hands them in, tell whether a result without a code says
    anything: one that does needs a code, one that does not is left out.
    """
    facility = options.facility
    keys: dict[str, str] = {}
    report = "", IdsWithin("Observation", facility, "")

    def make(code: str, sub_id: str, *said: Any) -> str | None:
        nonlocal report
        within, scope = said[-2:]
        last = keys.get(code)
        if last is None:
            key = code_key(code, scope)
            last = f"{key}\x1f" if key else ""
            if len(code) <= LIMIT_TEXT:
                if len(keys) >= LIMIT_REMEMBERED:
                    keys.clear()
                keys[code] = last
        if not last:
            return _without_code(said[:-2], scope)
        if sub_id:
            last += scope.plain(sub_id)
        around, ids = report
        if around != within:
            ids = IdsWithin("Observation", facility, within)
            report = within, ids
        found = ids.id_of(last)
        position = 1
        while found in scope.ids:
            position += 1
            found = ids.id_of(f"{last}\x1f{position}")
        return found

    return make


def _without_code(content: Sequence[str], scope: Scope) -> str | None:
    """Nothing to identify where value, type and comment are known and say nothing; else somebody has to say it."""
    if len(content) != 3:
        return None
    value, kind, comment = content
    data = _DATA_OF[kind](value.split("^")) if kind in _DATA_OF else value
    if comment or data.strip('^~& "'):
        return None
    scope.doubt(
        "result-empty", "a result without a code and without a value is left out", severity=Severity.INFORMATION
    )
    return NOTHING_TO_IDENTIFY


@makes_id(3)
def specimen_id(options: Options) -> MakeId:
    """From the facility and the number of the specimen (SPM-2, SPM-30), else from the report and SPM-1."""
    facility = options.facility

    def make(number: str, accession: str, position: str, within: str, scope: Scope) -> str | None:
        parts = number.split("^")
        for part in (*parts[:2], accession.split("^")[0]):
            value = scope.first(part)
            if value:
                return resource_id("Specimen", facility, value)
        if within:
            return resource_id("Specimen", facility, within, scope.first(position))
        scope.doubt("specimen-unidentified", "no number says which specimen this is; it is not recorded")
        return None

    return make


@makes_id(1)
def specimen_source_id(options: Options) -> MakeId:
    """From the report or order, where OBR-15 says what was taken: systems before SPM number no specimen."""
    facility = options.facility

    def make(source: str, within: str, scope: Scope) -> str | None:
        return resource_id("Specimen", facility, within, "OBR-15") if source and within else None

    return make


def code_key(raw: str, scope: Scope) -> str:
    """What a code is known by: its code, else its text, else its other code or text."""
    if first := scope.first(raw):
        return first
    parts = scope.components(raw)
    for at in (1, 3, 4, 8):
        if at < len(parts) and parts[at]:
            return parts[at]
    return ""


def _first_of(fields: tuple[str, ...], scope: Scope) -> str:
    for raw in fields:
        if raw and (value := scope.first(raw)):
            return value
    return ""


@makes_id(2, repeats=True)
def mentioned_order_id(options: Options) -> MakeId:
    """From the facility and the order that something is about: the placer's number, else the filler's; the first."""
    facility = options.facility

    def make(placer: str, filler: str, within: str, scope: Scope) -> str | None:
        orders = placer if scope.first(placer.split("~")[0]) else filler
        if "~" in orders:
            scope.doubt("repetition-not-mapped", "only the first of several orders is taken", 0, Severity.INFORMATION)
        number = scope.first(orders.split("~")[0])
        return resource_id("ServiceRequest", facility, number) if number else None

    return make
