"""What do the resources say that the message, read again, does not?

Both sides are followed together from the resources whose groups correspond, along their references to what these
name. Lists are compared without their order. Ids and versions are not compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from engine.codecs import fhir_json
from engine.mapping.lens.back import target
from engine.mapping.mapped import Resource

Pair = tuple[str, str]
_NOT_COMPARED = frozenset({"id", "resourceType"})
_OF_THE_STORE = frozenset({"versionId", "lastUpdated"})


class Comparison:
    """The resources as they were, by reference, and as they were read again."""

    def __init__(self, before: Mapping[str, Resource], after: Mapping[str, Resource]) -> None:
        self._before = before
        self._after = after
        self._same: dict[str, str] = {}

    def lost(self, pairs: Iterable[Pair]) -> Iterator[tuple[str, str]]:
        """Reference and path of everything lost; an empty path for a resource of which nothing is there."""
        waiting = list(pairs)
        for before, after in waiting:
            self._same.setdefault(before, after)
        done: set[Pair] = set()
        while waiting:
            pair = waiting.pop(0)
            if pair in done:
                continue
            done.add(pair)
            for path, also in self._in_resource(*pair):
                if also is None:
                    yield pair[0], path
                elif self._same.setdefault(also[0], also[1]) == also[1]:
                    waiting.append(also)
        for reference in self._before:
            if reference not in self._same:
                yield reference, ""

    def _in_resource(self, before: str, after: str) -> Iterator[tuple[str, Pair | None]]:
        there = self._after[after]
        for name, value in self._before[before].items():
            if name == "meta" and isinstance(value, dict):
                value = {key: each for key, each in value.items() if key not in _OF_THE_STORE}
            if name not in _NOT_COMPARED:
                yield from self._in_value(name, value, there.get(name), name in there)

    def _in_value(self, path: str, value: Any, there: Any, is_there: bool) -> Iterator[tuple[str, Pair | None]]:
        """Paths that are lost, and pairs of resources that are the same."""
        if isinstance(value, dict):
            inner = there if isinstance(there, dict) else {}
            for name, each in value.items():
                if name == "reference" and isinstance(each, str):
                    yield from self._in_reference(f"{path}.{name}", value, inner)
                else:
                    yield from self._in_value(f"{path}.{name}", each, inner.get(name), name in inner)
        elif isinstance(value, list):
            yield from self._in_list(path, value, there if isinstance(there, list) else [])
        elif not is_there or not _same_leaf(value, there):
            yield path, None

    def _in_list(self, path: str, values: list[Any], there: list[Any]) -> Iterator[tuple[str, Pair | None]]:
        left = list(there)
        for number, value in enumerate(values):
            here = f"{path}[{number}]"
            tried = [list(self._in_value(here, value, other, True)) for other in left]
            if not tried:
                yield from self._in_value(here, value, None, False)
                continue
            best = min(range(len(tried)), key=lambda at: sum(also is None for _, also in tried[at]))
            yield from tried[best]
            del left[best]

    def _in_reference(self, path: str, value: Any, there: Any) -> Iterator[tuple[str, Pair | None]]:
        before, after = target(value), target(there)
        if before in self._before and after in self._after:
            fits = before.partition("/")[0] == after.partition("/")[0]
            known = self._same.get(before)
            if fits and known in (None, after):
                yield path, (before, after)
            else:
                yield path, None
        elif not before or before != after:
            yield path, None


def _same_leaf(value: Any, there: Any) -> bool:
    if isinstance(value, str) and isinstance(there, str) and value != there:
        return _moment(value) is not None and _moment(value) == _moment(there)
    return fhir_json.same(value, there)


def _moment(text: str) -> datetime | None:
    """The moment of a dateTime with its zone, so that one moment in two zones is one; None for any other text."""
    if len(text) < len("2026-04-01T08:00Z") or "T" not in text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
