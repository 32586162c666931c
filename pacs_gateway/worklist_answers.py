"""How is a scheduled step told? Straight to bytes, as `worklist.answer` and pydicom would, where nothing is unusual.

A station that asks for a day gets all of its steps, and pydicom takes a millisecond for each. An identifier that is in
any way odd, and a value that its VR cannot hold, are left to the longer way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset

from engine.codecs.text import codec_of
from engine.store.worklist import Step
from pacs_gateway.query import usual
from pacs_gateway.query.usual import Unusual
from pacs_gateway.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from pacs_gateway.worklist import SPECIFIC_CHARACTER_SET, Said, charset_of, said_of

_LABEL = "SpecificCharacterSet"
_FIRST_TAG = 0x00080000
"""Below it stand commands and what is said of a file, which no identifier has."""
_VR_CHARACTERS = 2
_KINDS = 64
"""Of items, by what is known of them: a step and its codes are three."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """One attribute that an identifier asks for.

    vr      as the identifier says
    inside  what it asks for of each item of a sequence; None for everything
    """

    tag: int
    vr: str
    keyword: str
    inside: tuple[_Asked, ...] | None = None


class PlainSteps:
    """Writes the answers to one identifier. Raises Unusual, also when it is made, and what pydicom raises then."""

    def __init__(self, identifier: Dataset, calling_ae: str, transfer_syntax: str) -> None:
        if transfer_syntax not in (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN):
            raise Unusual
        self._explicit = transfer_syntax == EXPLICIT_VR_LITTLE_ENDIAN
        self._calling_ae = calling_ae
        self._charset = charset_of(identifier)
        self._codec = codec_of(self._charset) or "ascii"
        asked = _asked_of(identifier)
        if self._charset:
            asked = sorted([*asked, _Asked(SPECIFIC_CHARACTER_SET, "CS", _LABEL)], key=lambda one: one.tag)
        self._asked = asked

    def write(self, step: Step) -> bytes:
        """The data set of one step. Raises Unusual."""
        return self._level(self._asked, said_of(step, self._calling_ae, self._charset))

    def _level(self, asked: Sequence[_Asked], said: Mapping[str, Said]) -> bytes:
        written: list[bytes] = []
        for one in asked:
            if one.keyword == _LABEL:
                vr, value = one.vr, usual.padded(one.vr, self._charset.encode())
            elif (told := said.get(one.keyword)) is None:
                vr, value = one.vr, b""
            else:
                vr, value = _vr_of(one.tag), self._value(one, told)
            head, size = _header(one.tag, vr, self._explicit)
            written += (head, size.pack(len(value)), value)
        return b"".join(written)

    def _value(self, asked: _Asked, told: Said) -> bytes:
        if not isinstance(told, str):
            items = [(_everything(tuple(item)) if asked.inside is None else asked.inside, item) for item in told]
            return b"".join(usual.item(self._level(inside, item)) for inside, item in items)
        if asked.inside is not None:
            raise Unusual
        vr = _vr_of(asked.tag)
        return usual.text(vr, told, self._codec) if usual.is_text(vr) else usual.code(vr, told)


def _asked_of(identifier: Dataset) -> list[_Asked]:
    """Every key but the character set and lengths of groups, in the order of their tags."""
    asked = []
    for element in identifier:
        tag, vr = int(element.tag), str(element.VR)
        if tag == SPECIFIC_CHARACTER_SET or not tag & 0xFFFF:
            continue
        if tag < _FIRST_TAG or len(vr) != _VR_CHARACTERS:
            raise Unusual
        inside = tuple(_asked_of(element.value[0])) if vr == "SQ" and element.value and len(element.value[0]) else None
        asked.append(_Asked(tag, vr, keyword_for_tag(tag), inside))
    return asked


@lru_cache(_KINDS)
def _everything(keywords: tuple[str, ...]) -> tuple[_Asked, ...]:
    asked = []
    for keyword in keywords:
        tag = tag_for_keyword(keyword)
        assert tag is not None, keyword
        asked.append(_Asked(tag, dictionary_VR(tag), keyword))
    return tuple(sorted(asked, key=lambda one: one.tag))


_vr_of = lru_cache(_KINDS)(dictionary_VR)
_header = lru_cache(1024)(usual.header)
