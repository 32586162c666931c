"""What becomes of objects that a person fetches? Files of PS3.10 in a folder of theirs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from pacs_gateway import status
from pacs_gateway.part10 import header
from pacs_gateway.scp.service import response
from pacs_gateway.scu.peer import Taking
from pacs_gateway.upper_layer.commands import CommandSet, Element

_UID = re.compile(r"[0-9A-Za-z][0-9A-Za-z.]{0,63}")


class FilingTaker:
    """Writes each object as SOP-INSTANCE-UID.dcm. Implements `Taker`."""

    def __init__(self, folder: Path, sender: str) -> None:
        self._folder = folder
        self._sender = sender
        self.filed = 0

    def begin(self, command: CommandSet, sop_class: str, transfer_syntax: str) -> Taking:
        sop_uid = command.text(Element.AFFECTED_SOP_INSTANCE_UID)
        if _UID.fullmatch(sop_uid) is None:
            return _Filed(command, None, None, self)
        head = header(sop_class=sop_class, sop_uid=sop_uid, transfer_syntax=transfer_syntax, sender=self._sender)
        unfinished = self._folder / f"{sop_uid}.unfinished"
        file = unfinished.open("wb")
        file.write(head)
        return _Filed(command, file, unfinished, self)


class _Filed:
    """Implements `Taking`; without a file for an object whose UID is no name for one."""

    def __init__(self, command: CommandSet, file: BinaryIO | None, path: Path | None, taker: FilingTaker) -> None:
        self._command = command
        self._file = file
        self._path = path
        self._taker = taker
        self._failed = file is None

    def write(self, pieces: Sequence[memoryview]) -> None:
        if self._file is None or self._failed:
            return
        try:
            self._file.writelines(pieces)
        except OSError:
            self._failed = True

    async def answer(self) -> CommandSet:
        if self._file is None or self._path is None:
            return response(self._command, status.CANNOT_UNDERSTAND, "the SOP Instance UID is no UID")
        try:
            self._file.close()
            if not self._failed:
                self._path.rename(self._path.with_suffix(".dcm"))
        except OSError:
            self._failed = True
        if self._failed:
            self._path.unlink(missing_ok=True)
            return response(self._command, status.OUT_OF_RESOURCES, "the disk took it not")
        self._taker.filed += 1
        return response(self._command, status.SUCCESS)

    def abandon(self) -> None:
        if self._file is not None and self._path is not None:
            self._file.close()
            self._path.unlink(missing_ok=True)
