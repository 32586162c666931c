"""Which appointments and blocked times are there? SQM^S25: found in the record, and written as SQR^S25 has them.

A facility is told of its own appointments, and of those in which its patients take part; times are told without whom
they are for. Each is written by the mapping of SIU, so that it reads as the facility's own messages do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.answering import original_mode
from engine.answering.criteria import QueryError
from engine.clock import CHINA
from engine.codecs import er7
from engine.codecs.er7 import Message
from engine.errors import MappingError
from engine.identifiers import facility_system, resource_id
from engine.mapping import Context, MappingSet
from engine.mapping.functions.locations import Locations
from engine.mapping.functions.times import read_moment
from engine.mapping.lens import WriteContext
from engine.mapping.registry import Options
from engine.mapping.scope import Scope
from engine.store import records, search
from engine.store.database import Connection
from engine.store.search import Search
from engine.store.tokens import of_reference, of_value

_READ_AT_ONCE = 500
_APPOINTMENT, _BLOCKED, _OPENED = "SIU^S12", "SIU^S23", "SIU^S24"
_SEGMENTS = ("SCH", "TQ1", "NTE", "PID", "PV1", "PV2", "DG1", "RGS", "AIS", "AIG", "AIP", "AIL")
"""Of SQR_S25; what SIU has beyond them is left out."""
_ONCE = frozenset({"PID", "PV1", "PV2", "DG1"})
_PLACES = {"AIS": 1, "AIG": 2, "AIP": 3, "AIL": 4}
"""People stand before places in SQR, behind them in SIU."""
_REASON = "S25^Schedule query message and response^HL70003"
_FREE = "free"
_STATES = {_BLOCKED: "Blocked", _OPENED: "Open"}
Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """The asker: written in UTF-8 here, and in its own charset when the answer is put together."""

    version: str
    charset: str = "utf-8"
    sending_application: str = ""
    sending_facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""


class Schedules:
    """Finds and writes for one facility."""

    def __init__(self, mappings: MappingSet, facility: str, version: str, at: datetime) -> None:
        self._mappings, self._facility, self._at = mappings, facility, at
        self._endpoint = _Endpoint(version)

    async def found(
        self, connection: Connection, message: Message, patients: Sequence[Sequence[Resource]] | None
    ) -> list[tuple[str, str]]:
        """The reference and the SCH group of each that is asked for, by when it begins.

        patients  the source Patients of each person asked for; None where nobody is
        Raises QueryError where nothing says what is asked for.
        """
        numbers = original_mode.numbers_of_appointments(message)
        actors = [self._actor(each) for each in original_mode.resources_of(message)]
        if patients is None and not numbers and not actors:
            text = "asked too broadly: give a patient (QRD-8), an appointment (ARQ-1) or who or what is booked (AIP)"
            raise QueryError(text, location="QRD-8", code="required-missing")
        begins, ends = self._time(message)
        own = [f"Patient/{each['id']}" for person in patients or () for each in person]
        groups = [
            *([tuple(of_value("identifier", number) for number in numbers)] if numbers else []),
            *([tuple(of_reference("actor", each) for each in own)] if patients is not None else []),
            *([tuple(of_reference("actor", each) for each in actors if each)] if actors else []),
        ]
        if not all(groups):
            return []
        page = await search.page(connection, Search("Appointment", tuple(groups)), _READ_AT_ONCE)
        appointments = await self._bodies(connection, "Appointment", (each.id for each in page.resources))
        told = [each for each in appointments if self._is_own(each, own)]
        slots = await self._slots(connection, actors) if actors and patients is None and not numbers else []
        wanted = sorted(
            (each for each in (*told, *slots) if _is_within(each, begins, ends)),
            key=lambda each: (str(each.get("start", "")), each["id"]),
        )
        written = [(each, await self._written(connection, each)) for each in wanted]
        return [(f"{each['resourceType']}/{each['id']}", group) for each, group in written if group]

    def _actor(self, named: original_mode.Named) -> str:
        """The reference under which messages of the facility book somebody or something; empty where it names none."""
        scope = Scope(Context(self._facility, "", "", self._at), "utf-8", b"")
        number = scope.components(named.raw)[0]
        if named.kind == "place":
            found = Locations(Options(self._facility, self._mappings.tables(self._facility))).read(named.raw, scope)
            return str(found.get("reference", "")) if found is not None else ""
        kind = "Practitioner" if named.kind == "person" else "Device"
        return f"{kind}/{resource_id(kind, self._facility, number)}" if number else ""

    def _time(self, message: Message) -> tuple[datetime | None, datetime | None]:
        first, last, place = original_mode.time_asked(message)
        return self._moment(first, place), self._moment(last, place, ends=True)

    def _moment(self, text: str, place: str, ends: bool = False) -> datetime | None:
        if not text:
            return None
        found = read_moment(text, Scope(Context(self._facility, "", "", self._at), "utf-8", b"")).date_time
        if len(found) < len("2026-04-01"):
            raise QueryError("expected a date, or a date with a time", location=place)
        if "T" not in found:
            found += "T23:59:59+08:00" if ends else "T00:00:00+08:00"
        return datetime.fromisoformat(found)

    def _is_own(self, appointment: Resource, patients: Iterable[str]) -> bool:
        """Whether the facility gave it a number, or one of its own patients takes part."""
        mine = facility_system(self._facility, "")
        if any(str(each.get("system", "")).startswith(mine) for each in appointment.get("identifier", ())):
            return True
        actors = {each.get("actor", {}).get("reference") for each in appointment.get("participant", ())}
        return not actors.isdisjoint(patients)

    async def _bodies(self, connection: Connection, kind: str, ids: Iterable[str]) -> list[Resource]:
        stored = await records.read_many(connection, [f"{kind}/{each}" for each in ids])
        return [each.body for each in stored.values()]

    async def _slots(self, connection: Connection, actors: Sequence[str]) -> list[Resource]:
        tokens = [
            of_reference("schedule", f"Schedule/{resource_id('Schedule', self._facility, actor)}") for actor in actors
        ]
        ids = await search.ids_with(connection, "Slot", tokens, _READ_AT_ONCE)
        return await self._bodies(connection, "Slot", ids)

    async def _written(self, connection: Connection, resource: Resource) -> str:
        """The SCH group of an appointment or of a time; empty where it cannot be written."""
        around = await self._around(connection, [resource])
        kind = _APPOINTMENT
        if resource["resourceType"] == "Slot":
            kind = _OPENED if resource.get("status") == _FREE else _BLOCKED
        mapping = self._mappings.find(kind, self._facility)
        if mapping is None:
            return ""
        try:
            # Hundreds of them may be asked for, and the loop that takes messages in must not wait for that.
            context = WriteContext(kind, "S25", self._at, self._endpoint)
            written = await asyncio.to_thread(mapping.write, around, context)
        except MappingError:
            return ""  # it has no number that messages could name it by
        return "\r".join(_as_response(er7.parse(written.payload, "utf-8"), kind))

    async def _around(self, connection: Connection, resources: list[Resource]) -> list[Resource]:
        """What an appointment names, and what that names: its people with their roles, its places with theirs."""
        known = {f"{each['resourceType']}/{each['id']}": each for each in resources}
        for _ in range(2):
            missing = {to for each in known.values() for to in _references(each)} - known.keys()
            stored = await records.read_many(connection, missing)
            known |= {reference: each.body for reference, each in stored.items()}
        return list(known.values())


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str) and reference.count("/") == 1:
            yield reference
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _is_within(resource: Resource, begins: datetime | None, ends: datetime | None) -> bool:
    """Whether it takes place at a time that is asked for; without a time it does where none is asked for."""
    start, end = resource.get("start"), resource.get("end")
    if begins is None and ends is None:
        return True
    if not start and not end:
        return False
    first, last = (datetime.fromisoformat(str(each or start or end)).astimezone(CHINA) for each in (start, end))
    return (begins is None or last > begins) and (ends is None or first <= ends)


def _as_response(message: Message, kind: str) -> Iterator[str]:
    """The segments of SIU as SQR has them: one patient, and who is booked before where."""
    head: list[str] = []
    booked: list[tuple[int, list[str]]] = []
    seen: set[str] = set()
    last = ""
    for segment in message.segments[1:]:
        name, text = segment.name, segment.text
        if name == "NTE" and last not in ("SCH", "TQ1", "NTE", *_PLACES):
            continue  # a comment on what SQR does not have
        if name not in _SEGMENTS or (name in _ONCE and name in seen):
            last = ""
            continue
        seen.add(name)
        if name == "SCH":
            text = _about_the_query(segment, kind)
        if name in _PLACES:
            booked.append((_PLACES[name], [text]))
        elif name == "NTE" and booked:
            booked[-1][1].append(text)
        else:
            head.append(text)
        last = name if name != "NTE" else last
    if "RGS" not in seen:
        head.append("RGS|1")
    yield from head
    for _, lines in sorted(booked, key=lambda each: each[0]):
        yield from lines


def _about_the_query(sch: er7.Segment, kind: str) -> str:
    """SCH with the event that it is told in, where nobody gave a reason, and with the state of a blocked time."""
    fields = sch.text.split("|")
    fields += [""] * (26 - len(fields))
    if "^HL70003" in fields[6]:
        fields[6] = _REASON
    fields[25] = fields[25] or _STATES.get(kind, "")
    return "|".join(fields).rstrip("|")
