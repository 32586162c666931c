"""What do the resources say that the message, read again, does not?

Both sides are followed together from the resources whose groups correspond, along their references to what these
name. Lists are compared without their order. Ids and versions are not compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine.codecs import fhir_json
from engine.mapping.lens.back import target
from engine.mapping.mapped import Resource

Pair = tuple[str, str]
_NOT_COMPARED = frozenset({"id", "resourceType"})
_OF_THE_STORE = frozenset({"versionId", "lastUpdated"})
_NOWHERE = object()
"""What stands where nothing stands; None is an element that is deleted."""


class Comparison:
    """The resources as they were, by reference, and as they were read again."""

    def __init__(self, before: Mapping[str, Resource], after: Mapping[str, Resource]) -> None:
        self._before = before
        self._after = after
        self._same: dict[str, str] = {}
        self._taken: dict[str, str] = {}

    def lost(self, pairs: Iterable[Pair]) -> Iterator[tuple[str, str]]:
        """Reference and path of everything lost; an empty path for a resource of which nothing is there.

        Where all of an element is lost, the element is named and not its parts.
        """
        waiting = [pair for pair in pairs if self._pair(pair)]
        done: set[Pair] = set()
        while waiting:
            pair = waiting.pop(0)
            if pair in done:
                continue
            done.add(pair)
            found = self._in_resource(*pair)
            for path in found.paths:
                yield pair[0], path
            waiting.extend(also for also in found.pairs if self._pair(also))
        for reference in self._before:
            if reference not in self._same:
                yield reference, ""

    def _pair(self, pair: Pair) -> bool:
        """Whether two resources are the same: each is that of one other only."""
        before, after = pair
        if not self._may_be_same(before, after):
            return False
        self._same[before], self._taken[after] = after, before
        return True

    def _may_be_same(self, before: str, after: str) -> bool:
        return self._same.get(before, after) == after and self._taken.get(after, before) == before

    def _in_resource(self, before: str, after: str) -> _Lost:
        there = self._after[after]
        whole = _Lost()
        for name, value in self._before[before].items():
            if name == "meta" and isinstance(value, dict):
                value = {key: each for key, each in value.items() if key not in _OF_THE_STORE}
            if name not in _NOT_COMPARED:
                whole.add(self._in_value(name, value, there.get(name, _NOWHERE)))
        return whole

    def _in_value(self, path: str, value: Any, there: Any) -> _Lost:
        """What is lost of an element, and the resources that it shows to be the same."""
        found = _Lost()
        if isinstance(value, dict):
            inner = there if isinstance(there, dict) else {}
            for name, each in value.items():
                if name == "reference" and isinstance(each, str):
                    found.add(self._in_reference(f"{path}.{name}", value, inner))
                else:
                    found.add(self._in_value(f"{path}.{name}", each, inner.get(name, _NOWHERE)))
        elif isinstance(value, list):
            found = self._in_list(path, value, there if isinstance(there, list) else [])
        else:
            found.leaves = 1
            found.paths = [] if _same_leaf(value, there) else [path]
        return found.of(path)

    def _in_list(self, path: str, values: list[Any], there: list[Any]) -> _Lost:
        left = list(there)
        found: dict[int, _Lost] = {}
        # What is there as a whole first: something else that says a part of it may not take its place.
        for wholly in (True, False):
            for number, value in enumerate(values):
                if number in found:
                    continue
                here = f"{path}[{number}]"
                tried = [self._in_value(here, value, other) for other in left]
                # Of several that say it all, the one that says nothing else: the others are somebody else's.
                best = min(range(len(tried)), key=lambda at: (tried[at].lost, left[at] != value), default=None)
                if best is not None and (tried[best].lost == 0 or not wholly):
                    found[number] = tried[best]
                    if tried[best].lost < tried[best].leaves:
                        del left[best]
                elif not wholly:
                    found[number] = self._in_value(here, value, _NOWHERE)
        whole = _Lost()
        for number in range(len(values)):
            whole.add(found[number])
        return whole

    def _in_reference(self, path: str, value: Any, there: Any) -> _Lost:
        before, after = target(value), target(there)
        found = _Lost(leaves=1)
        if before in self._before and after in self._after:
            fits = before.partition("/")[0] == after.partition("/")[0]
            if fits and self._may_be_same(before, after):
                found.pairs = [(before, after)]
                return found
        elif before and before == after:
            return found
        found.paths, found.lost = [path], 1
        return found


@dataclass(slots=True)
class _Lost:
    """Of one element: its leaves, those that are lost, and the resources that it shows to be the same."""

    leaves: int = 0
    lost: int = 0
    paths: list[str] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)

    def add(self, other: _Lost) -> None:
        self.leaves += other.leaves
        self.lost += other.lost
        self.paths += other.paths
        self.pairs += other.pairs

    def of(self, path: str) -> _Lost:
        """The same, under one path where nothing of the element is left."""
        self.lost = self.lost or len(self.paths)
        if self.leaves > 1 and self.lost == self.leaves:
            self.paths = [path]
        return self


def _same_leaf(value: Any, there: Any) -> bool:
    if there is _NOWHERE:
        return False
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
