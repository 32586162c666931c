"""How does an object go back over the association that asked for it? C-STORE requests of ours, one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from engine.errors import DeliveryError, HutongError
from pacs_gateway.scp.service import OutgoingDataSet
from pacs_gateway.scp.store_answer import StoreAnswer
from pacs_gateway.upper_layer.association import Association
from pacs_gateway.upper_layer.commands import CommandSet, Element
from pacs_gateway.upper_layer.errors import UpperLayerError
from pacs_gateway.upper_layer.pdus import AAssociateAC


class ObjectsBack:
    """Of one association.

    write     sends bytes
    writable  is set while the peer reads what it is sent
    abort     ends the association; it is told why, as what the peer or the object did
    """

    def __init__(
        self,
        association: Association,
        write: Callable[[bytes], None],
        writable: asyncio.Event,
        abort: Callable[[str], None],
        timeout_secs: float,
    ) -> None:
        self._association = association
        self._write = write
        self._writable = writable
        self._abort = abort
        self._timeout_secs = timeout_secs
        self._contexts: dict[tuple[str, str], int] = {}
        self._sent: StoreAnswer | None = None

    def accepted(self, answer: AAssociateAC, abstract_syntaxes: Mapping[int, str]) -> None:
        """The peer takes objects of the classes of which it was accepted as provider."""
        providing = {role.sop_class_uid for role in answer.user_information.role_selections if role.scp}
        for context_id, transfer_syntax in self._association.transfer_syntaxes.items():
            if (sop_class := abstract_syntaxes[context_id]) in providing:
                self._contexts.setdefault((sop_class, transfer_syntax), context_id)

    def takes(self, sop_class: str, transfer_syntax: str) -> bool:
        return (sop_class, transfer_syntax) in self._contexts

    async def store(self, command: CommandSet, transfer_syntax: str, data_set: OutgoingDataSet) -> int:
        """The status of the peer's answer. Raises DeliveryError when none comes."""
        context_id = self._contexts[command.text(Element.AFFECTED_SOP_CLASS_UID), transfer_syntax]
        self._sent = StoreAnswer(command, asyncio.get_running_loop())
        try:
            await self._send(context_id, command, data_set)
            return await self._sent.status(self._timeout_secs)
        except TimeoutError:
            self._abort("does not answer what was sent to it")
            raise DeliveryError("the peer does not answer") from None
        finally:
            self._sent = None

    async def _send(self, context_id: int, command: CommandSet, data_set: OutgoingDataSet) -> None:
        begun = False
        try:
            async for piece, last in data_set.pieces():
                if not begun:
                    begun = True
                    for pdu in self._association.command_set(context_id, command):
                        self._write(pdu)
                for pdu in self._association.data(context_id, piece, last=last):
                    self._write(pdu)
                await self._writable.wait()
        except HutongError:
            if begun:
                self._abort("was being sent an object that can no longer be read")
            raise

    def answered(self, command: CommandSet) -> None:
        """Raises UpperLayerError for an answer to nothing."""
        if self._sent is None:
            raise UpperLayerError("a response comes where nothing was asked")
        self._sent.answered(command)

    def fail(self) -> None:
        """The peer has gone: no answer comes any more."""
        if self._sent is not None:
            self._sent.fail()
