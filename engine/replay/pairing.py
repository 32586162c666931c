"""In what do two versions of a resource differ? Leaf by leaf; entries of lists are paired by what they are.

An entry that is put in front, or taken out, moves the others and changes none of them: an identifier is the one with
its system and value, a coding the one with its system and code, an extension the one with its URL.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from engine.codecs import fhir_json

ABSENT = object()
"""What an element is on the side that has none."""

_Key = Callable[[Any], Any]


class Leaf(NamedTuple):
    """An element that differs: where it stands on each side, and what it says there."""

    before: str
    after: str
    was: Any
    becomes: Any

    @property
    def path(self) -> str:
        """Where it stands now; or stood, where it stands no more."""
        return self.before if self.becomes is ABSENT else self.after


def differing(had: Any, has: Any) -> Iterator[Leaf]:
    """Every leaf that differs between two resources, in the order of their elements."""
    yield from _values("", "", had, has)


def _values(before: str, after: str, had: Any, has: Any) -> Iterator[Leaf]:
    if isinstance(had, dict) and isinstance(has, dict):
        for name in dict.fromkeys([*had, *has]):
            yield from _values(
                f"{before}.{name}" if before else name,
                f"{after}.{name}" if after else name,
                had.get(name, ABSENT),
                has.get(name, ABSENT),
            )
    elif isinstance(had, list) and isinstance(has, list) and had and has:
        yield from _lists(before, after, had, has)
    elif had is ABSENT or has is ABSENT:
        for path, value in _leaves(before if has is ABSENT else after, has if had is ABSENT else had):
            yield Leaf(path, path, *((value, ABSENT) if has is ABSENT else (ABSENT, value)))
    elif not _same(had, has):
        yield Leaf(before, after, had, has)


def _lists(before: str, after: str, had: list[Any], has: list[Any]) -> Iterator[Leaf]:
    pairs = _paired(had, has)
    there = dict(pairs)
    for place, entry in enumerate(had):
        if place in there:
            yield from _values(f"{before}[{place}]", f"{after}[{there[place]}]", entry, has[there[place]])
        else:
            yield from _values(f"{before}[{place}]", "", entry, ABSENT)
    taken = set(there.values())
    for place, entry in enumerate(has):
        if place not in taken:
            yield from _values("", f"{after}[{place}]", ABSENT, entry)
    order = [there[place] for place in sorted(there)]
    if order != sorted(order):
        yield Leaf(before, after, had, has)


def _paired(had: list[Any], has: list[Any]) -> list[tuple[int, int]]:
    """Places of entries that are the same one: equal ones first, then by what they are, the others in their order."""
    pairs: list[tuple[int, int]] = []
    left, right = list(range(len(had))), list(range(len(has)))
    for key in (fhir_json.dumps, _identity, lambda _: b""):
        waiting: dict[Any, deque[int]] = {}
        for place in right:
            waiting.setdefault(key(has[place]), deque()).append(place)
        found = []
        for place in left:
            if (of := key(had[place])) is not None and waiting.get(of):
                found.append((place, waiting[of].popleft()))
        pairs += found
        ours, theirs = {place for place, _ in found}, {place for _, place in found}
        left = [place for place in left if place not in ours]
        right = [place for place in right if place not in theirs]
    return pairs


def _identity(entry: Any) -> Any:
    """What an entry of a list is told by, as FHIR means it; None for what has nothing of its own."""
    if not isinstance(entry, dict):
        return None
    for names in (
        ("url",),
        ("reference",),
        ("system", "code"),
        ("system", "value"),
        ("id",),
        ("system", "use"),
        ("use",),
    ):
        if all(isinstance(entry.get(name), str) for name in names):
            return (names, *(entry[name] for name in names))
    for name in ("coding", "code", "type"):
        inner = entry.get(name)
        codings = inner.get("coding") if isinstance(inner, dict) else inner
        if isinstance(codings, list) and codings:
            return (name, *(_identity(coding) for coding in codings))
    return None


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(f"{path}.{name}" if path else name, inner)
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from _leaves(f"{path}[{number}]", inner)
    else:
        yield path, value


def _same(left: Any, right: Any) -> bool:
    """To the digit: 5.1 and 5.10 are not the same result."""
    return bool(left == right) and fhir_json.dumps(left) == fhir_json.dumps(right)
