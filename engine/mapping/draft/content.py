"""What does a text look like, whatever field it stands in? A time, a telephone, a number of a card, a person, words."""

from __future__ import annotations

import re
import unicodedata

from engine.mapping.functions.id_card import id_card
from engine.mapping.functions.moments import moment

LIMIT_CODE = 24
"""A longer one is no code."""

TIME, NUMBER, IDENTIFIER, PERSON, WORDS, CODE = "time", "number", "identifier", "person", "words", "code"
ID_CARD, PHONE, SEX, ADDRESS, RANGE, UNIT = "id card", "telephone", "sex", "address", "range", "unit"
NUMBERS_OF_SOMEBODY = frozenset({IDENTIFIER, ID_CARD, PHONE})
"""Kinds that tell whom something is about."""

SAID = {
    TIME: "times",
    NUMBER: "numbers",
    IDENTIFIER: "numbers that name something",
    PERSON: "people",
    WORDS: "words",
    CODE: "codes",
    ID_CARD: "居民身份证 numbers",
    PHONE: "telephone numbers",
    SEX: "sexes",
    ADDRESS: "addresses",
    RANGE: "reference ranges",
    UNIT: "units",
}
"""What a column of a kind holds."""

_DIGITS_OF_AN_IDENTIFIER = 6
_DIGITS_AFTER_LETTERS = 4
"""MZ0088 numbers a visit; D102 may be the code of anything."""
_LETTERS_OF_A_NAME = 4
_CARD = re.compile(r"[1-9]\d{5}(?:19|20)\d{9}[\dXx]", re.ASCII)
"""Of 18 characters; whether its check digit is right is counted beside it, for many are mistyped."""
_PHONE = re.compile(r"(?:\+?86-?)?(?:1[3-9]\d{9}|0\d{2,3}-?\d{7,8})")
_RANGE = re.compile(r"[<>≤≥]?\d+(?:\.\d+)? ?(?:-|--|~|—|–) ?\d+(?:\.\d+)?")
_UNIT = re.compile(
    r"(?:10[*^]?\d*|[A-Za-zµμ]{1,5}|[单位个次毫微纳克摩尔升]+)/(?:[A-Za-zµμ0-9]{1,5}|[毫微纳升分小时天高倍视野]+)"
    r"|%|‰|mm[Hh]g|毫米汞柱|f[Ll]|飞升|pg|皮克|kg|公斤|cm|厘米|℃"
)
_PLACES = re.compile("[省市县区旗乡镇村街路组号栋室]")
_MARKS_OF_AN_ADDRESS = 2
_SHORTEST_ADDRESS = 5
_SEXES = frozenset({"男", "女", "男性", "女性"})


def kind_of(components: list[str]) -> str:
    """What a field looks like, by its components. Empty for what could be anything."""
    first, second = components[0].strip(), components[1].strip() if len(components) > 1 else ""
    if marked := _marked(unicodedata.normalize("NFKC", first)):
        return marked
    if form_of(first):
        return TIME
    if first.replace(".", "", 1).isdecimal() and len(first) < _DIGITS_OF_AN_IDENTIFIER:
        return NUMBER
    if second and _is_chinese(second) and len(second) < _LETTERS_OF_A_NAME and len(components) < _LETTERS_OF_A_NAME:
        return PERSON
    digits = sum(each.isdecimal() for each in first)
    numbered = digits >= _DIGITS_OF_AN_IDENTIFIER or (digits >= _DIGITS_AFTER_LETTERS and digits < len(first))
    if numbered and not any(map(_is_chinese, first)):
        return IDENTIFIER
    if _is_chinese(first):
        return WORDS
    return CODE if first.isascii() and first.isalnum() and len(first) <= LIMIT_CODE else ""


def _marked(text: str) -> str:
    """The kind of a text that by its form can hardly be of another one."""
    if _CARD.fullmatch(text) and id_card(text) is not None and form_of(text[6:14]):
        return ID_CARD
    if _PHONE.fullmatch(text):
        return PHONE
    if text in _SEXES:
        return SEX
    if _RANGE.fullmatch(text) and not form_of(text):
        return RANGE
    if _UNIT.fullmatch(text):
        return UNIT
    marks = len(set(_PLACES.findall(text))) if len(text) >= _SHORTEST_ADDRESS else 0
    return ADDRESS if marks >= _MARKS_OF_AN_ADDRESS and "\u4e00" <= text[0] <= "\u9fff" else ""


def is_right_card(text: str) -> bool:
    """Whether the check digit of a 居民身份证 number is right."""
    card = id_card(text)
    return card is not None and card.valid


def _is_chinese(text: str) -> bool:
    return bool(text) and all("\u4e00" <= each <= "\u9fff" for each in text)


def form_of(text: str) -> str:
    """How a date or a time is written, `YYYYMMDDHHMM`; empty for what is none that can be read."""
    if not 8 <= len(text) <= 30 or not text[:4].isdecimal():
        return ""
    found = moment(text)
    if not found.date_time:
        return ""
    letters = iter("YYYYMMDDHHMMSS")
    body, zone = (text[:-5], "+ZZZZ") if len(text) > 5 and text[-5] in "+-" and text[-4:].isdecimal() else (text, "")
    return "".join(next(letters, "S") if each.isdecimal() else each for each in body) + zone


def shape_of(text: str) -> str:
    """What a value looks like without saying it: 9 for a digit, A for a letter, 字 for a Chinese character."""
    shape = "".join(
        "9" if each.isdecimal() else "A" if each.isascii() and each.isalpha() else "字" if each.isalpha() else each
        for each in text[:40]
    )
    return f"{shape}…" if len(text) > len(shape) else shape
