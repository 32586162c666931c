"""Does a message book something without a time that its mapping reads? Then where does a time stand instead?

FHIR asks for a start of every appointment that is neither proposed, cancelled nor waiting (invariant app-3 of
Appointment). A booking without one is recorded all the same, so that nothing is lost, and is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.codecs.er7 import Message, Segment
from engine.finding import Finding, Severity
from engine.mapping.functions.moments import moment
from engine.mapping.mapped import Resource

_WITHOUT = frozenset({"proposed", "cancelled", "waitlist", "entered-in-error"})
_BOOKING = frozenset({"SIU^S12", "SIU^S13"})
"""New and rescheduled. Another event may leave out what the record knows already."""
_SEGMENTS = frozenset({"SCH", "TQ1", "RGS", "AIS", "AIG", "AIL", "AIP"})
_READ = "TQ1-7, SCH-11.4, AIS-4, AIG-8, AIL-6 or AIP-6"


def untimed(message: Message, resources: Sequence[Resource]) -> Iterator[Finding]:
    """One finding for the appointment of such a message, which names the fields that hold a time."""
    if not message.message_type.startswith("SIU^") or all(_is_timed(each) for each in resources):
        return
    places = list(dict.fromkeys(place for segment in message.segments for place in _times(segment)))
    fields = [place.partition(".")[0] for place in places]
    named = f"A time stands in {', '.join(places)}: " if places else ""
    field = fields[0] if fields else "the field that holds it"
    text = (
        f"the appointment is booked without a start, which FHIR asks for: {_READ} says none. {named}let the sender "
        f"write it into SCH-11.4, or give its facility the row {{rule: time, from: [{field}, TQ1-8, SCH-11, SCH-9, "
        f'SCH-10], to: "start[x]", with: appointment_time}}'
    )
    severity = Severity.WARNING if message.message_type in _BOOKING else Severity.INFORMATION
    yield Finding("appointment-without-start", text, severity, fields[0] if fields else "SCH-11", "time")


def _is_timed(resource: Resource) -> bool:
    return resource["resourceType"] != "Appointment" or bool(resource.get("start")) or resource["status"] in _WITHOUT


def _times(segment: Segment) -> Iterator[str]:
    """Where a segment names a day with its time: `SCH-12`, `SCH-11.1`."""
    if segment.name not in _SEGMENTS:
        return
    for number in range(1, len(segment.fields)):
        parts = segment.components(segment.repetitions(number)[0]) if segment.fields[number] else []
        for at, part in enumerate(parts, start=1):
            if moment(segment.unescape(part).strip()).has_time:
                yield f"{segment.name}-{number}" + (f".{at}" if len(parts) > 1 else "")
