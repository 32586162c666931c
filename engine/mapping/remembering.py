"""What did the same text give before? A feed says the same few hundred things all day; they are read once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from engine.mapping.mapped import Resource
from engine.mapping.registry import Apply, Value
from engine.mapping.scope import Scope
from engine.mapping.unread_parts import Left

LIMIT_REMEMBERED = 8192
"""Distinct texts that a rule remembers; a feed has some hundred."""
LIMIT_TEXT = 1024
"""A longer text is no code, time or name: keeping thousands of such would cost a gigabyte."""


Texts = str | tuple[str, ...]
"""The text of one field, or of each of several."""

_Said = tuple[Value, tuple[tuple[str, Resource], ...], list[str]]
"""What a text gave, the resources it mentioned by reference, and the components that no rule reads of it."""


def remembering(apply: Apply, known: dict[Texts, Value], fields: int, left: Sequence[Left | None] = ()) -> Apply:
    """Remembers what a text gave, or the texts of several fields, and that it gave nothing.

    Not where there was a doubt: that has to be noted each time. Where components are left it is remembered apart, for
    they have to be noted, too.
    """
    noticed: dict[Texts, tuple[Value, list[str]]] = {}
    looks = any(left)

    def remembered(raws: Texts, scope: Scope) -> Value:
        try:
            return known[raws]
        except KeyError:
            pass
        if looks and raws in noticed:
            value, names = noticed[raws]
            scope.left_out.update(dict.fromkeys(names))
            return value
        noted = len(scope.doubts)
        value = apply(*_each(raws), scope)
        names = _left_in(raws, left) if looks else []
        scope.left_out.update(dict.fromkeys(names))
        if len(scope.doubts) == noted and len("".join(raws)) <= LIMIT_TEXT:
            if len(known) + len(noticed) >= LIMIT_REMEMBERED:
                known.clear()
                noticed.clear()
            if names:
                noticed[raws] = value, names
            else:
                known[raws] = value
        return value

    return remembered if fields == 1 else _of_several(remembered)


def noting(apply: Apply, left: Left, *, gathers: bool) -> Apply:
    """Notes what is left of the text of a function that is asked each time; or of the texts that it gathers."""
    least = left.least

    def noted(raw: str, scope: Scope) -> Value:
        if raw.count("^") >= least and (names := left.names(raw)):
            scope.left_out.update(dict.fromkeys(names))
        return apply(raw, scope)

    def noted_of_each(raws: Sequence[str], scope: Scope) -> Value:
        scope.left_out.update(dict.fromkeys(_left_of(left, raws)))
        return apply(raws, scope)

    return noted_of_each if gathers else noted


def remembering_mentions(apply: Apply, fields: int, left: Sequence[Left | None] = ()) -> Apply:
    """The same for functions of people and places: whom they mentioned is mentioned again."""
    known: dict[Texts, _Said] = {}
    sender = ""
    latest: tuple[object, Texts, Value] = None, "", None

    def read(raws: Texts, scope: Scope) -> _Said:
        noted = len(scope.doubts)
        value, found = scope.apart(apply, *_each(raws))
        said = value, tuple(found.items()), _left_in(raws, left)
        if value is not None and len(scope.doubts) == noted and len("".join(raws)) <= LIMIT_TEXT:
            if len(known) >= LIMIT_REMEMBERED:
                known.clear()
            known[raws] = said
        return said

    def remembered(raws: Texts, scope: Scope) -> Value:
        nonlocal sender, latest
        notes, same, value = latest
        if notes is scope.notes and same == raws:  # one technician did all the tests of a message: that is noted
            return value
        if scope.context.facility_name != sender:  # it stands in what is mentioned
            known.clear()
            sender = scope.context.facility_name
        value, mentions, names = known.get(raws) or read(raws, scope)
        if names:
            scope.left_out.update(dict.fromkeys(names))
        mentioned = scope.mentioned
        for reference, resource in mentions:
            if mentioned.get(reference) is not resource:
                scope.mention(reference, resource)
        if raws in known:
            latest = scope.notes, raws, value
        return value

    return remembered if fields == 1 else _of_several(remembered)


def _left_in(raws: Any, left: Sequence[Left | None]) -> list[str]:
    texts = _each(raws)
    return [name for each, raw in zip(left, texts, strict=False) if each is not None for name in _left_of(each, raw)]


def _left_of(each: Left, raw: Any) -> list[str]:
    """Of one field; of a function that takes every segment of the group, of each of them."""
    if isinstance(raw, str):
        return each.names(raw)
    return [name for one in raw for name in each.names(one)]


def _each(raws: Texts) -> tuple[str, ...]:
    return (raws,) if isinstance(raws, str) else raws


def _of_several(remembered: Callable[[Texts, Scope], Value]) -> Apply:
    def apply(*given: Any) -> Value:
        return remembered(given[:-1], given[-1])

    return apply
