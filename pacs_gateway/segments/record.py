"""How is an object written into a segment, so that what is whole can be told after any end of the process?

A segment begins with a page that holds its generation: 16 random bytes, drawn anew whenever the segment is used again.
Records follow, each from a page border, so that none shares a page with an object that was answered before:

    0     page     the head, written after the data set and flushed with it: an object exists when its head stands
    4096  data set, as it was on the wire
    …     nothing up to the next page border

The head:

    0     8   magic
    8     16  generation of the segment; old heads, and heads that a sender hides in its pixels, have another one
    24    8   place of the head in the segment
    32    8   length of the data set
    40    4   nothing; in heads of the first release the CRC-32 of the data set
    44    8   received_at, microseconds since 1970
    52    2   length of the texts
    54    2   length of the file head
    56    4   CRC-32 of the whole page, this field and the name taken as zeros
    60        texts: SOP class, SOP instance, transfer syntax, facility, peer; UTF-8, each behind its length in 2 bytes
    2560  44  the name: SHA-256 of the data set with a CRC-32 and its own magic; written once the flush has returned,
              of zeros until the SHA-256 is known, and not flushed itself: whom readers find by it was flushed. Of ones
              where a person was told that the object gets no row
    2604  16  XXH3 of the data set, 128 bits; in heads of the second release its SHA-256, 32 bytes; before, nothing
    …4096     file head: preamble and file meta information, right before the data set, so that a file of PS3.10 is
              one stretch of the segment

All numbers are little endian.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

PAGE = 4096
GENERATION_BYTES = 16
NAME_AT = 2560
XXH3_BYTES = 16
NOT_KNOWN = bytes(32)
"""What an object is named by between its flush and its hash."""
GIVEN_UP = b"\xff" * 32
"""What it is named by once a person has been told that it gets no row; the next start tries it again."""

_SEGMENT_MAGIC = b"HTSEG\0\0\1"
_HEAD_MAGIC = b"HTOBJ\0\0\3"
_MAGIC_WITH_SHA256 = b"HTOBJ\0\0\2"
_MAGIC_WITH_CRC = b"HTOBJ\0\0\1"
_HEAD_MAGICS = (_HEAD_MAGIC, _MAGIC_WITH_SHA256, _MAGIC_WITH_CRC)
_NAME_MAGIC = b"HTNAME\0\1"
_SEGMENT = struct.Struct("<8s16sI")
_HEAD = struct.Struct("<8s16sQQIqHHI")
_GENERATION_AT = 8
_CRC_AT = 56
_NAME = struct.Struct("<8s32sI")
_PROOF_AT = NAME_AT + _NAME.size
_PROOF_END = _PROOF_AT + 32
_TEXT_LENGTH = struct.Struct("<H")
_CRC = struct.Struct("<I")


class NoRecordError(Exception):
    """These bytes are not what was to be written there: they are older, torn or somebody else's."""


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of a record before its data set is read.

    place        where the head is in the segment
    xxh3         of the data set, 16 bytes; what proves that all of it stands. Empty in heads of earlier releases, which
                 have `sha256` or `crc` for that
    received_at  microseconds since 1970, UTC
    peer         `AET@host:port`
    file_head    what stands before the data set in a file
    sha256       of the data set; empty until it is known
    crc          CRC-32 of the data set
    """

    place: int
    length: int
    xxh3: bytes
    received_at: int
    sop_class: str
    sop_uid: str
    transfer_syntax: str
    facility: str
    peer: str
    file_head: bytes
    sha256: bytes = b""
    crc: int = 0

    @property
    def data_at(self) -> int:
        """Where the data set begins in the segment."""
        return self.place + PAGE

    @property
    def file_at(self) -> int:
        """Where the file begins in the segment."""
        return self.data_at - len(self.file_head)

    @property
    def file_length(self) -> int:
        return len(self.file_head) + self.length

    @property
    def after(self) -> int:
        """Where the next record may begin."""
        return next_page(self.data_at + self.length)


def next_page(at: int) -> int:
    """The first page border at or after a place."""
    return -(-at // PAGE) * PAGE


def segment_page(generation: bytes) -> bytes:
    """The first page of a segment."""
    return _SEGMENT.pack(_SEGMENT_MAGIC, generation, zlib.crc32(generation)).ljust(PAGE, b"\0")


def generation_of(page: bytes) -> bytes:
    """Raises NoRecordError when this is no segment's first page."""
    if len(page) < _SEGMENT.size:
        raise NoRecordError
    magic, generation, crc = _SEGMENT.unpack_from(page)
    if magic != _SEGMENT_MAGIC or crc != zlib.crc32(generation):
        raise NoRecordError
    return bytes(generation)


def head_page(head: Head, generation: bytes) -> bytes:
    """Raises NoRecordError when the texts do not fit in front of the name; no sender that was let in has such."""
    texts = b"".join(
        _TEXT_LENGTH.pack(len(encoded)) + encoded
        for encoded in (
            text.encode() for text in (head.sop_class, head.sop_uid, head.transfer_syntax, head.facility, head.peer)
        )
    )
    if _HEAD.size + len(texts) > NAME_AT or len(head.file_head) > PAGE - _PROOF_END:
        raise NoRecordError
    page = bytearray(PAGE)
    _HEAD.pack_into(
        page,
        0,
        _HEAD_MAGIC,
        generation,
        head.place,
        head.length,
        0,
        head.received_at,
        len(texts),
        len(head.file_head),
        0,
    )
    page[_HEAD.size : _HEAD.size + len(texts)] = texts
    page[_PROOF_AT : _PROOF_AT + len(head.xxh3)] = head.xxh3
    page[PAGE - len(head.file_head) :] = head.file_head
    _CRC.pack_into(page, _CRC_AT, zlib.crc32(page))
    return bytes(page)


def head_of(page: bytes, generation: bytes, place: int) -> Head:
    """The head that stands in a page at a place of a segment. Raises NoRecordError when none does."""
    if len(page) != PAGE or page[:8] not in _HEAD_MAGICS:
        raise NoRecordError
    magic = page[:8]
    _, written_by, written_at, length, crc, received_at, texts_length, file_head_length, checksum = _HEAD.unpack_from(
        page
    )
    bare = bytearray(page)
    _CRC.pack_into(bare, _CRC_AT, 0)
    bare[NAME_AT : NAME_AT + _NAME.size] = bytes(_NAME.size)
    if (written_by, written_at, checksum) != (generation, place, zlib.crc32(bare)):
        raise NoRecordError
    sop_class, sop_uid, transfer_syntax, facility, peer = _texts(page[_HEAD.size : _HEAD.size + texts_length])
    return Head(
        place=place,
        length=length,
        xxh3=page[_PROOF_AT : _PROOF_AT + XXH3_BYTES] if magic == _HEAD_MAGIC else b"",
        received_at=received_at,
        sop_class=sop_class,
        sop_uid=sop_uid,
        transfer_syntax=transfer_syntax,
        facility=facility,
        peer=peer,
        file_head=page[PAGE - file_head_length :],
        sha256=page[_PROOF_AT:_PROOF_END] if magic == _MAGIC_WITH_SHA256 else b"",
        crc=crc if magic == _MAGIC_WITH_CRC else 0,
    )


def bears_generation(page: bytes, generation: bytes, place: int) -> bool:
    """Whether a head of the segment was written at this place, even if it is none any more: nobody else knows these."""
    return page[_GENERATION_AT : _GENERATION_AT + GENERATION_BYTES + 8] == generation + place.to_bytes(8, "little")


def generation_by_head(page: bytes) -> bytes:
    """The generation of a segment by its first head. Raises NoRecordError when the page is none."""
    generation = page[_GENERATION_AT : _GENERATION_AT + GENERATION_BYTES]
    head_of(page, generation, PAGE)
    return generation


def name(generation: bytes, place: int, sha256: bytes) -> bytes:
    """What is written at NAME_AT of a head that has been flushed."""
    assert len(sha256) == len(NOT_KNOWN), "a name is as long as a SHA-256"
    return _NAME.pack(_NAME_MAGIC, sha256, _name_crc(generation, place, sha256))


def sha256_of(page: bytes, generation: bytes, place: int) -> bytes:
    """The SHA-256 that a head is named by, NOT_KNOWN until it was hashed. Raises NoRecordError without a name."""
    if len(page) != PAGE:
        raise NoRecordError
    magic, sha256, crc = _NAME.unpack_from(page, NAME_AT)
    if magic != _NAME_MAGIC or crc != _name_crc(generation, place, sha256):
        raise NoRecordError
    return bytes(sha256)


def _name_crc(generation: bytes, place: int, sha256: bytes) -> int:
    return zlib.crc32(generation + place.to_bytes(8, "little") + sha256)


def _texts(encoded: bytes) -> list[str]:
    texts, at = [], 0
    while at < len(encoded):
        (length,) = _TEXT_LENGTH.unpack_from(encoded, at)
        at += _TEXT_LENGTH.size
        texts.append(encoded[at : at + length].decode())
        at += length
    return texts
