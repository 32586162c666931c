"""Which orders may be of images, and are on no worklist, because nothing says of what kind they are?

Told once for each facility and code. An order that is plainly something else (laboratory, pharmacy) is no such order,
and a facility of which no modality and no centre takes orders has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from engine import routing
from engine.config import Community
from engine.finding import Finding
from engine.orders import LIMIT_TEXT, is_awaited, modality_of
from engine.recording.work import Work
from engine.store import findings
from engine.understanding import Understood

Resource = dict[str, Any]

CODE = "order-kind-unknown"
MOST_AT_ONCE = 50
"""Codes of a facility that are open at once; where a laboratory's orders say nothing of their kind, further ones are
told of together."""

_ORDER, _SECTION = "OBR-4", "OBR-24"
_OTHERS = f"{_ORDER}, and others"
_MESSAGES = ("ORM^", "OMG^", "OMI^")
"""OML is the laboratory's."""
_OF_IMAGES = "OMI^"
_SPECIMENS = frozenset({"OBR-15", "SPM-4"})
"""Where no rule reads them: whose order names a specimen says that it is the laboratory's."""
_RADIOLOGY = "RAD"
"""The one section of HL7 table 0074 that makes images and does not say by which modality."""


async def tell_unplaced_orders(work: Work, walks: Sequence[Understood]) -> None:
    """Of the orders in these messages, as they stand on record with what the messages say."""
    met: dict[str, tuple[Understood, Finding]] = {}
    for walk in walks:
        for finding in of_unknown_kind(work.community, walk, _on_record(work, walk)):
            met.setdefault(f"{walk.envelope.facility} {finding.once}", (walk, finding))
    if not met:
        return
    told = await findings.told_of(work.connection, CODE, met)
    new = sorted((walk.envelope.facility, about) for about, (walk, _) in met.items() if about not in told)
    for facility, abouts in groupby(new, key=lambda each: each[0]):
        if not await findings.open_of(work.connection, CODE, f"{facility} {_OTHERS}"):
            await _tell(work, facility, [(about, *met[about]) for _, about in abouts])


async def _tell(work: Work, facility: str, new: Sequence[tuple[str, Understood, Finding]]) -> None:
    room = MOST_AT_ONCE - await findings.open_of(work.connection, CODE, f"{facility} ")
    for about, walk, finding in new[: max(room, 0)]:
        work.find(finding, walk, about)
    others = f"{facility} {_OTHERS}"
    if len(new) > room and await findings.is_first_to_tell(work.connection, CODE, others):
        _, walk, _ = new[-1]
        work.find(_others(), walk, others)


def of_unknown_kind(community: Community, walk: Understood, orders: Iterable[Resource]) -> Iterator[Finding]:
    """A finding for each of these orders of a message that may be one of images."""
    if not walk.envelope.message_type.startswith(_MESSAGES):
        return
    unknown = [order for order in orders if _may_be_of_images(order, walk)]
    if unknown and _takes_orders(community, walk.envelope.facility):
        yield from map(_unknown, unknown)


def _on_record(work: Work, walk: Understood) -> Iterator[Resource]:
    for resource in walk.resources:
        if resource["resourceType"] == "ServiceRequest":
            order = work.book.get(f"ServiceRequest/{resource['id']}")
            if order is not None:
                yield order


def _takes_orders(community: Community, facility: str) -> bool:
    """Whether a modality of the facility, or a centre, would be told of its orders of images."""
    entries = (entry for channel in community.dicom_channels for entry in channel.ae_entries)
    return (
        any(entry.facility == facility for entry in entries)
        or any(channel.default_facility == facility for channel in community.dicom_channels)
        or routing.takes_orders(community, facility)
    )


def _may_be_of_images(order: Resource, walk: Understood) -> bool:
    """Wanted, without a modality, and nothing says of what other kind it is.

    An order that names nothing at all (ORC alone, a prescription) is of images only in a message of such orders.
    """
    if not is_awaited(order) or modality_of(order):
        return False
    if order.get("specimen") or not _SPECIMENS.isdisjoint(walk.unmapped):
        return False
    if not order.get("code") and not walk.envelope.message_type.startswith(_OF_IMAGES):
        return False
    return {_RADIOLOGY}.issuperset(_sections(order))


def _sections(order: Resource) -> Iterator[str]:
    """The services that tables know the order to be for."""
    for category in order.get("category", ()):
        for coding in category.get("coding", ()):
            yield coding.get("code", "")


def _unknown(order: Resource) -> Finding:
    section = _shown(_unlisted(order))
    if section:
        return Finding(
            CODE,
            f"{_SECTION} {section}: no table lists this section, and none the code of {_ORDER} with a modality. If it "
            "makes images, no worklist and no centre hears of its orders: add it to the facility's table "
            "diagnostic_services with its modality, then process its messages again. If not, add it with a code of HL7 "
            "table 0074 such as LAB, or settle this",
            location=_SECTION,
            once=f"{_SECTION} {section}",
        )
    item = _item(order)
    return Finding(
        CODE,
        f"{_ORDER} {item or 'names no code (ASCII without spaces)'}: nothing says what kind of order this is "
        f"({_SECTION} {_says(order)}). If it is one of images, no worklist and no centre hears of it: have its "
        f"modality or section sent in {_SECTION}, or add the code (its text, where it has none) with its modality to "
        "the facility's table imaging_procedures, then process its messages again. If not, settle this",
        location=_ORDER,
        once=f"{_ORDER} {item}".strip(),
    )


def _says(order: Resource) -> str:
    if any(_sections(order)):
        return "says radiology, and not by which modality"
    return "holds something else than a code" if _unlisted(order) else "is empty"


def _others() -> Finding:
    """Told again after it was settled, where there are too many once more."""
    return Finding(
        CODE,
        f"Of {MOST_AT_ONCE} codes of the facility nothing says what kind of order they are; further ones are not told "
        f"of until this is settled. Have {_SECTION} sent with every order (LAB by the laboratory's)",
        location=_SECTION,
    )


def _unlisted(order: Resource) -> str:
    """What the sender calls the section, where no table lists it."""
    return next((str(each["text"]) for each in order.get("category", ()) if each.get("text")), "")


def _item(order: Resource) -> str:
    """The code by which the tables know what is ordered. Free text in its place is none: it may name the patient."""
    for coding in order.get("code", {}).get("coding", ()):
        code = str(coding.get("code", ""))
        return code if _is_plain(code) else ""
    return ""


def _is_plain(code: str) -> bool:
    return 0 < len(code) <= LIMIT_TEXT and all("!" <= character <= "~" for character in code)


def _shown(word: str) -> str:
    """A longer one is no code but something that belongs to another field, and is not repeated."""
    return word if len(word) <= LIMIT_TEXT and word.isprintable() else ""
