"""What becomes of objects that come back over our own association? Kept as if their owner had sent them."""

from __future__ import annotations

from collections.abc import Sequence

from engine.config import DicomEndpoint
from engine.errors import HutongError
from pacs_gateway import status
from pacs_gateway.scp.reception import Announced, Arriving, Reception
from pacs_gateway.scp.service import response
from pacs_gateway.scu.peer import Taking
from pacs_gateway.upper_layer.commands import CommandSet, Element


class KeepingTaker:
    """Into the spool, for the facility whose system it is. Implements `Taker`."""

    def __init__(self, reception: Reception, endpoint: DicomEndpoint) -> None:
        self._reception = reception
        self._endpoint = endpoint

    def begin(self, command: CommandSet, sop_class: str, transfer_syntax: str) -> Taking:
        endpoint = self._endpoint
        announced = Announced(
            sop_class_uid=sop_class,
            sop_instance_uid=command.text(Element.AFFECTED_SOP_INSTANCE_UID),
            transfer_syntax_uid=transfer_syntax,
            calling_ae=endpoint.ae_title,
            called_ae=endpoint.calling_ae_title,
            facility=endpoint.facility,
            peer=f"{endpoint.ae_title}@{endpoint.host}:{endpoint.port}",
        )
        return _Kept(command, announced, self._reception)


class _Kept:
    """Implements `Taking`. After a failure the rest of the object is passed over, and the failure is the answer."""

    def __init__(self, command: CommandSet, announced: Announced, reception: Reception) -> None:
        self._command = command
        self._arriving: Arriving | None = None
        self._failure: HutongError | None = None
        try:
            self._arriving = reception.begin(announced)
        except HutongError as error:
            self._failure = error

    def write(self, pieces: Sequence[memoryview]) -> None:
        if self._arriving is None:
            return
        try:
            self._arriving.write(pieces)
        except HutongError as error:
            self._failure = error
            self.abandon()

    async def answer(self) -> CommandSet:
        if self._arriving is not None:
            try:
                await self._arriving.finish()
            except HutongError as error:
                self._failure = error
        if self._failure is None:
            return response(self._command, status.SUCCESS)
        return response(self._command, status.status_of(self._failure), status.comment_of(self._failure))

    def abandon(self) -> None:
        if self._arriving is not None:
            self._arriving.abandon()
            self._arriving = None
