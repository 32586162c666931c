"""Which files of a folder are ready, and where do they go? `done/DAY/`, `rejected/` and `answers/` below it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

from engine.clock import CHINA

DONE, REJECTED, ANSWERS = "done", "rejected", "answers"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that has stopped growing, and what it looked like then: size in bytes, time of its last change."""

    path: Path
    too_large: bool
    size: int
    modified_ns: int

    def has_changed(self) -> bool:
        """Whether another file stands in its place by now, or none."""
        try:
            status = self.path.stat(follow_symlinks=False)
        except FileNotFoundError:
            return True
        return (status.st_size, status.st_mtime_ns) != (self.size, self.modified_ns)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a file looked like, and since when: seconds of a monotonic clock."""

    size: int
    modified_ns: int
    since: float


class Shelf:
    """One watched folder.

    pattern         of the file names, as a shell writes it; capitals do not matter
    settle_secs     a file is ready when its size and time have not changed for so long: others copy slowly
    """

    def __init__(
        self, folder: Path, pattern: str, settle_secs: float, max_file_bytes: int, clock: Callable[[], datetime]
    ) -> None:
        self._folder = folder
        self._pattern = pattern.lower()
        self._settle_secs = settle_secs
        self._max_file_bytes = max_file_bytes
        self._clock = clock
        self._seen: dict[str, _Seen] = {}

    def prepare(self) -> None:
        """Makes the folders below it. Raises OSError when it cannot."""
        for name in (DONE, REJECTED, ANSWERS):
            (self._folder / name).mkdir(parents=True, exist_ok=True)

    def ready(self, now: float) -> list[Candidate]:
        """Files that have settled, the oldest first; a link or a device is none. Raises OSError without the folder."""
        seen: dict[str, _Seen] = {}
        settled: list[tuple[int, str, Candidate]] = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or not fnmatchcase(entry.name.lower(), self._pattern):
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # its writer took it away again
                if not stat.S_ISREG(status.st_mode):
                    continue
                before = self._seen.get(entry.name)
                now_seen = _Seen(status.st_size, status.st_mtime_ns, now)
                if before is not None and (before.size, before.modified_ns) == (status.st_size, status.st_mtime_ns):
                    now_seen = before
                seen[entry.name] = now_seen
                if now - now_seen.since >= self._settle_secs:
                    too_large = status.st_size > self._max_file_bytes
                    candidate = Candidate(self._folder / entry.name, too_large, status.st_size, status.st_mtime_ns)
                    settled.append((status.st_mtime_ns, entry.name, candidate))
        self._seen = seen
        return [candidate for _, _, candidate in sorted(settled, key=lambda one: one[:2])]

    def finish(self, candidate: Candidate, answers: Sequence[bytes]) -> None:
        """Writes what the messages were answered, then moves the file to `done/` and the day."""
        answered = self._folder / ANSWERS / f"{candidate.path.name}.ack"
        temporary = answered.with_name(f".{answered.name}")
        temporary.write_bytes(b"".join(answers))
        temporary.replace(answered)
        day = self._folder / DONE / self._clock().astimezone(CHINA).strftime("%Y-%m-%d")
        day.mkdir(exist_ok=True)
        candidate.path.rename(_free_name(candidate.path, day))

    def reject(self, candidate: Candidate, reason: str) -> None:
        """Moves the file to `rejected/`, after why stands there: nobody finds it without its reason."""
        target = _free_name(candidate.path, self._folder / REJECTED)
        target.with_name(f"{target.name}.reason.txt").write_text(f"{reason}\n", encoding="utf-8")
        candidate.path.rename(target)


def _free_name(path: Path, folder: Path) -> Path:
    """Where a file goes without writing over one that has its name."""
    target = folder / path.name
    number = 1
    while target.exists():
        number += 1
        target = folder / f"{path.stem}.{number}{path.suffix}"
    return target
