"""SCH, AIS, AIG, AIL and AIP: an appointment, what is booked for it, and times that are blocked or free again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from engine.clock import CHINA
from engine.identifiers import facility_system
from engine.mapping.functions.participations import ACCEPTED, CONTACT, ENTERER
from engine.mapping.lens.actions import action
from engine.mapping.lens.back import Back, Field, target
from engine.mapping.puts.codes import Coding, Written
from engine.mapping.puts.locations import place_parts
from engine.mapping.puts.patients import type_code
from engine.mapping.puts.people import person_parts
from engine.mapping.puts.times import written_time
from engine.mapping.registry import Options, Put, puts

_WITH_TQ1 = (2, 5)
"""The version that brought TQ1."""
_WITHOUT_TQ = (2, 7)
"""The version that withdrew the datatype of SCH-11."""
_ENDING = ("S15", "S16", "S17", "S26")
_MINUTE = timedelta(minutes=1)
_SECOND = timedelta(seconds=1)
_DESCRIPTION = 8
"""Component of PL, from 0."""
_ACTOR, _KIND, _STATUS, _ACTION, _START, _AMOUNT, _UNIT = 0, 1, 2, 3, 4, 7, 8
"""Places of the fields that the functions of AIG, AIL and AIP take."""


def written_number_of(identifier: Any, system: str) -> Field | None:
    """An identifier as EI; a system of the facility's own is named by what follows its own part."""
    value, stated = identifier.get("value", ""), identifier.get("system", "")
    if not value:
        return None
    if stated == system or not stated:
        return (value,)
    if stated.startswith(f"{system}:"):
        return (value, stated.removeprefix(f"{system}:"))
    if stated.startswith("urn:oid:"):
        return (value, "", stated.removeprefix("urn:oid:"), "ISO")
    return (value, "", stated, "URI")


def is_number_of(identifier: Any, kind: str, system: str, *, default: str) -> bool:
    """Whether an identifier is of a kind (PLAC, FILL): by its type, else by its system, else where none is said."""
    stated = identifier.get("system", "")
    known = type_code(identifier)
    if known in ("PLAC", "FILL"):
        return known == kind
    return kind == default or stated == system or stated.startswith(f"{system}:")


def event_of(back: Back) -> str:
    return back.message_type.partition("^")[2]


@puts("appointment_number")
def write_number(options: Options) -> Put:
    """An identifier that does not say whose it is, is the filler's: the one who books tells of appointments."""
    kind = options.argument or "PLAC"
    system = facility_system(options.facility, "appointment-placer" if kind == "PLAC" else "appointment-filler")
    placer = facility_system(options.facility, "appointment-placer")

    def put(identifier: Any, back: Back) -> Field | None:
        default = "PLAC" if identifier.get("system", "").startswith(placer) else "FILL"
        if not is_number_of(identifier, kind, system, default=default):
            return None
        return written_number_of(identifier, system)

    return put


@puts("appointment_status")
def write_status(options: Options) -> Put:
    table = options.tables["appointment_status"]

    def put(status: Any, back: Back) -> dict[int, Field] | None:
        local = table.back(status)
        return {0: local} if local else None

    return put


@puts("cancelation_reason", "appointment_type")
def write_first_code(options: Options) -> Put:
    """The reason or type in its own field; the others that the function reads have rows of their own."""
    written = Written(options, None)

    def put(value: Any, back: Back) -> dict[int, Field] | None:
        found = written.of(value)
        return {0: found} if found is not None else None

    return put


@puts("appointment_reason", inverts=True)
def write_reason(options: Options) -> Put:
    written = Written(options, options.table)
    return lambda value, back: written.of(value)


@puts("appointment_minutes")
def write_minutes(options: Options) -> Put:
    return lambda value, back: {0: str(value), 1: "min"} if isinstance(value, int) and value > 0 else None


@puts("appointment_time")
def write_appointment_time(options: Options) -> Put:
    """Start and end in TQ1, and in SCH-11 as long as HL7 has it: most systems look only there."""

    def put(resource: Any, back: Back) -> dict[int, Field] | None:
        start, end = local_time(resource.get("start")), local_time(resource.get("end"))
        if not start and not end:
            return None
        found: dict[int, Field] = {}
        if back.version >= _WITH_TQ1:
            found = {0: start, 1: end}
        if back.version < _WITHOUT_TQ:
            found[2] = ("", "", "", start, end)
        return found

    return put


def local_time(text: Any) -> str:
    """A moment by the clock on the wall, to the second where nothing finer is said.

    A receiver that does not look at zones would otherwise expect the patient eight hours early.
    """
    if not isinstance(text, str) or "T" not in text:
        return written_time(text)
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo is None else moment.astimezone(CHINA)
    finer = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    return f"{moment:%Y%m%d%H%M%S}{finer}"


def _lasting(period: Any) -> tuple[str, str, str]:
    """Start, how long it takes and the unit of that; as far as a period says it."""
    start, end = local_time(period.get("start")), local_time(period.get("end"))
    if not start or not end or "T" not in period["start"] or "T" not in period["end"]:
        return start, "", ""
    began, ended = datetime.fromisoformat(period["start"]), datetime.fromisoformat(period["end"])
    takes = ended - began
    if takes < timedelta(0) or takes % _SECOND:
        return start, "", ""
    return (start, str(takes // _SECOND), "s") if takes % _MINUTE else (start, str(takes // _MINUTE), "min")


@puts("resource_time", "slot_time")
def write_own_time(options: Options) -> Put:
    """By the start and the duration of what is booked: the first three fields."""

    def put(resource: Any, back: Back) -> dict[int, Field] | None:
        start, amount, unit = _lasting({name: resource[name] for name in ("start", "end") if resource.get(name)})
        return {0: start, 1: amount, 2: unit} if start else None

    return put


@puts("service_period")
def write_service_period(options: Options) -> Put:
    def put(period: Any, back: Back) -> dict[int, Field] | None:
        start, amount, unit = _lasting(period)
        return {0: start, 1: amount, 2: unit} if start else None

    return put


@puts("booked_service")
def write_booked_service(options: Options) -> Put:
    written = Written(options, None)

    def put(value: Any, back: Back) -> dict[int, Field] | None:
        found = written.of(value)
        return {0: found, 1: action(event_of(back))} if found is not None else None

    return put


def _codings(participant: Any) -> list[Coding]:
    return [coding for kind in participant.get("type", ()) for coding in kind.get("coding", ())]


def _is_contact(participant: Any) -> bool:
    return any(coding.get("system") in (CONTACT, ENTERER) for coding in _codings(participant))


@puts("appointment_contact")
def write_contact(options: Options) -> Put:
    part = options.argument or "placer-contact"
    system = ENTERER if part == "enterer" else CONTACT

    def put(participant: Any, back: Back) -> Field | None:
        known = any(each.get("system") == system and each.get("code") == part for each in _codings(participant))
        return person_parts(participant.get("actor", {}), back) if known else None

    return put


def device_parts(reference: Any, back: Back) -> tuple[str, ...] | None:
    """The code and the name of a device; None where the reference names none."""
    if _kind(reference) != "Device":
        return None
    found = back.resource(reference)
    identifier = next(iter(found.get("identifier", ())), None) or reference.get("identifier", {})
    names = [each.get("name", "") for each in found.get("deviceName", ())]
    parts = identifier.get("value", ""), next(iter(names), "") or reference.get("display", "")
    return parts if any(parts) else None


def _place(reference: Any, back: Back) -> tuple[str, ...] | None:
    """Where the number of a place is not what people call it, that stands beside it (PL.9)."""
    parts = place_parts(reference, back) if _kind(reference) == "Location" else None
    name = back.resource(reference).get("name", "")
    if parts is None or parts[_DESCRIPTION] or name in ("", *parts):
        return parts
    return (*parts[:_DESCRIPTION], name)


def _person(reference: Any, back: Back) -> tuple[str, ...] | None:
    """A reference that holds only words may be to anybody or anything: a place is never made a person."""
    return person_parts(reference, back) if _kind(reference) else None


def _kind(reference: Any) -> str:
    return target(reference).partition("/")[0] or str(reference.get("type", ""))


_ACTORS: Mapping[str, Put] = {"person": _person, "place": _place, "equipment": device_parts}


class _Booked:
    """Writes a participant: who or what it is, and in what part, state and time it takes part."""

    def __init__(self, options: Options, kind: str) -> None:
        self._actor = _ACTORS[kind]
        self._alone = kind == "equipment"
        self._kind_of, self._statuses = Written(options, None), options.tables["participation_status"]

    def put(self, participant: Any, back: Back) -> dict[int, Field] | None:
        if _is_contact(participant):
            return None
        actor, kinds = participant.get("actor"), participant.get("type", ())
        who = self._actor(actor, back) if actor else None
        kind = self._kind_of.of(kinds[0]) if kinds else None
        if who is None and (actor or kind is None or not self._alone):
            return None
        start, amount, unit = _lasting(participant.get("period", {}))
        said: dict[int, Field | None] = {
            _ACTOR: who,
            _KIND: kind,
            _STATUS: self._status(participant.get("status", ""), back),
            _ACTION: action(event_of(back)),
            _START: start,
            _AMOUNT: amount,
            _UNIT: unit,
        }
        return {at: value for at, value in said.items() if value}

    def _status(self, status: str, back: Back) -> str:
        """Who takes part in what does not take place is not said to be booked."""
        if status == ACCEPTED and event_of(back) in _ENDING:
            return ""
        return self._statuses.back(status)


@puts("booked_person")
def write_booked_person(options: Options) -> Put:
    return _Booked(options, "person").put


@puts("booked_place")
def write_booked_place(options: Options) -> Put:
    return _Booked(options, "place").put


@puts("booked_equipment")
def write_booked_equipment(options: Options) -> Put:
    return _Booked(options, "equipment").put


@puts("scheduled")
def write_scheduled(options: Options) -> Put:
    return _ACTORS[options.argument or "person"]


@puts("slot_reason")
def write_slot_reason(options: Options) -> Put:
    return lambda value, back: ("", value) if isinstance(value, str) and value else None
