"""Where in a data set does each frame stand? By arithmetic where pixels are native, by offset table or items where not.

No pixel is decoded. An offset table is believed where an item begins at the offset it gives; else, and where there is
none, the fragments are walked through: one for each frame, all for the only frame, or else as many as begin an image.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from engine.errors import ParseError
from pacs_gateway.dicomweb.accepting import OCTET_STREAM
from pacs_gateway.dicomweb.data_set import PIXEL_DATA, DataSet, Element
from pacs_gateway.transfer_syntaxes import EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, UNCOMPRESSED

FRAMES_LIMIT = 100_000

_ROWS, _COLUMNS, _SAMPLES, _BITS = 0x00280010, 0x00280011, 0x00280002, 0x00280100
_FRAMES, _PHOTOMETRIC = 0x00280008, 0x00280004
_EXTENDED_OFFSETS, _EXTENDED_LENGTHS = 0x7FE00001, 0x7FE00002
_FLOAT, _DOUBLE = 0x7FE00008, 0x7FE00009
_WANTED = frozenset(
    {_ROWS, _COLUMNS, _SAMPLES, _BITS, _FRAMES, _PHOTOMETRIC, _EXTENDED_OFFSETS, _EXTENDED_LENGTHS}
    | {PIXEL_DATA, _FLOAT, _DOUBLE}
)
_ITEM = struct.pack("<HH", 0xFFFE, 0xE000)
_IMAGE_BEGINS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")
"""Start of image of JPEG and JPEG-LS, start of codestream of JPEG 2000 and HTJ2K."""

_JPEG = "1.2.840.10008.1.2.4."
MEDIA_TYPES = {
    "1.2.840.10008.1.2.5": "image/dicom-rle",
    **dict.fromkeys((f"{_JPEG}{number}" for number in (50, 51, 57, 70)), "image/jpeg"),
    **dict.fromkeys((f"{_JPEG}{number}" for number in (80, 81)), "image/jls"),
    **dict.fromkeys((f"{_JPEG}{number}" for number in (90, 91)), "image/jp2"),
    **dict.fromkeys((f"{_JPEG}{number}" for number in (92, 93)), "image/jpx"),
    **dict.fromkeys((f"{_JPEG}{number}" for number in (201, 202, 203)), "image/jphc"),
    **dict.fromkeys((f"{_JPEG}{number}" for number in ("100", "100.1", "101", "101.1")), "video/mpeg"),
    **dict.fromkeys((f"{_JPEG}{n}" for m in (102, 103, 104, 105, 106) for n in (f"{m}", f"{m}.1")), "video/mp4"),
    **dict.fromkeys((f"{_JPEG}{number}" for number in (107, 108)), "video/mp4"),
}
"""Of a frame by itself (PS3.18 §8.7.3.3)."""

Stretches = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames of an object, each as stretches (from byte, number of bytes) of its data set.

    transfer_syntax  what a frame is said to be in: Explicit VR Little Endian where pixels are native
    """

    media_type: str
    transfer_syntax: str
    places: Sequence[Stretches]


def frames_of(data_set: DataSet, transfer_syntax: str) -> Frames:
    """Raises ParseError `no-frames` when the object has none that can be told apart."""
    found: dict[int, Element] = {}
    for element in data_set.top():
        if element.tag in _WANTED:
            found.setdefault(element.tag, element)
    pixels = next((found[tag] for tag in (PIXEL_DATA, _FLOAT, _DOUBLE) if tag in found), None)
    if pixels is None:
        raise _none("the object has no pixels")
    count = _integer_text(data_set, found.get(_FRAMES), 1)
    if not 0 < count <= FRAMES_LIMIT:
        raise _none("the object has no number of frames")
    if pixels.open:
        places = _encapsulated(data_set, found, pixels, count)
        return Frames(MEDIA_TYPES.get(transfer_syntax, OCTET_STREAM), transfer_syntax, _from(data_set.start, places))
    if transfer_syntax == EXPLICIT_VR_BIG_ENDIAN and pixels.vr != "OB":
        raise _none("big endian pixels are served in their object only")
    if transfer_syntax not in UNCOMPRESSED:
        raise _none("the object's pixels are not encapsulated, against its transfer syntax")
    places = _native(data_set, found, pixels, count)
    return Frames(OCTET_STREAM, EXPLICIT_VR_LITTLE_ENDIAN, _from(data_set.start, places))


def _from(start: int, places: Sequence[Stretches]) -> list[Stretches]:
    """Places of a file as places of what begins in it there."""
    return [tuple((at - start, size) for at, size in stretches) for stretches in places]


def _native(data_set: DataSet, found: dict[int, Element], pixels: Element, count: int) -> list[Stretches]:
    rows, columns, samples, bits = (
        _short(data_set, found.get(tag), default)
        for tag, default in ((_ROWS, 0), (_COLUMNS, 0), (_SAMPLES, 1), (_BITS, 8))
    )
    if pixels.tag != PIXEL_DATA:
        bits = 32 if pixels.tag == _FLOAT else 64
    photometric = data_set.value(found[_PHOTOMETRIC], 16) if _PHOTOMETRIC in found else b""
    if samples == 3 and photometric.strip(b" \0") == b"YBR_FULL_422":
        samples = 2  # two pixels share their colours (PS3.3 C.7.6.3.1.2)
    size, rest = divmod(rows * columns * samples * bits, 8)
    if count == 1 and rest:
        size += 1
    elif rest:
        raise _none("frames of single bits that share bytes are served in their object only")
    if not size or size * count > pixels.length:
        raise _none("the object has fewer pixels than its frames need")
    return [((pixels.at + number * size, size),) for number in range(count)]


def _encapsulated(data_set: DataSet, found: dict[int, Element], pixels: Element, count: int) -> list[Stretches]:
    items = data_set.items(pixels)
    table = next(items, None)
    if table is None:
        raise _none("the object has no fragments")
    if (by_table := _by_extended_table(data_set, found, table[1], count)) is not None:
        return by_table
    fragments = [(at, end - at) for at, end in items]
    if count == 1:
        return [tuple(fragments)] if fragments else _no_fragments()
    if (offsets := _basic_offsets(data_set, table, fragments, count)) is not None:
        starts = offsets
    elif len(fragments) == count:
        starts = list(range(count))
    else:
        starts = [number for number, (at, _) in enumerate(fragments) if _begins_image(data_set.read(at, 4))]
    if len(starts) != count or starts[0] != 0:
        raise _none("the object's fragments do not say which frame they are of")
    return [tuple(fragments[start:end]) for start, end in zip(starts, [*starts[1:], None], strict=True)]


def _by_extended_table(
    data_set: DataSet, found: dict[int, Element], first_at: int, count: int
) -> list[Stretches] | None:
    """Frames of one fragment each (PS3.3 C.7.6.3.1.8); None where there is no such table, or one that is wrong."""
    if _EXTENDED_OFFSETS not in found or _EXTENDED_LENGTHS not in found:
        return None
    offsets, lengths = (data_set.value(found[tag], 8 * count) for tag in (_EXTENDED_OFFSETS, _EXTENDED_LENGTHS))
    if len(offsets) != 8 * count or len(lengths) != 8 * count:
        return None
    places: list[Stretches] = []
    for offset, length in zip(struct.unpack(f"<{count}Q", offsets), struct.unpack(f"<{count}Q", lengths), strict=True):
        head = data_set.read(first_at + offset, 8) if offset < 1 << 62 else b""
        if len(head) < 8 or head[:4] != _ITEM or not 0 <= struct.unpack("<I", head[4:])[0] - length <= 1:
            return None
        places.append(((first_at + offset + 8, length),))
    return places


def _basic_offsets(
    data_set: DataSet, table: tuple[int, int], fragments: Sequence[tuple[int, int]], count: int
) -> list[int] | None:
    """Which fragments begin a frame, by the first item; None where it is empty, or wrong."""
    raw = data_set.read(table[0], min(table[1] - table[0], 4 * count))
    if len(raw) != 4 * count or table[1] - table[0] != 4 * count:
        return None
    numbers = {at - 8 - table[1]: number for number, (at, _) in enumerate(fragments)}
    starts = [numbers.get(offset, -1) for offset in struct.unpack(f"<{count}I", raw)]
    return starts if starts[0] == 0 and all(a < b for a, b in pairwise(starts)) else None


def _begins_image(head: bytes) -> bool:
    return head.startswith(_IMAGE_BEGINS)


def _short(data_set: DataSet, element: Element | None, default: int) -> int:
    raw = data_set.value(element, 2) if element is not None else b""
    return struct.unpack(f"{element.layout.order}H", raw)[0] if element is not None and len(raw) == 2 else default


def _integer_text(data_set: DataSet, element: Element | None, default: int) -> int:
    raw = data_set.value(element, 16).strip(b" \0") if element is not None else b""
    if not raw:
        return default
    return int(raw) if raw.isdigit() else 0


def _no_fragments() -> list[Stretches]:
    raise _none("the object has no fragments")


def _none(message: str) -> ParseError:
    return ParseError(message, code="no-frames")
