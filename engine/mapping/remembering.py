"""What did the same text give before? A feed says the same few hundred things all day; they are read once."""

from __future__ import annotations

from typing import Any

from engine.mapping.mapped import Resource
from engine.mapping.registry import Apply, Value
from engine.mapping.scope import Scope

LIMIT_REMEMBERED = 8192
"""Distinct texts that a rule remembers; a feed has some hundred."""
LIMIT_TEXT = 1024
"""A longer text is no code, time or name: keeping thousands of such would cost a gigabyte."""


def remembering(apply: Apply, known: dict[str, Value]) -> Apply:
    """Remembers what a text gave, unless there was a doubt: that has to be noted each time."""

    def remembered(raw: str, scope: Scope) -> Value:
        value = known.get(raw)
        if value is None:
            noted = len(scope.doubts)
            value = apply(raw, scope)
            if value is not None and len(scope.doubts) == noted and len(raw) <= LIMIT_TEXT:
                if len(known) >= LIMIT_REMEMBERED:
                    known.clear()
                known[raw] = value
        return value

    return remembered


def remembering_mentions(apply: Apply) -> Apply:
    """The same for functions of people and places: whom they mentioned is mentioned again."""
    known: dict[tuple[str, ...], tuple[Value, tuple[tuple[str, Resource], ...]]] = {}

    def remembered(*fields: Any) -> Value:
        raws, scope = fields[:-1], fields[-1]
        # The name of the facility stands in what is mentioned.
        key = (scope.context.facility_name, *raws)
        found = known.get(key)
        if found is None:
            noted = len(scope.doubts)
            value, mentioned = scope.apart(apply, *raws)
            found = value, tuple(mentioned.items())
            if value is not None and len(scope.doubts) == noted and sum(map(len, raws)) <= LIMIT_TEXT:
                if len(known) >= LIMIT_REMEMBERED:
                    known.clear()
                known[key] = found
        value, mentions = found
        for reference, resource in mentions:
            scope.mention(reference, resource)
        return value

    return remembered
