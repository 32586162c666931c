"""A requestor that does as it is told, also what none should. Built on our own upper layer, over asyncio's streams."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping

from pacs_gateway.upper_layer.association import Association
from pacs_gateway.upper_layer.commands import CommandField, CommandSet, Element
from pacs_gateway.upper_layer.events import (
    Aborted,
    AssociationAccepted,
    AssociationRejected,
    CommandReceived,
    DataReceived,
    Event,
    ReleaseAgreed,
)
from pacs_gateway.upper_layer.items import PresentationContextRQ, UserInformation
from pacs_gateway.upper_layer.pdus import AAssociateRQ

VERIFICATION = "1.2.840.10008.1.1"
CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
WORKLIST = "1.2.840.10008.5.1.4.31"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
CONTEXTS = {1: (VERIFICATION, IMPLICIT), 3: (CT_STORAGE, EXPLICIT), 5: (WORKLIST, IMPLICIT)}

PATIENCE_SECS = 60.0
"""Only what hangs takes so long, also on a machine that does much else."""


class Peer:
    """One connection; `association` may be used to say anything at all."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.association = Association()
        self._answers: list[tuple[CommandSet, bytes]] = []

    @classmethod
    async def connect(cls, port: int, tls: ssl.SSLContext | None = None) -> Peer:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=tls, server_hostname="localhost" if tls else None
        )
        return cls(reader, writer)

    def vanish(self) -> None:
        """Without a word; the kernel resets the connection where something is unread."""
        self.writer.transport.abort()

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def event(self) -> Event | None:
        """The next thing heard; None is the end of the connection."""
        async with asyncio.timeout(PATIENCE_SECS):
            while (event := self.association.next_event()) is None:
                data = await self.reader.read(65536)
                if not data:
                    return None
                while data:
                    room = self.association.room()
                    taken = min(len(room), len(data))
                    room[:taken] = data[:taken]
                    self.association.received(taken)
                    data = data[taken:]
        return event

    async def associate(
        self,
        calling: str = "CT_BAISHI",
        contexts: Mapping[int, tuple[str, ...]] = CONTEXTS,
        information: UserInformation | None = None,
    ) -> AssociationAccepted | AssociationRejected | None:
        proposed = tuple(PresentationContextRQ(number, one[0], one[1:]) for number, one in contexts.items())
        request = AAssociateRQ("HUTONG", calling, proposed, information or UserInformation(0, "1.2.3"))
        self.say(self.association.request(request))
        event = await self.event()
        assert isinstance(event, AssociationAccepted | AssociationRejected | None)
        return event

    async def release(self) -> None:
        self.say(self.association.release_request())
        assert await self.event() == ReleaseAgreed()

    def ask(self, context_id: int, command: CommandSet, data_set: bytes = b"") -> None:
        for pdu in self.association.message(context_id, command, data_set):
            self.say(pdu)

    async def answer(self) -> tuple[CommandSet, bytes]:
        """The next response and its data set."""
        event = await self.event()
        assert isinstance(event, CommandReceived), event
        data, last = b"", not event.command.has_data_set
        while not last:
            more = await self.event()
            assert isinstance(more, DataReceived), more
            data, last = data + b"".join(more.pieces), more.last
        return event.command, data

    async def status(self) -> int:
        return (await self.answer())[0].number(Element.STATUS)

    async def aborted(self) -> Aborted:
        event = await self.event()
        assert isinstance(event, Aborted), event
        return event

    async def echo(self) -> int:
        self.ask(1, echo_request())
        return await self.status()


def echo_request(message_id: int = 1) -> CommandSet:
    values: dict[Element, int | str] = {Element.AFFECTED_SOP_CLASS_UID: VERIFICATION, Element.MESSAGE_ID: message_id}
    return CommandSet.of(CommandField.C_ECHO_RQ, values)


def store_request(uid: str = "1.2.3.4", message_id: int = 1, sop_class: str = CT_STORAGE) -> CommandSet:
    values: dict[Element, int | str] = {
        Element.AFFECTED_SOP_CLASS_UID: sop_class,
        Element.MESSAGE_ID: message_id,
        Element.PRIORITY: 0,
        Element.AFFECTED_SOP_INSTANCE_UID: uid,
    }
    return CommandSet.of(CommandField.C_STORE_RQ, values, has_data_set=True)


def find_request(message_id: int = 1) -> CommandSet:
    values: dict[Element, int | str] = {
        Element.AFFECTED_SOP_CLASS_UID: WORKLIST,
        Element.MESSAGE_ID: message_id,
        Element.PRIORITY: 0,
    }
    return CommandSet.of(CommandField.C_FIND_RQ, values, has_data_set=True)


def cancel_request(message_id: int = 1) -> CommandSet:
    return CommandSet.of(CommandField.C_CANCEL_RQ, {Element.MESSAGE_ID_BEING_RESPONDED_TO: message_id})
