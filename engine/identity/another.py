"""Is what came under a known number somebody else? A number that is used again mixes two patients up."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from difflib import SequenceMatcher
from hashlib import blake2b
from typing import Any

from engine.identifiers import ID_CARD
from engine.identity.personal import personal_keys
from engine.pinyin import spoken, spoken_surname

Patient = dict[str, Any]

_NAME, _BIRTH, _SEX, _CARD = "name (PID-5)", "date of birth (PID-7)", "sex (PID-8)", "居民身份证 number"

_NOT_SAID = re.compile(
    r"无名|未知|不详|佚名|未名|待查|路人|急诊|抢救|急救|某|患者|病人|测试|[*＊?？\ufffd]|^\W*$|^[\W\dA-Z]?[\W\d]+$"
    r"|\b(unknown|unidentified|anonymous|nn|john doe|jane doe)\b",
    re.IGNORECASE,
)
"""What stands for a name that nobody knew, that is hidden, or that could not be read."""
_NEWBORN = re.compile(
    r"[之的](大|小|长|次|双|第?[一二三四1234])?[子女儿婴孩宝]|新生儿|[男女]?婴|毛毛$|baby", re.IGNORECASE
)
"""A child that has no name of its own yet: 张三之子."""

_EARLIEST_BIRTH = "1901-01-02"
_NO_BIRTHS = frozenset({"1970-01-01", "9999-12-31"})
_GUESSED = "-01-01"
"""A birth date that was worked out of an age."""
_GUESSED_WITHIN_YEARS = 2
_SOUNDS_ALIKE = 0.6
_DIGEST_BYTES = 12


def another_person(known: Patient, came: Patient) -> list[str]:
    """What says that `came` is hardly the person `known`, in words; empty where it may be.

    One thing that differs is a correction: a misspelt name, a completed birth date. Two are somebody else: another
    valid 居民身份证 with another name or birth date; another name with another birth date, except when both are a slip
    of the pen; another name and sex where no birth date speaks for one person. A name that nobody knew (无名氏,
    张三之子) and a birth date that stands for none (1900-01-01) say nothing; neither does what one side alone states.
    """
    name, birth = _names_differ(known, came), _births_differ(known.get("birthDate"), came.get("birthDate"))
    had, has = _cards(known), _cards(came)
    cards = bool(had and has) and had.isdisjoint(has)
    found = [
        what
        for what, differs in ((_CARD, cards), (_NAME, name), (_BIRTH, birth), (_SEX, _sexes_differ(known, came)))
        if differs
    ]
    if cards:
        return found if name or birth else []
    if name and birth:
        slips = name < 1 and birth < 1
        return [] if slips or _as_on_the_card(came, had & has) else found
    return found if name == 1 and birth is None and _SEX in found else []


def digest_of_both(known: Patient, came: Patient) -> str:
    """Equal for these two statements of who somebody is, whichever came first; it gives neither away."""
    stated = sorted(
        "\0".join(
            [*sorted(_written(patient)), patient.get("birthDate") or "", patient.get("gender") or "", *_cards(patient)]
        )
        for patient in (known, came)
    )
    salted = "\0\0".join([str(came["id"]), *stated])
    return blake2b(salted.encode("utf-8", "replace"), digest_size=_DIGEST_BYTES).hexdigest()


def _names_differ(known: Patient, came: Patient) -> float | None:
    """0 the same name, 0.5 one that may be misspelt, 1 another; None where that cannot be told."""
    told = [_differ(one, other) for one in _written(known) for other in _written(came)]
    judged = [each for each in told if each is not None]
    return min(judged, default=None) if len(judged) == len(told) or 0 in judged else None


def _written(patient: Patient) -> set[str]:
    """Names as `family given`, letters and marks as they came, in one form of Unicode."""
    names = set()
    for name in patient.get("name") or ():
        parts = [name.get("family") or "", *(name.get("given") or ())]
        names.add(unicodedata.normalize("NFKC", " ".join(filter(None, parts)) or name.get("text") or "").strip())
    return names - {""}


def _differ(known: str, came: str) -> float | None:
    one, other = _letters(known), _letters(came)
    if one == other:
        return 0
    if _NOT_SAID.search(known) or _NOT_SAID.search(came):
        return None
    # A newborn gets its name; its mother's name, or a newborn under a grown person's number, is another person's.
    if _NEWBORN.search(known) and not _NEWBORN.search(came) and not one.startswith(other):
        return None
    if one.isascii() != other.isascii():
        return _sound_differs(known, came)
    if one in other or other in one:
        return 1 if _NEWBORN.search(known) or _NEWBORN.search(came) else 0.5
    if spoken(one) == spoken(other):
        return 0.5
    same = sum(a == b for a, b in zip(one, other, strict=False))
    return 0.5 if len(one) == len(other) and len(one) > 2 and same >= len(one) - 1 else 1


def _sound_differs(one: str, other: str) -> float | None:
    """Of a name in Latin letters and one in Chinese characters; what is not pinyin sounds somewhat alike at best."""
    alike = max(
        SequenceMatcher(None, ours, theirs, autojunk=False).ratio()
        for ours in _readings(one)
        for theirs in _readings(other)
    )
    return 0 if alike == 1 else None if alike >= _SOUNDS_ALIKE else 1


def _readings(name: str) -> set[str]:
    """As it is read, family name first and last; of a Chinese name also with one or two characters as the family's."""
    whole, parts = _letters(name), name.split()
    if whole.isascii():
        return {whole, _letters("".join(reversed(parts)))}
    return {spoken(whole), spoken_surname(whole[:1]) + spoken(whole[1:]), spoken_surname(whole[:2]) + spoken(whole[2:])}


def _letters(name: str) -> str:
    return "".join(each for each in name if each.isalnum()).casefold()


def _births_differ(one: str | None, other: str | None) -> float | None:
    """0 the same or one more exact than the other, 0.5 a slip of the pen or a guess, 1 another; None if unknown."""
    if not one or not other or min(one, other) < _EARLIEST_BIRTH or not _NO_BIRTHS.isdisjoint((one, other)):
        return None
    if one.startswith(other) or other.startswith(one):
        return 0
    ours, theirs = one.split("-"), other.split("-")
    guessed = one.endswith(_GUESSED) or other.endswith(_GUESSED)
    if guessed and abs(int(ours[0]) - int(theirs[0])) <= _GUESSED_WITHIN_YEARS:
        return 0.5
    whole = len(ours) == len(theirs) == 3
    return 0.5 if whole and sum(a == b for a, b in zip(ours, theirs, strict=True)) == 2 else 1


def _sexes_differ(known: Patient, came: Patient) -> bool:
    return {known.get("gender"), came.get("gender")} == {"male", "female"}


def _cards(patient: Patient) -> set[str]:
    return {value for system, value in personal_keys(patient) if system == ID_CARD}


def _as_on_the_card(came: Patient, shared: Iterable[str]) -> bool:
    """Whether what came only corrects the birth date to what the card says that both have."""
    return any(number[6:14] == (came.get("birthDate") or "").replace("-", "") for number in shared)
