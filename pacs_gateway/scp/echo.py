"""Is anybody there? C-ECHO, the verification service (PS3.4 annex A)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pacs_gateway import status
from pacs_gateway.scp.callers import Caller
from pacs_gateway.scp.service import Answers, Operation, Request, response
from pacs_gateway.transfer_syntaxes import UNCOMPRESSED
from pacs_gateway.upper_layer.commands import CommandField, CommandSet

VERIFICATION = "1.2.840.10008.1.1"


class Echo:
    """Implements `Service`."""

    request = CommandField.C_ECHO_RQ

    def transfer_syntaxes(self, sop_class: str, caller: Caller) -> Collection[str]:
        return UNCOMPRESSED if sop_class == VERIFICATION else ()

    def begin(self, request: Request) -> Operation:
        return _Echoing(request.command)


class _Echoing:
    def __init__(self, command: CommandSet) -> None:
        self._command = command

    def write(self, pieces: Sequence[memoryview]) -> None:
        """An echo has no data set; one that comes all the same is passed over."""

    async def answer(self, answers: Answers) -> None:
        await answers.send(response(self._command, status.SUCCESS))

    def abandon(self) -> None:
        """Nothing was begun."""
