"""How do tests of the upper layer hand bytes to an association, and compare what it makes of them?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from pacs_gateway.upper_layer.association import Association
from pacs_gateway.upper_layer.commands import CommandField, CommandSet, Element
from pacs_gateway.upper_layer.events import (
    AssociationAccepted,
    AssociationRequested,
    DataReceived,
    Event,
    ReleaseRequested,
)
from pacs_gateway.upper_layer.items import (
    ContextResult,
    PresentationContextAC,
    PresentationContextRQ,
    UserInformation,
)
from pacs_gateway.upper_layer.pdus import AAssociateAC, AAssociateRQ

FIXTURES = Path(__file__).parents[2] / "fixtures" / "upper_layer"

VERIFICATION = "1.2.840.10008.1.1"
CR_STORAGE = "1.2.840.10008.5.1.4.1.1.1"
IMPLICIT = "1.2.840.10008.1.2"
OURS = UserInformation(0, "1.2.3", "TEST")

Seen = Event | bytes
"""An event, or the bytes of a data set that came one after the other."""


def request(maximum_length: int = 0) -> AAssociateRQ:
    contexts = (PresentationContextRQ(1, VERIFICATION, (IMPLICIT,)), PresentationContextRQ(3, CR_STORAGE, (IMPLICIT,)))
    return AAssociateRQ("SCP", "SCU", contexts, UserInformation(maximum_length, "1.2.4"))


def acceptance(asked: AAssociateRQ) -> AAssociateAC:
    """Everything is accepted, in the first transfer syntax."""
    contexts = tuple(
        PresentationContextAC(one.context_id, ContextResult.ACCEPTANCE, one.transfer_syntaxes[0])
        for one in asked.presentation_contexts
    )
    return AAssociateAC(asked.called_ae_title, asked.calling_ae_title, contexts, OURS)


def established(maximum_length: int = 0) -> Association:
    """An acceptor whose peer was let in; contexts 1 and 3 stand. The peer takes PDUs of `maximum_length`."""
    association = Association()
    feed(association, request(maximum_length).encode())
    asked = association.next_event()
    assert isinstance(asked, AssociationRequested)
    association.accept(acceptance(asked.request), asked.request)
    return association


def store_request(message_id: int = 1) -> CommandSet:
    values: dict[Element, int | str] = {
        Element.AFFECTED_SOP_CLASS_UID: CR_STORAGE,
        Element.MESSAGE_ID: message_id,
        Element.PRIORITY: 0,
        Element.AFFECTED_SOP_INSTANCE_UID: "1.2.3.4",
    }
    return CommandSet.of(CommandField.C_STORE_RQ, values, has_data_set=True)


def echo_request() -> CommandSet:
    return CommandSet.of(CommandField.C_ECHO_RQ, {Element.AFFECTED_SOP_CLASS_UID: VERIFICATION, Element.MESSAGE_ID: 1})


def feed(association: Association, data: bytes) -> None:
    """Puts bytes in as a socket would, as much as there is room for at a time; they must fit."""
    rest = memoryview(data)
    while rest:
        room = association.room()
        taken = min(len(room), len(rest))
        room[:taken] = rest[:taken]
        association.received(taken)
        rest = rest[taken:]


def read(association: Association, chunks: Iterable[bytes]) -> list[Seen]:
    """Everything that comes out, the association being answered as it asks for it."""
    seen: list[Seen] = []
    for chunk in chunks:
        feed(association, chunk)
        for event in _events(association):
            _note(seen, event)
            if isinstance(event, AssociationRequested):
                association.accept(acceptance(event.request), event.request)
            elif isinstance(event, AssociationAccepted):
                association.release_request()  # what was asked before is still answered
            elif isinstance(event, ReleaseRequested):
                association.release_response()
    return seen


def _events(association: Association) -> Iterator[Event]:
    while (event := association.next_event()) is not None:
        yield event


def _note(seen: list[Seen], event: Event) -> None:
    if not isinstance(event, DataReceived):
        seen.append(event)
        return
    data = b"".join(event.pieces)
    if seen and isinstance(seen[-1], bytes):
        data = seen.pop() + data  # type: ignore[operator]  # it was just looked at
    seen.append(data)
    if event.last:
        seen.append(DataReceived([], True))
