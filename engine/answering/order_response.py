"""How is an order answered? ORR^O02, ORL^O22, ORG^O20, ORI^O24: what became of each order, with the numbers it got.

Pure: the order message, the recorded orders and what went wrong in, bytes out. Every ORC of the message gets one back:
ORC-1 says in the terms of HL7 table 0119 whether what it asked for was done, ORC-2 and ORC-3 carry the numbers of both
sides, ORC-5 the state of the order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine.codecs import acknowledgment, er7
from engine.codecs.er7_escape import escape
from engine.codecs.er7_header import Header
from engine.errors import HutongError
from engine.identifiers import DICOM_UID

Resource = dict[str, Any]

RESPONSES = {
    "ORM^O01": ("ORR", "O02"),
    "OML^O21": ("ORL", "O22"),
    "OMG^O19": ("ORG", "O20"),
    "OMI^O23": ("ORI", "O24"),
}
"""The response to each order message."""
ISSUER = "HUTONG"
"""Namespace of numbers that hutong issued."""

_DONE_AND_UNABLE = {
    "NW": ("OK", "UA"),
    "CA": ("CR", "UC"),
    "DC": ("DR", "UD"),
    "HD": ("HR", "UH"),
    "RL": ("OR", "UR"),
    "XO": ("XR", "UX"),
    "RP": ("RQ", "UM"),
    "RF": ("OF", "UF"),
    "SN": ("NA", "UA"),
    "SS": ("SR", "UA"),
}
"""What answers each order control; whatever else is asked is OK or UA."""
_ORDER_STATUS = {"active": "IP", "revoked": "CA", "completed": "CM", "on-hold": "HD", "entered-in-error": "ER"}
"""Table 0038 of a FHIR status; an active order with a number of ours is scheduled (SC)."""


@dataclass(frozen=True, slots=True)
class _Order:
    """One order of the message: its ORC, and the OBR and IPC that belong to it; any of them may be missing."""

    segments: dict[str, er7.Segment] = field(default_factory=dict)

    def raw(self, *places: tuple[str, int]) -> str:
        """The first of these fields that says something."""
        for name, number in places:
            segment = self.segments.get(name)
            if segment is not None and segment.field(number):
                return segment.field(number)
        return ""

    def number(self, *places: tuple[str, int]) -> str:
        """The entity identifier (EI-1) of the first of these fields that has one."""
        for name, number in places:
            segment = self.segments.get(name)
            if segment is not None and segment.value(number):
                return segment.value(number).strip()
        return ""


def build(
    header: Header,
    message: er7.Message,
    orders: Sequence[Resource],
    *,
    error: HutongError | None,
    unable: Collection[str],
    control_id: str,
    at: datetime,
    owed: bool = False,
) -> bytes:
    """The response.

    orders  the recorded orders of the message
    error   why nothing was recorded; then no order was accepted
    unable  ids of orders that could not be done as asked
    """
    code, event = RESPONSES[message.message_type]
    part = header.separators.component or "^"
    parts = (code, event) if header.version in ("2.2", "2.3") else (code, event, f"{code}_{event}")
    said = (
        acknowledgment.segments(header, error, code=acknowledgment.code_of(error))
        if error is not None
        else header.separators.field.join(("MSA", "AA", header.field(10))) + "\r"
    )
    lines = [acknowledgment.msh(header, control_id, at, kind=part.join(parts), owed=owed) + "\r", said]
    lines += [f"{pid.text}\r" for pid in message.named("PID")[:1]]
    for order in _orders(message):
        lines += _answered(order, _recorded(order, orders), code, error is not None, unable)
    return acknowledgment.encoded("".join(lines), header)


def _orders(message: er7.Message) -> list[_Order]:
    """An ORC begins an order; so does an OBR whose order has one already."""
    found: list[_Order] = []
    for segment in message.segments:
        if segment.name not in ("ORC", "OBR", "IPC"):
            continue
        if segment.name == "ORC" or not found or (segment.name == "OBR" and "OBR" in found[-1].segments):
            found.append(_Order())
        found[-1].segments.setdefault(segment.name, segment)
    return found


def _recorded(order: _Order, orders: Sequence[Resource]) -> Resource | None:
    """The record of an order, by the placer's number, else the filler's."""
    for kind, number in (
        ("PLAC", order.number(("OBR", 2), ("ORC", 2))),
        ("FILL", order.number(("OBR", 3), ("ORC", 3))),
    ):
        for resource in orders:
            if number and number in numbers_of(resource, kind):
                return resource
    return None


def _answered(
    order: _Order, recorded: Resource | None, code: str, refused: bool, unable: Collection[str]
) -> Iterator[str]:
    separators = next(iter(order.segments.values())).separators
    mark, part = separators.field, separators.component or "^"
    asked = order.number(("ORC", 1)) or "NW"
    done, undone = _DONE_AND_UNABLE.get(asked, ("OK", "UA"))
    failed = refused or recorded is None or recorded["id"] in unable
    accession = next(iter(numbers_of(recorded or {}, "ACSN")), "")
    ours = part.join((escape(accession, separators), ISSUER)) if accession else ""
    placer, filler = order.raw(("ORC", 2), ("OBR", 2)), order.raw(("ORC", 3), ("OBR", 3)) or ours
    status = _status(recorded, accession, asked) if recorded is not None else ""
    yield _line(mark, "ORC", {1: undone if failed else done, 2: placer, 3: filler, 4: order.raw(("ORC", 4)), 5: status})
    if obr := order.segments.get("OBR"):
        yield _line(
            mark,
            "OBR",
            {1: obr.field(1), 2: placer, 3: filler, 4: obr.field(4), 18: ours and escape(accession, separators)},
        )
    if code == "ORI" and (accession or "IPC" in order.segments):
        uid = _study_uid(recorded or {})
        numbers = {1: ours, 2: order.raw(("IPC", 2)), 3: uid, 4: order.raw(("IPC", 4)), 5: order.raw(("IPC", 5))}
        yield _line(mark, "IPC", {**numbers, 1: ours or order.raw(("IPC", 1)), 3: uid or order.raw(("IPC", 3))})


def _line(mark: str, name: str, fields: Mapping[int, str]) -> str:
    last = max((number for number, value in fields.items() if value), default=0)
    return mark.join((name, *(fields.get(number, "") for number in range(1, last + 1)))) + "\r"


def _status(order: Resource, accession: str, asked: str) -> str:
    status = _ORDER_STATUS.get(order.get("status", ""), "")
    if asked == "RP" and status == "CA":
        return "RP"  # not cancelled: another order stands for it
    return "SC" if status == "IP" and accession else status


def numbers_of(order: Resource, kind: str) -> list[str]:
    """The order's numbers of a kind (PLAC, FILL, ACSN), the one it goes by first."""
    return [
        str(identifier["value"])
        for identifier in order.get("identifier", ())
        if identifier.get("value")
        and any(coding.get("code") == kind for coding in identifier.get("type", {}).get("coding", ()))
    ]


def _study_uid(order: Resource) -> str:
    for identifier in order.get("identifier", ()):
        if identifier.get("system") == DICOM_UID:
            return str(identifier.get("value", "")).removeprefix("urn:oid:")
    return ""
