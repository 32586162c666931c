"""Which segments belong together? Turns the order of segment names into groups, and groups into jobs.

It depends on the names alone, so a mapping does it once for each shape of message and remembers the plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from engine.mapping.definition import MESSAGE, Group


@dataclass(slots=True)
class Instance:
    """One group as it stands in a message: the positions of its segments by name, and the groups inside it."""

    group: Group
    outer: Instance | None
    segments: dict[str, list[int]] = field(default_factory=dict)
    inner: list[Instance] = field(default_factory=list)

    def add(self, name: str, position: int) -> None:
        self.segments.setdefault(name, []).append(position)

    def outwards(self) -> Iterator[Instance]:
        """This instance, the one around it, and so on."""
        instance: Instance | None = self
        while instance is not None:
            yield instance
            instance = instance.outer

    def all_inside(self) -> Iterator[Instance]:
        """This instance and everything inside it, in the order of the message."""
        yield self
        for instance in self.inner:
            yield from instance.all_inside()

    def holds(self, segment: str) -> bool:
        return segment in self.group.starts or segment in self.group.holds

    def positions(self, segment: str) -> list[int]:
        """The positions of a segment in the nearest group, from here outwards, to which such a segment belongs."""
        for instance in self.outwards():
            if instance.holds(segment):
                return instance.segments.get(segment, [])
        return []


def grouped(names: Sequence[str], groups: Mapping[str, Group]) -> tuple[Instance, list[Instance | None]]:
    """The groups of a message, and for each segment the instance it went into (None: no group takes it)."""
    root = Instance(groups[MESSAGE], None)
    inside: dict[str, list[Group]] = {name: [] for name in groups}
    for group in groups.values():
        if group.inside is not None:
            inside[group.inside].append(group)
    current = root
    owners: list[Instance | None] = []
    for position, name in enumerate(names):
        owner = _owner(current, name, inside)
        if owner is not None:
            owner.add(name, position)
            current = owner
        owners.append(owner)
    for around in list(root.all_inside()):
        for name in around.group.closing:
            _close(around, name, owners)
    return root, owners


def _close(around: Instance, name: str, owners: list[Instance | None]) -> None:
    """Gives a group the segments of a name that stand at the end of the last group inside it that holds any."""
    last = max(
        (inner for inner in around.inner if inner.segments.get(name)),
        key=lambda inner: inner.segments[name][-1],
        default=None,
    )
    if last is None:
        return
    other = max((at for inner in last.all_inside() for at in _positions_without(name, inner)), default=-1)
    behind = [at for at in last.segments[name] if at > other]
    last.segments[name] = [at for at in last.segments[name] if at < other]
    around.segments[name] = [*around.segments.get(name, ()), *behind]
    for at in behind:
        owners[at] = around


def _positions_without(name: str, instance: Instance) -> Iterator[int]:
    for segment, positions in instance.segments.items():
        if segment != name:
            yield from positions


def _owner(current: Instance, name: str, inside: Mapping[str, list[Group]]) -> Instance | None:
    """The instance a segment goes into, opened where need be; looks from the innermost open group outwards.

    What a group holds itself stays in it, though a group deep inside starts with such a segment too.
    """
    for instance in current.outwards():
        if name in instance.group.starts and not _is_due_again(instance, name):
            return instance
        for group in inside[instance.group.name]:
            if name in group.starts:
                return _opened(instance, group, name, inside)
        if name in instance.group.holds:
            return instance
        for group in inside[instance.group.name]:
            opened = _opened(instance, group, name, inside)
            if opened is not None:
                return opened
    return None


def _is_due_again(instance: Instance, name: str) -> bool:
    """Whether a starting segment begins the next instance: it, or one that comes after it, is there already."""
    starts = instance.group.starts
    return any(start in instance.segments for start in starts[starts.index(name) :])


def _opened(outer: Instance, group: Group, name: str, inside: Mapping[str, list[Group]]) -> Instance | None:
    """A new instance of a group that this segment starts, or of one deep inside it whose outer segments are missing."""
    if name in group.starts:
        instance = Instance(group, outer)
        outer.inner.append(instance)
        return instance
    for deeper in inside[group.name]:
        around = Instance(group, outer)
        opened = _opened(around, deeper, name, inside)
        if opened is not None:
            outer.inner.append(around)
            return opened
    return None
