"""XPN, and the name in XCN: names of people, Chinese ones first."""

from __future__ import annotations

import re
from typing import Any

from engine.finding import Severity
from engine.mapping.functions.times import period_of
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import THE_ROW, Scope

_USE = {
    "L": "official",
    "D": "usual",
    "M": "maiden",
    "N": "nickname",
    "S": "anonymous",
    "A": "anonymous",
    "P": "official",
    "B": "official",
    "C": "official",
    "T": "temp",
    "R": "official",
    "TEMP": "temp",
    "NAV": "temp",
    "MSK": "anonymous",
    "BAD": "old",
    "NOUSE": "old",
}
"""HL7 table 0200 to FHIR name-use, after HL7's own concept map of NameType."""
_WITHOUT_USE = frozenset({"F", "I", "K", "NB", "REL", "U"})
"""Kinds of HL7 table 0200 that say nothing FHIR has a use for: fathers' and business names, unspecified ones."""
_REPRESENTATION = {"A": "ABC", "I": "IDE", "P": "SYL"}
"""HL7 table 0465: alphabetic, ideographic (汉字), phonetic."""
_REPRESENTATION_EXTENSION = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
_SEX_WORDS = frozenset({"男", "女", "男性", "女性", "未知", "M", "F", "U"})
"""Written after the name by systems that print `张三^男` in a field for the name."""
_MOMENT = re.compile(
    r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d(?:\.\d{1,4})?)?"
    r"(?:[+-]\d{4})?",
    re.ASCII,
)
_HAN = re.compile(r"[\u2e80-\u2fdf\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff·]+")


def is_han(text: str) -> bool:
    """Whether a text consists of Chinese characters (the dot of 阿依古丽·买买提 among them)."""
    return _HAN.fullmatch(text) is not None


def full_name(family: str, given: list[str]) -> str:
    """A name as it is read: 王小东 without a blank, Given Family otherwise."""
    if is_han("".join((family, *given))):
        return "".join((family, *given))
    return " ".join(part for part in (*given, family) if part)


def human_name(parts: list[str], scope: Scope, first: int = 1) -> dict[str, Any]:
    """A HumanName of family, given, further given, suffix, prefix and degree; empty when there is no name.

    `first` is the component that holds the family name: 1 in XPN, 2 in XCN.
    """
    family, given, further, suffix, prefix, degree = [*parts[:6], *[""] * (6 - len(parts[:6]))]
    if given in _SEX_WORDS and is_han(family):
        scope.doubt("name-holds-sex", "a word for the sex stands where the given name belongs", first + 1)
        given = ""
    given_names = [name for name in (given, *further.split()) if name]
    if not family and not given_names:
        return {}
    name: dict[str, Any] = {"text": full_name(family, given_names)}
    if family:
        name["family"] = family
    if given_names:
        name["given"] = given_names
    if prefix:
        name["prefix"] = [prefix]
    if suffix or degree:
        name["suffix"] = [part for part in (suffix, degree) if part]
    return name


NEVER_A_PERSON = (
    f". If this sender never names anybody there, its facility needs the row {{rule: {THE_ROW}, remove: yes}}"
)


def called(parts: list[str], scope: Scope, first: int = 1) -> dict[str, Any]:
    """The same of somebody whom a field mentions; empty, with a doubt, where a field beside it got into its place."""
    name = human_name(parts, scope, first)
    if not name or name["text"].isalpha():
        return name
    words = name["text"].split()
    nameless = not any(character.isalpha() for word in words for character in word)
    if any(map(is_time, words)) or (nameless and any(character.isdigit() for character in name["text"])):
        scope.doubt(
            "no-person", f"a time or a number stands where a name belongs; it is left out{NEVER_A_PERSON}", first
        )
        return {}
    return name


def is_time(text: str) -> bool:
    """Whether a text can only be a moment as HL7 writes it: staff have numbers of eight digits, too."""
    return _MOMENT.fullmatch(text) is not None


def name_use(kind: str, scope: Scope, component: int) -> str:
    """The use of a kind of name (HL7 table 0200); empty where it has none."""
    use = _USE.get(kind.upper(), "")
    if kind and not use and kind.upper() not in _WITHOUT_USE:
        text = "a kind of name that HL7 table 0200 does not list"
        scope.doubt("code-unmapped", text, component, Severity.INFORMATION)
    return use


@function(parts={"family": 1, "given": 2, "suffix": 4, "prefix": 5, "use": 7, "extension": 8, "period": 12})
def person_name(options: Options) -> Apply:
    """A person's name (HumanName)."""

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        if "^" not in raw and "&" not in raw:
            name = human_name([scope.plain(raw)], scope)
            return name or None
        parts = scope.components(raw)
        name = human_name(parts, scope)
        if not name:
            return None
        if use := name_use(parts[6] if len(parts) > 6 else "", scope, 7):
            name["use"] = use
        if len(parts) > 13 and parts[13]:
            name["suffix"] = [*name.get("suffix", ()), parts[13]]
        if len(parts) > 7 and (representation := _REPRESENTATION.get(parts[7].upper())):
            name["extension"] = [{"url": _REPRESENTATION_EXTENSION, "valueCode": representation}]
        if len(parts) > 11 and (valid := period_of(parts[11], parts[12] if len(parts) > 12 else "", scope, 12)):
            name["period"] = valid
        return name

    return apply
