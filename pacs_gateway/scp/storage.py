"""What becomes of a C-STORE? The storage service (PS3.4 annex B): bytes to a reception, its verdict to the peer."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from engine.errors import HutongError, ParseError
from pacs_gateway import status
from pacs_gateway.scp.callers import Caller
from pacs_gateway.scp.reception import Announced, Arriving, Reception
from pacs_gateway.scp.service import Answers, Operation, Request, response
from pacs_gateway.storage_classes import STORAGE_CLASSES
from pacs_gateway.transfer_syntaxes import TRANSFER_SYNTAXES
from pacs_gateway.upper_layer.commands import CommandField, Element

_STANDARD_ROOT = "1.2.840.10008."
"""Every class of the standard is named below it; what is not is private."""

_log = logging.getLogger(__name__)


class Storage:
    """Implements `Service`."""

    request = CommandField.C_STORE_RQ

    def __init__(self, channel: str, reception: Reception) -> None:
        self._channel = channel
        self._reception = reception

    def transfer_syntaxes(self, sop_class: str, caller: Caller) -> Collection[str]:
        return TRANSFER_SYNTAXES if _may_store(sop_class, caller) else ()

    def begin(self, request: Request) -> Operation:
        return _Storing(self._channel, request, self._reception)


class _Storing:
    """One object. After a failure the rest of it is passed over, and the failure is the answer."""

    def __init__(self, channel: str, request: Request, reception: Reception) -> None:
        self._channel = channel
        self._request = request
        self._arriving: Arriving | None = None
        self._failure: HutongError | None = None
        announced = _announced(request)
        if not _may_store(announced.sop_class_uid, request.caller):
            self._failure = ParseError("SOP class not supported", code="sop-class-unknown")
            return
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

    async def answer(self, answers: Answers) -> None:
        if self._arriving is not None:
            try:
                await self._arriving.finish()
            except HutongError as error:
                self._failure = error
        command = self._request.command
        if self._failure is None:
            await answers.send(response(command, status.SUCCESS))
            return
        failure = self._failure
        _log.warning("channel %s: refused an object of %s: %s", self._channel, self._request.peer, failure.message)
        await answers.send(response(command, status.status_of(failure), status.comment_of(failure)))

    def abandon(self) -> None:
        if self._arriving is not None:
            self._arriving.abandon()
            self._arriving = None


def _may_store(sop_class: str, caller: Caller) -> bool:
    if sop_class in STORAGE_CLASSES:
        return True
    return caller.private_classes and sop_class != "" and not sop_class.startswith(_STANDARD_ROOT)


def _announced(request: Request) -> Announced:
    command = request.command
    return Announced(
        sop_class_uid=command.text(Element.AFFECTED_SOP_CLASS_UID),
        sop_instance_uid=command.text(Element.AFFECTED_SOP_INSTANCE_UID),
        transfer_syntax_uid=request.transfer_syntax,
        calling_ae=request.caller.ae_title,
        called_ae=request.called_ae,
        facility=request.caller.facility,
        peer=request.peer,
    )
