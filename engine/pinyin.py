"""How is a Chinese name read aloud? Pinyin of its characters; a surname has readings of its own."""

from __future__ import annotations

import os

_SURNAMES = {
    "单": "shan",
    "仇": "qiu",
    "解": "xie",
    "查": "zha",
    "曾": "zeng",
    "区": "ou",
    "朴": "piao",
    "任": "ren",
    "盖": "ge",
    "华": "hua",
    "乐": "yue",
    "尉迟": "yuchi",
    "万俟": "moqi",
    "长孙": "zhangsun",
}
"""Surnames that are read otherwise than the character as a word."""


def readings(text: str, *, all_readings: bool = False) -> list[list[str]]:
    """The readings of each character, the commonest first; a character that has none is its own reading."""
    # The dictionary of phrases is never asked, because a name is no phrase, and would take 40 MB; the one of characters
    # is loaded when the first Chinese name comes.
    os.environ.setdefault("PYPINYIN_NO_PHRASES", "true")
    from pypinyin import Style, pinyin

    found: list[list[str]] = pinyin(list(text), style=Style.NORMAL, heteronym=all_readings, errors="default")
    return found


def spoken(text: str) -> str:
    """The commonest reading of the whole: 秀英 is `xiuying`."""
    return "".join(of_one[0] for of_one in readings(text) if of_one)


def spoken_surname(family: str) -> str:
    """A surname as it is read: 单 is `shan`."""
    return _SURNAMES.get(family) or spoken(family)
