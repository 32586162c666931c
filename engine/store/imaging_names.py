"""By what is a patient's name found in the imaging index? Whole forms of it, and tokens that lead to them.

A name of DICOM has up to three groups between `=`, each of components between `^`. Width, case, blanks and punctuation
do not count. A group in Chinese characters is also found by each of its readings in pinyin and by their initials;
which characters are the surname is tried both ways where nothing says it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from engine.store.patterns import is_wild, literal_beginning, matches
from engine.store.spellings import LONGEST_BEGINNING, folded, syllables

_GRAM = 3
"""Letters of a token from within a name: with two, nearly every name in pinyin would have every token."""
_FORM_LIMIT = 200
"""Characters of a form that are kept: a name has 64 characters in each group at most, one of an attacker has not."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What a name must satisfy to match one group of a pattern.

    tokens    it has all of them; none where no token could say anything
    patterns  one of its forms is as one of these says; none where the tokens have said all
    """

    tokens: tuple[str, ...]
    patterns: tuple[str, ...]


@lru_cache(maxsize=4096)
def forms_of(name: str) -> tuple[str, ...]:
    """What is compared with a pattern: every group plain and with its components apart, its readings, its initials."""
    found: dict[str, None] = {}
    for group in name.split("="):
        for form in _forms_of_group(group):
            if form:
                found[form[:_FORM_LIMIT]] = None
    return tuple(found)


@lru_cache(maxsize=4096)
def tokens_of(name: str) -> tuple[str, ...]:
    """`=form` for a whole one, each of its beginnings, `~abc` for what stands within."""
    found: dict[str, None] = {}
    for form in forms_of(name):
        found[f"={form}"] = None
        if "^" not in form:
            found.update(dict.fromkeys(form[:end] for end in range(1, min(len(form), LONGEST_BEGINNING) + 1)))
            found.update(dict.fromkeys(_grams(form)))
    return tuple(found)


def conditions_of(pattern: str) -> list[Condition]:
    """What a name must satisfy, all of it, to match; nothing for a pattern that every name matches.

    Each filled group of the pattern must match some group of the name: which group holds the characters and which the
    letters is confused too often to insist on it.
    """
    wanted = (_normal(group) for group in pattern.split("="))
    return [_condition(group) for group in wanted if group.strip("*^")]


def name_matches(pattern: str, name: str) -> bool:
    """Whether a name is found by a pattern, where no index is asked."""
    forms = forms_of(name)
    return all(
        any(matches(one, form) for one in condition.patterns for form in forms)
        if condition.patterns
        else any(f"={form}" in condition.tokens for form in forms)
        for condition in conditions_of(pattern)
    )


def _forms_of_group(group: str) -> Iterator[str]:
    components = [folded(component) for component in group.split("^")]
    while components and not components[-1]:
        components.pop()
    plain = "".join(components)
    if not plain:
        return
    yield plain
    if len(components) > 1:
        yield "^".join(components)
    elif " " in group.strip():
        yield "^".join(filter(None, map(folded, group.split())))
    if plain.isascii():
        return
    if len(components) == 1:
        yield from _apart(plain)
    for spoken in syllables(plain):
        yield "".join(spoken)
        yield "".join(syllable[0] for syllable in spoken)
        if len(components) > 1 and len(spoken) == len(plain):
            yield "^".join(_regrouped(components, spoken))
        else:
            yield from _apart(spoken)


def _apart(parts: str | tuple[str, ...]) -> Iterator[str]:
    """The surname before the given name: one character of it, or two."""
    for length in (1, 2):
        if len(parts) > length:
            yield "".join(parts[:length]) + "^" + "".join(parts[length:])


def _regrouped(components: list[str], spoken: tuple[str, ...]) -> Iterator[str]:
    at = 0
    for component in components:
        yield "".join(spoken[at : at + len(component)])
        at += len(component)


def _grams(text: str) -> Iterator[str]:
    """Three letters each, or a single character that is none of ASCII."""
    for at in range(len(text)):
        if not text[at].isascii():
            yield f"~{text[at]}"
        elif len(gram := text[at : at + _GRAM]) == _GRAM and gram.isascii():
            yield f"~{gram}"


def _normal(group: str) -> str:
    """A group of a pattern as names are kept: folded, with its wildcards and carets, without what says nothing."""
    text = unicodedata.normalize("NFKC", group).casefold()
    kept = "".join(character for character in text if character.isalnum() or character in "*?^")
    while "**" in kept:
        kept = kept.replace("**", "*")
    kept = kept.rstrip("^")
    while kept.endswith("^*^*"):
        kept = kept.removesuffix("^*")
    return kept


def _condition(pattern: str) -> Condition:
    if not is_wild(pattern):
        return Condition((f"={pattern}",), ())
    beginning = literal_beginning(pattern).replace("^", "")[:LONGEST_BEGINNING]
    if beginning:
        tokens: tuple[str, ...] = (beginning,)
    else:
        runs = pattern.replace("*", " ").replace("?", " ").replace("^", " ").split()
        tokens = tuple(dict.fromkeys(gram for run in runs for gram in _grams(run)))
    patterns: tuple[str, ...] = (pattern,)
    if pattern.endswith("^*"):
        patterns = (*patterns, pattern.removesuffix("^*"))  # who has no given name
    return Condition(tokens, patterns)
