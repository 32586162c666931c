"""Which messages does a batch hold? FHS, BHS … BTS, FTS: bytes → messages, and answers → a batch of answers.

The grammar is `[FHS] { [BHS] { messages } [BTS] } [FTS]`, every header and trailer by itself optional. Whoever writes a
header is held to its trailer: without it nobody can tell whether the last message is whole, so nothing of such a batch
is taken. A wrong count (BTS-1, FTS-1) is a finding only, because every message that is there is whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from engine.codecs import text
from engine.codecs.er7_header import read_separators
from engine.errors import ParseError
from engine.finding import Finding

MAX_MESSAGES = 1_000_000
"""A file of MLLP's longest frame holds fewer; files of a folder could hold more lines than memory."""
BROKEN = "batch-broken"

_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n\x00"
_HEADERS = (b"FHS", b"BHS")


@dataclass(frozen=True, slots=True)
class Enclosure:
    """A header segment of a batch (BHS) or a file (FHS): raw fields, numbered as HL7 numbers them."""

    fields: tuple[str, ...]
    codec: str

    def field(self, number: int) -> str:
        return self.fields[number] if number < len(self.fields) else ""

    @property
    def control_id(self) -> str:
        """BHS-11, FHS-11."""
        return self.field(11).strip()


@dataclass(frozen=True, slots=True)
class Batch:
    """The messages of one batch or file, in order, each with its exact bytes up to the next segment of the enclosure.

    file      FHS, where there is one
    batches   for every batch in the file its BHS, where there is one, and how many messages it has
    findings  counts that differ
    """

    file: Enclosure | None
    batches: tuple[tuple[Enclosure | None, int], ...]
    messages: tuple[bytes, ...]
    findings: tuple[Finding, ...] = ()

    @property
    def control_id(self) -> str:
        """Of the file, else of its first batch."""
        first = self.batches[0][0] if self.batches else None
        enclosure = self.file or first
        return enclosure.control_id if enclosure is not None else ""


def is_batch(payload: bytes) -> bool:
    """Whether a payload begins with FHS or BHS, blanks and byte order mark apart."""
    return payload[:64].removeprefix(_BOM).lstrip(_BLANK)[:3] in _HEADERS


def split(payload: bytes, configured_charset: str | None = None) -> Batch:
    """Splits a batch. Raises ParseError (`batch-broken`), which says how many whole messages came before the fault."""
    return _Splitter(payload, configured_charset).run()


@dataclass(slots=True)
class _Splitter:
    payload: bytes
    charset: str | None
    messages: list[bytes] = field(default_factory=list)
    batches: list[tuple[Enclosure | None, int]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    file: Enclosure | None = None
    batch: Enclosure | None = None
    count: int | None = None
    """Messages of the batch that is open; None between batches."""

    def run(self) -> Batch:
        start = len(_BOM) if self.payload.startswith(_BOM) else 0
        while start < len(self.payload) and self.payload[start] in _BLANK:
            start += 1
        if self.payload[start : start + 3] not in (*_HEADERS, b"MSH"):
            raise self._broken("it begins with none of FHS, BHS and MSH")
        separator = self.payload[start + 3 : start + 4]
        if not separator or separator in b"\r\n":
            raise self._broken("its header has no fields")
        places = [found.start(1) for found in _openings(separator).finditer(self.payload, max(0, start - 1))]
        if not places or places[0] != start:
            places.insert(0, start)
        ended = False
        for at, end in zip(places, [*places[1:], len(self.payload)], strict=True):
            name = self.payload[at : at + 3]
            if ended:
                raise self._broken(f"{name.decode('ascii')} follows the end of the file")
            ended = self._take(name, self.payload[at:end])
        if self.count is not None and self.batch is not None:
            raise self._broken("it ends without BTS")
        if self.file is not None and not ended:
            raise self._broken("it ends without FTS")
        self._close(None)
        return Batch(self.file, tuple(self.batches), tuple(self.messages), tuple(self.findings))

    def _take(self, name: bytes, piece: bytes) -> bool:
        """Acts on one message or segment; True when it ends the file."""
        if name == b"MSH":
            if len(self.messages) >= MAX_MESSAGES:
                raise ParseError(f"the batch has more than {MAX_MESSAGES} messages", code="batch-too-large")
            self.messages.append(piece)
            self.count = (self.count or 0) + 1
            return False
        segment = self._segment(piece)
        if name == b"FHS":
            if self.file is not None or self.batch is not None or self.messages or self.batches:
                raise self._broken("another FHS begins inside it")
            self.file = segment
        elif name == b"BHS":
            if self.batch is not None:
                raise self._broken("another BHS begins before BTS")
            self._close(None)
            self.batch, self.count = segment, 0
        elif name == b"BTS":
            self._close(segment)
        else:
            if self.batch is not None:
                raise self._broken("FTS comes before BTS")
            self._close(None)
            self._compare(segment.field(1), len(self.batches), "FTS-1", "batches")
            return True
        return False

    def _close(self, trailer: Enclosure | None) -> None:
        if self.count is None:
            if trailer is not None:
                raise self._broken("BTS comes without a batch")
            return
        if trailer is not None:
            self._compare(trailer.field(1), self.count, "BTS-1", "messages")
        self.batches.append((self.batch, self.count))
        self.batch, self.count = None, None

    def _compare(self, stated: str, found: int, place: str, what: str) -> None:
        said = stated.strip()
        if said and said != str(found) and said.lstrip("0") != str(found):
            count = said if said.isdecimal() and len(said) <= 9 else "something else"
            self.findings.append(
                Finding("batch-count", f"{place} says {count}, and there are {found} {what}.", location=place)
            )

    def _segment(self, piece: bytes) -> Enclosure:
        """A segment of the enclosure: one line, and nothing behind it."""
        line, _, rest = piece.partition(b"\r" if b"\r" in piece else b"\n")
        if rest.strip(_BLANK):
            raise self._broken("a segment stands outside of its messages")
        decoded = text.decode(line, None, self.charset)
        content = decoded.text.strip("\n\ufeff")
        name, separator = content[:3], content[3:4]
        fields = content.split(separator)
        if name in ("FHS", "BHS"):
            fields.insert(1, separator)
            read_separators(separator, fields[2] if len(fields) > 2 else "")
        return Enclosure(tuple(fields), decoded.charset)

    def _broken(self, why: str) -> ParseError:
        return ParseError(
            f"the batch is not taken: {why} ({len(self.messages)} messages came before that)", code=BROKEN
        )


@lru_cache(maxsize=16)
def _openings(separator: bytes) -> re.Pattern[bytes]:
    """Where a message, or a segment of the enclosure, begins."""
    return re.compile(rb"(?:\A|[\r\n])[\n\t \x00]*((?:MSH|FHS|BHS|BTS|FTS)" + re.escape(separator) + rb")")


def answer(batch: Batch, answers: Sequence[bytes], *, control_id: str, created: str) -> bytes:
    """The answers to a batch's messages in their order, in batches as theirs; empty ones are left out.

    `created` is the time for BHS-7 and FHS-7; BHS-12 and FHS-12 name the batch and the file that are answered.
    """
    pieces: list[bytes] = []
    if batch.file is not None:
        pieces.append(_header(batch.file, control_id, created))
    remaining = iter(answers)
    for enclosure, count in batch.batches:
        given = [one for one in (next(remaining) for _ in range(count)) if one]
        if enclosure is not None:
            pieces.append(_header(enclosure, control_id, created))
        pieces += (one if one.endswith(b"\r") else one + b"\r" for one in given)
        if enclosure is not None:
            pieces.append(f"BTS{enclosure.field(1)}{len(given)}\r".encode())
    if batch.file is not None:
        pieces.append(f"FTS{batch.file.field(1)}{len(batch.batches)}\r".encode())
    return b"".join(pieces)


def _header(asked: Enclosure, control_id: str, created: str) -> bytes:
    """BHS or FHS back to where it came from."""
    mark = asked.field(1)
    back = (asked.field(5), asked.field(6), asked.field(3), asked.field(4))
    fields = (asked.field(0), asked.field(2), *back, created, "", "", "", control_id, asked.field(11))
    return f"{mark.join(fields)}\r".encode(asked.codec, "replace").translate(None, b"\x0b\x1c")
