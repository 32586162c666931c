"""Which messages do the sample files hold? Read piece by piece, whatever their size; of very many a part is seen."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from engine.codecs import er7
from engine.codecs.er7 import Message
from engine.errors import HutongError
from engine.mapping.draft.profile import Profile

CHUNK_BYTES = 1 << 20
LIMIT_MESSAGE_BYTES = 32 << 20
"""More than any message; a file without another MSH for so long is no file of messages."""
LIMIT_ALL_LOOKED_AT = 1_000
"""Of one type; of more than these one in `EVERY` is looked at."""
EVERY = 50
_MESSAGE_START = re.compile(rb"(?:\A|(?<=[\r\n\x0b]))[\x0b\s]*MSH(?![A-Za-z0-9 ])")
_AROUND = re.compile(rb"(?m)^(?:FHS|BHS|BTS|FTS)\|[^\r\n]*[\r\n]*")
"""Segments around the messages of a batch: they belong to the file."""


@dataclass(slots=True)
class Samples:
    """What was found, by the type of the message.

    counts    messages of each type
    profiles  what those that were looked at hold
    unread    what stood where a message was expected, by what is wrong with it
    """

    files: tuple[Path, ...] = ()
    charset: str | None = None
    counts: Counter[str] = field(default_factory=Counter)
    profiles: dict[str, Profile] = field(default_factory=dict)
    unread: Counter[str] = field(default_factory=Counter)

    def messages(self) -> Iterator[Message]:
        """Those that were looked at, read once more: all of them together may be larger than memory."""
        met: Counter[str] = Counter()
        for file in self.files:
            for payload in payloads(file):
                try:
                    message = er7.parse(payload, self.charset)
                except HutongError:
                    continue
                if message.message_type:
                    met[message.message_type] += 1
                    if _is_looked_at(met[message.message_type]):
                        yield message


def samples_of(files: Iterable[Path], charset: str | None = None) -> Samples:
    """Reads files, and the files of folders. Raises OSError where one cannot be read."""
    found = Samples(tuple(file for path in files for file in _files(path)), charset)
    for file in found.files:
        for payload in payloads(file):
            _look_at(payload, charset, found)
    return found


def _files(path: Path) -> list[Path]:
    return sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]


def _is_looked_at(number: int) -> bool:
    return number <= LIMIT_ALL_LOOKED_AT or number % EVERY == 0


def _look_at(payload: bytes, charset: str | None, found: Samples) -> None:
    try:
        message = er7.parse(payload, charset)
    except HutongError as error:
        found.unread[error.code] += 1
        return
    kind = message.message_type
    if not kind:
        found.unread["message-type-missing"] += 1
        return
    found.counts[kind] += 1
    if _is_looked_at(found.counts[kind]):
        found.profiles.setdefault(kind, Profile()).add(message)


def payloads(file: Path) -> Iterator[bytes]:
    """The messages of a file, one after another; a file without any is given whole, to be told what it is not."""
    waiting, given = b"", False
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            waiting += chunk
            starts = [match.start() for match in _MESSAGE_START.finditer(waiting)]
            for start, end in pairwise(starts):
                given = True
                yield _message(waiting[start:end])
            if starts:
                waiting = waiting[starts[-1] :]
            elif len(waiting) > LIMIT_MESSAGE_BYTES:
                waiting = waiting[-len("\r\nMSH|") :]
            if len(waiting) > LIMIT_MESSAGE_BYTES:
                yield waiting[:CHUNK_BYTES]
                return
    if waiting.strip() or not given:
        yield _message(waiting)


def _message(content: bytes) -> bytes:
    return _AROUND.sub(b"", content).strip(b"\x0b\x1c\r\n \t")
