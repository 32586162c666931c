"""By what spellings can a name be found? Beginnings of its characters, of its pinyin and of its initials."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice, product

from engine.pinyin import readings

LONGEST_BEGINNING = 24
"""Beginnings up to this many characters are tokens; a longer search must give the whole name. No name typed by hand is
longer, and every beginning costs an index entry."""
_MOST_READINGS = 8
"""A name of several characters with several readings each would multiply without this bound."""
_LONGEST_READ = 6
"""Names with more characters are transcriptions (minority and foreign names): one reading is enough."""


def folded(name: str) -> str:
    """One form for what is the same to a reader: width, case, blanks and punctuation do not count."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", name).casefold()))


@lru_cache(maxsize=8192)
def spellings(name: str) -> tuple[str, ...]:
    """Everything typed that should find this name: 张, 张伟, z, zhang, zhangw, zw … and the whole of it."""
    text = folded(name)
    found = dict.fromkeys(_beginnings(text))
    if not text.isascii():
        for spoken in syllables(text):
            found.update(dict.fromkeys(_beginnings("".join(spoken))))
            found.update(dict.fromkeys(_beginnings("".join(syllable[0] for syllable in spoken))))
    return tuple(found)


def _beginnings(text: str) -> Iterator[str]:
    for end in range(1, min(len(text), LONGEST_BEGINNING) + 1):
        yield text[:end]
    if len(text) > LONGEST_BEGINNING:
        yield text


def syllables(text: str) -> Iterator[tuple[str, ...]]:
    """Readings of the whole, the first character's all before the second reading of another: surnames vary most."""
    # Character by character: among words, a surname such as 单 would get only the reading it has as a word.
    of_each = readings(text, all_readings=len(text) <= _LONGEST_READ)
    per_character = [list(dict.fromkeys(filter(None, of_one))) for of_one in of_each]
    backwards = product(*reversed([of_one for of_one in per_character if of_one]))
    return (tuple(reversed(reading)) for reading in islice(backwards, _MOST_READINGS))
