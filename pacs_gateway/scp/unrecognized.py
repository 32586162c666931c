"""What is answered to a request that the SOP class of its presentation context does not have? Status 0211."""

from __future__ import annotations

from collections.abc import Sequence

from pacs_gateway import status
from pacs_gateway.scp.service import Answers, response
from pacs_gateway.upper_layer.commands import CommandSet


class Unrecognized:
    """Implements `Operation`."""

    def __init__(self, command: CommandSet) -> None:
        self._command = command

    def write(self, pieces: Sequence[memoryview]) -> None:
        """Its data set is passed over."""

    async def answer(self, answers: Answers) -> None:
        await answers.send(response(self._command, status.UNRECOGNIZED_OPERATION))

    def abandon(self) -> None:
        """Nothing was begun."""
