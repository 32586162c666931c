"""What does an object say of itself that no index holds? Some attributes, read from where it lies."""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection
from io import BytesIO
from typing import BinaryIO

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag

from engine.errors import HutongError
from engine.store.imaging_query import Content
from pacs_gateway.location import Objects, open_object
from pacs_gateway.part10 import data_set_offset
from pacs_gateway.query.identifier import UNREADABLE, encoding
from pacs_gateway.transfer_syntaxes import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN

HEAD_LIMIT = 1024 * 1024
"""Of a deflated data set so much is inflated; what stands behind belongs to the pixels."""

_FIRST_PIXELS = 0x7FE00000
_SPECIFIC_CHARACTER_SET = 0x00080005
_META_BYTES = 512


def head_of(objects: Objects, content: Content, tags: Collection[int]) -> Dataset:
    """Those of the attributes that the object has, read in the character set that its text was found to be in.

    An object that cannot be read has none: an answer without them is better than no answer. Blocking.
    """
    try:
        with open_object(objects, content.location) as file:
            file.seek(data_set_offset(file.read(_META_BYTES)))
            dataset = _read(file, content.transfer_syntax, [*tags, _SPECIFIC_CHARACTER_SET])
    except (HutongError, *UNREADABLE):
        return Dataset()
    charset = json.loads(content.charset)
    if (used := charset.get("used")) and "2022" not in charset.get("declared", ""):
        dataset.set_original_encoding(*encoding(content.transfer_syntax), [used])
    return dataset


def _read(file: BinaryIO, transfer_syntax: str, tags: list[int]) -> Dataset:
    if transfer_syntax == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        file = BytesIO(zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(HEAD_LIMIT), HEAD_LIMIT))
    return read_dataset(
        file, *encoding(transfer_syntax), stop_when=_at_pixels, specific_tags=[BaseTag(t) for t in tags]
    )


def _at_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
    return int(tag) >= _FIRST_PIXELS
