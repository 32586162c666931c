"""Where in PostgreSQL's write-ahead log does the commit of a transaction stand, and when was it flushed?"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.store.embedded import binaries
from tests.integration.faults.trace import Call

_SEGMENT = 16 * 1024 * 1024
_PAGE = 8192
_PAGE_HEADER = 24
_FIRST_PAGE_HEADER = 40
_COMMIT = re.compile(r"len \(rec/tot\): +\d+/ +(\d+), tx: +(\d+), lsn: ([0-9A-F]+)/([0-9A-F]+),.* desc: COMMIT ")


@dataclass(frozen=True)
class Commit:
    """The last bytes of a commit record: until they are on the disk, the transaction may not have been."""

    file: str
    offset: int
    data: bytes

    def flushed_by(self, calls: Sequence[Call]) -> int | None:
        """When the first flush of its file returned that began after these bytes had been written; None: never."""
        written = [call.ended for call in calls if self._is_written_by(call)]
        flushed = [
            call.ended
            for call in calls
            if call.name in ("fdatasync", "fsync")
            and call.result == 0
            and call.on.endswith(f"/pg_wal/{self.file}")
            and any(call.began > written_at for written_at in written)
        ]
        return min(flushed, default=None)

    def _is_written_by(self, call: Call) -> bool:
        if call.name != "pwrite64" or not call.on.endswith(f"/pg_wal/{self.file}"):
            return False
        start = self.offset - call.offset
        return start >= 0 and call.data[start : start + len(self.data)] == self.data


def commits(cluster: Path) -> dict[int, Commit]:
    """Every commit in the log of a server, by transaction id."""
    folder = cluster / "pg_wal"
    first = min(file.name for file in folder.iterdir() if re.fullmatch("[0-9A-F]{24}", file.name))
    dump: list[str | Path] = [
        binaries.installed().root / "bin" / "pg_waldump",
        "--rmgr=Transaction",
        "--path",
        folder,
        first,
    ]
    said = subprocess.run(dump, capture_output=True, text=True, check=False).stdout  # it fails at the end of the log
    found = {}
    for length, transaction, high, low in _COMMIT.findall(said):
        start = (int(high, 16) << 32) + int(low, 16)
        end = _end(start, int(length))
        last_part = max(start, (end - 1) // _PAGE * _PAGE)
        file = f"00000001{end - 1 >> 32:08X}{(end - 1 & 0xFFFFFFFF) // _SEGMENT:08X}"
        with (folder / file).open("rb") as segment:
            segment.seek(last_part % _SEGMENT)
            found[int(transaction)] = Commit(file, last_part % _SEGMENT, segment.read(end - last_part))
    return found


def _end(start: int, length: int) -> int:
    """Where a record ends that may go on behind the header of the next page."""
    while (room := _PAGE - start % _PAGE) < length:
        length -= room
        start += room
        start += _PAGE_HEADER if start % _SEGMENT else _FIRST_PAGE_HEADER
    return start + length
