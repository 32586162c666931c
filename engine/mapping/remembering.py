"""What did the same text give before? A feed says the same few hundred things all day; they are read once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.mapping.mapped import Resource
from engine.mapping.registry import Apply, Value
from engine.mapping.scope import Scope

LIMIT_REMEMBERED = 8192
"""Distinct texts that a rule remembers; a feed has some hundred."""
LIMIT_TEXT = 1024
"""A longer text is no code, time or name: keeping thousands of such would cost a gigabyte."""


Texts = str | tuple[str, ...]
"""The text of one field, or of each of several."""

_Said = tuple[Value, tuple[tuple[str, Resource], ...]]
"""What a text gave, and the resources it mentioned by reference."""


def remembering(apply: Apply, known: dict[Texts, Value], fields: int) -> Apply:
    """Remembers what a text gave, or the texts of several fields, and that it gave nothing.

    Not where there was a doubt: that has to be noted each time.
    """

    def remembered(raws: Texts, scope: Scope) -> Value:
        try:
            return known[raws]
        except KeyError:
            pass
        noted = len(scope.doubts)
        value = apply(*_each(raws), scope)
        if len(scope.doubts) == noted and len("".join(raws)) <= LIMIT_TEXT:
            if len(known) >= LIMIT_REMEMBERED:
                known.clear()
            known[raws] = value
        return value

    return remembered if fields == 1 else _of_several(remembered)


def remembering_mentions(apply: Apply, fields: int) -> Apply:
    """The same for functions of people and places: whom they mentioned is mentioned again."""
    known: dict[Texts, _Said] = {}
    sender = ""
    latest: tuple[object, Texts, Value] = None, "", None

    def read(raws: Texts, scope: Scope) -> _Said:
        noted = len(scope.doubts)
        value, found = scope.apart(apply, *_each(raws))
        said = value, tuple(found.items())
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
        value, mentions = known.get(raws) or read(raws, scope)
        mentioned = scope.mentioned
        for reference, resource in mentions:
            if mentioned.get(reference) is not resource:
                scope.mention(reference, resource)
        if raws in known:
            latest = scope.notes, raws, value
        return value

    return remembered if fields == 1 else _of_several(remembered)


def _each(raws: Texts) -> tuple[str, ...]:
    return (raws,) if isinstance(raws, str) else raws


def _of_several(remembered: Callable[[Texts, Scope], Value]) -> Apply:
    def apply(*given: Any) -> Value:
        return remembered(given[:-1], given[-1])

    return apply
