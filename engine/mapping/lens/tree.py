"""Which resource belongs to which group of the message? The groups of a mapping, filled from references.

A group stands for each resource of the first kind it makes. It stands in the group around it to whose resource it is
linked, whichever of the two refers to the other: results to their report, specimens to their order.

A group that only says more of a resource around it stands for each entry that it can say: each PRD for one provider of
the referral. A group that makes nothing stands once, around those in it: RGS around what is booked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.mapping.definition import MESSAGE, Definition, Group, ResourceRules
from engine.mapping.lens.back import Field, target
from engine.mapping.lens.chains import Chain, fits, path_to_what_is_needed, what_stands_around
from engine.mapping.lens.structures import Structure
from engine.mapping.mapped import Resource

Fields = dict[int, Field | dict[int, str]]
"""A segment that is being written: fields by number; a field that is written by components holds these by number."""


@dataclass(eq=False, slots=True)
class Node:
    """One group of the message that is written: the resources that write it, its segments, and the groups in it."""

    group: Group
    outer: Node | None
    made: list[tuple[ResourceRules, Resource]] = field(default_factory=list)
    inner: list[Node] = field(default_factory=list)
    segments: dict[str, list[Fields]] = field(default_factory=dict)
    silent: bool = False
    """Whether nothing is known of what it would make: its segment is left out, and what is in it stands without it."""

    def outwards(self) -> Iterator[Node]:
        node: Node | None = self
        while node is not None:
            yield node
            node = node.outer

    def all_inside(self) -> Iterator[Node]:
        yield self
        for node in self.inner:
            yield from node.all_inside()

    def drop(self, is_useless: Callable[[Node], bool]) -> None:
        """Leaves out the groups inside this one that are of no use, with all that is in them."""
        self.inner = [each for each in self.inner if not is_useless(each)]
        for each in self.inner:
            each.drop(is_useless)

    def is_last(self) -> bool:
        """Whether no other group of its kind comes after it in the group around it."""
        if self.outer is None:
            return True
        return [each for each in self.outer.inner if each.group is self.group][-1] is self

    def holder(self, segment: str) -> Node:
        """The nearest group, from here outwards, that such a segment belongs to; the loader saw that it is there."""
        return next(node for node in self.outwards() if segment in node.group.segments)


Slices = Callable[[ResourceRules, Resource], list[Resource]]
"""Cuts a resource into parts, each with one entry of the lists that the rows of a mapping's entry write."""


class Tree:
    """The groups of one message."""

    def __init__(
        self, definition: Definition, resources: Sequence[Resource], structure: Structure, slices: Slices
    ) -> None:
        self._definition = definition
        self._structure = structure
        self._slices = slices
        self._making = {entry.group for entry in definition.resources}
        self._resources = list(resources)
        self._refers = {id(each): list(_references(each)) for each in self._resources}
        self._referred = Counter(to for refers in self._refers.values() for to in refers)
        self._pairs = {
            frozenset((entry.resource, rule.refer))
            for entry in definition.resources
            for rule in entry.rules
            if rule.refer is not None
        }
        self._led: set[int] = set()
        """The resources that a group stands for already."""
        self.root = Node(definition.groups[MESSAGE], None)
        self._fill(self.root)

    def _fill(self, node: Node, without: Group | None = None) -> None:
        taken: set[int] = set()
        for group in self._definition.groups.values():
            if group.inside != node.group.name or group is without or not self._stands_in_structure(group):
                continue
            if path := path_to_what_is_needed(group, self._definition):
                self._fill_along(path, node)
                continue
            made = [Node(group, node)] if group.name not in self._making else list(self._instances(group, node, taken))
            made = made[: self._structure.places(group.starts[0])]
            node.inner += made
            for inner in made:
                self._fill(inner)
        node.inner = [inner for inner in node.inner if inner.made or inner.inner]

    def _fill_along(self, path: Sequence[Group], outer: Node) -> None:
        """A chain of groups for each resource of the innermost; one chain for several where its segment repeats."""
        *around, core = path
        *leads, lead = [next(iter(self._leads(group)), None) for group in path]
        if lead is None:
            return
        found = self._linked(lead, outer)
        chains = [what_stands_around(each, leads, self._resources, self._are_linked) for each in found]
        serve = {id(each) for chain in chains for each in chain if each is not None}
        together = any(self._structure.segment_repeats(start) for start in core.starts)
        deepest, before = outer, list[int]()
        for resource, chain in zip(found, chains, strict=True):
            if id(resource) in serve:
                continue
            known = [id(each) for each in chain if each is not None]
            if not (together and known and known == before):
                deepest, before = self._chain(around, leads, chain, core, outer), known
            self._led.add(id(resource))
            inner = Node(core, deepest, [(lead, resource)])
            self._add_beside(lead, inner)
            deepest.inner.append(inner)
            self._fill(inner)

    def _chain(
        self, around: Sequence[Group], leads: Sequence[ResourceRules | None], chain: Chain, core: Group, outer: Node
    ) -> Node:
        """The groups around one that is needed, of which the innermost is given back; some may say nothing."""
        node = outer
        for group, lead, resource, following in zip(around, leads, chain, [*around[1:], core], strict=True):
            inner = Node(group, node, silent=lead is not None and resource is None)
            node.inner.append(inner)
            if lead is not None and resource is not None:
                inner.made.append((lead, resource))
                self._add_beside(lead, inner)
            self._fill(inner, without=following)
            node = inner
        return node

    def _are_linked(self, one: Resource, other: Resource) -> bool:
        return _name(other) in self._refers[id(one)] or _name(one) in self._refers[id(other)]

    def _leads(self, group: Group) -> list[ResourceRules]:
        """The entries that make a resource of a group and write it; the first says how often the group is there."""
        entries = [each for each in self._definition.resources if each.group == group.name and _writes(each)]
        return sorted((each for each in entries if not self._says_more(each)), key=lambda each: each.only_if_missing)

    def _stands_in_structure(self, group: Group) -> bool:
        order = self._structure.order
        return not order or any(start in order or start.startswith("Z") for start in group.starts)

    def _instances(self, group: Group, outer: Node, taken: set[int]) -> Iterator[Node]:
        leads = self._leads(group)
        if leads:
            found = [(leads[0], each) for each in self._linked(leads[0], outer) if id(each) not in taken]
            if outer.group.name not in self._making and outer.outer is not None:
                found = [(lead, each) for lead, each in found if self._is_said_by(group, lead, each, outer)]
            taken |= {id(each) for _, each in found}
            self._led |= taken
        else:
            entries = [each for each in self._definition.resources if each.group == group.name and _writes(each)]
            found = self._further(entries, outer)
        for lead, resource in found:
            node = Node(group, outer, [(lead, resource)])
            self._add_beside(lead, node)
            taken |= {id(more) for _, more in node.made}
            yield node

    def _is_said_by(self, group: Group, lead: ResourceRules, resource: Resource, outer: Node) -> bool:
        """Whether a group can say whom or what it is about, where only that tells it from others: AIL says places."""
        node = Node(group, outer, [(lead, resource)])
        self._add_beside(lead, node)
        return any(self._slices(entry, made) for entry, made in node.made)

    def _add_beside(self, lead: ResourceRules, node: Node) -> None:
        """The other resources of a group."""
        entries = [each for each in self._definition.resources if each.group == node.group.name and _writes(each)]
        for entry in entries:
            if entry is not lead and (more := self._beside(entry, node)) is not None:
                node.made.append((entry, more))

    def _says_more(self, entry: ResourceRules) -> bool:
        """Whether it says more of a resource that a group around makes: what AIS says of the appointment."""
        if entry.says_more:
            return True
        around, outer = set(), self._definition.groups[entry.group].inside
        while outer is not None:
            around.add(outer)
            outer = self._definition.groups[outer].inside
        return any(
            other.group in around
            and other.resource == entry.resource
            and (other.id.function, other.id.sources) == (entry.id.function, entry.id.sources)
            for other in self._definition.resources
        )

    def _further(self, entries: Sequence[ResourceRules], outer: Node) -> list[tuple[ResourceRules, Resource]]:
        """What a group says more: each entry that the first of its kind can say; else a further kind, as a whole."""
        for entry in entries:
            whole = self._last_made(entry.resource, outer)
            parts = self._slices(entry, whole) if whole is not None else []
            if whole is not None and parts:
                if entry is not entries[0]:
                    parts = [whole]
                self._refers |= {id(part): list(_references(part)) for part in parts}
                return [(entry, part) for part in parts]
        return []

    def _last_made(self, kind: str, outer: Node) -> Resource | None:
        """The nearest resource of a kind around a group; none in groups after which another of their kind comes."""
        for around in outer.outwards():
            for _, resource in around.made:
                if resource["resourceType"] == kind:
                    return resource
            if not around.is_last():
                break
        return None

    def _beside(self, entry: ResourceRules, node: Node) -> Resource | None:
        """The resource that writes a further part of a group: the one that is there already, or one linked to it."""
        here = [resource for around in node.outwards() for _, resource in around.made]
        if self._says_more(entry):
            return next((each for each in here if each["resourceType"] == entry.resource), None)
        known = {id(each) for each in here}
        found = [each for each in self._linked(entry, node) if id(each) not in known]
        found.sort(key=lambda each: -self._referred[_name(each)])
        return found[0] if found else None

    def _linked(self, entry: ResourceRules, outer: Node) -> list[Resource]:
        """The resources of a kind that belong to a group, in the order in which its resources refer to them."""
        those = [each for each in self._resources if each["resourceType"] == entry.resource and fits(entry, each)]
        for around in outer.outwards():
            near = [each for _, each in around.made if self._may_be_linked(entry.resource, each)]
            if near:
                order = {to: at for each in near for at, to in reversed(list(enumerate(self._refers[id(each)])))}
                names = {_name(each) for each in near}
                found = [each for each in those if _name(each) in order or names.intersection(self._refers[id(each)])]
                if around is not outer:
                    # What no group between belongs to more than to another stands once, in the first that has room.
                    found = [each for each in found if id(each) not in self._led]
                return sorted(found, key=lambda each: order.get(_name(each), len(order)))
        if any(around.made for around in outer.outwards()):
            return []
        # What another of its kind refers to is not what the message is about: the document before this one.
        named = {to for each in those for to in self._refers[id(each)]}
        return sorted(those, key=lambda each: _name(each) in named)

    def _may_be_linked(self, kind: str, resource: Resource) -> bool:
        return frozenset((kind, resource["resourceType"])) in self._pairs


def _writes(entry: ResourceRules) -> bool:
    return any(rule.both for rule in entry.rules)


def _name(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource.get('id')}"


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if found := target(value):
            yield found
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)
