"""Which resource belongs to which group of the message? The groups of a mapping, filled from references.

A group stands for each resource of the first kind it makes. It stands in the group around it to whose resource it is
linked, whichever of the two refers to the other: results to their report, specimens to their order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.mapping.definition import MESSAGE, Definition, Group, ResourceRules
from engine.mapping.lens.back import Field, target
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

    def outwards(self) -> Iterator[Node]:
        node: Node | None = self
        while node is not None:
            yield node
            node = node.outer

    def all_inside(self) -> Iterator[Node]:
        yield self
        for node in self.inner:
            yield from node.all_inside()

    def holder(self, segment: str) -> Node:
        """The nearest group, from here outwards, that such a segment belongs to; the loader saw that it is there."""
        return next(node for node in self.outwards() if segment in node.group.segments)


class Tree:
    """The groups of one message."""

    def __init__(self, definition: Definition, resources: Sequence[Resource], structure: Structure) -> None:
        self._definition = definition
        self._structure = structure
        self._resources = list(resources)
        self._refers = {id(each): list(_references(each)) for each in self._resources}
        self._referred = Counter(to for refers in self._refers.values() for to in refers)
        self._pairs = {
            frozenset((entry.resource, rule.refer))
            for entry in definition.resources
            for rule in entry.rules
            if rule.refer is not None
        }
        self.root = Node(definition.groups[MESSAGE], None)
        self._fill(self.root)

    def _fill(self, node: Node) -> None:
        taken: set[int] = set()
        for group in self._definition.groups.values():
            if group.inside != node.group.name or not self._stands_in_structure(group):
                continue
            for inner in self._instances(group, node, taken):
                node.inner.append(inner)
                self._fill(inner)

    def _stands_in_structure(self, group: Group) -> bool:
        order = self._structure.order
        return not order or any(start in order or start.startswith("Z") for start in group.starts)

    def _instances(self, group: Group, outer: Node, taken: set[int]) -> Iterator[Node]:
        entries = [each for each in self._definition.resources if each.group == group.name and _writes(each)]
        leads = [each for each in entries if not each.says_more]
        leads.sort(key=lambda each: each.only_if_missing)
        if not leads:
            return
        lead = leads[0]
        for resource in self._linked(lead, outer):
            if id(resource) in taken:
                continue
            taken.add(id(resource))
            node = Node(group, outer, [(lead, resource)])
            for entry in entries:
                if entry is not lead and (more := self._beside(entry, node)) is not None:
                    node.made.append((entry, more))
            yield node

    def _beside(self, entry: ResourceRules, node: Node) -> Resource | None:
        """The resource that writes a further part of a group: the one that is there already, or one linked to it."""
        here = [resource for around in node.outwards() for _, resource in around.made]
        if entry.says_more:
            return next((each for each in here if each["resourceType"] == entry.resource), None)
        known = {id(each) for each in here}
        found = [each for each in self._linked(entry, node) if id(each) not in known]
        found.sort(key=lambda each: -self._referred[_name(each)])
        return found[0] if found else None

    def _linked(self, entry: ResourceRules, outer: Node) -> list[Resource]:
        """The resources of a kind that belong to a group, in the order in which its resources refer to them."""
        those = [each for each in self._resources if each["resourceType"] == entry.resource and _fits(entry, each)]
        for around in outer.outwards():
            near = [each for _, each in around.made if self._may_be_linked(entry.resource, each)]
            if near:
                order = {to: at for each in near for at, to in reversed(list(enumerate(self._refers[id(each)])))}
                names = {_name(each) for each in near}
                found = [each for each in those if _name(each) in order or names.intersection(self._refers[id(each)])]
                return sorted(found, key=lambda each: order.get(_name(each), len(order)))
        return those if outer.outer is None else []

    def _may_be_linked(self, kind: str, resource: Resource) -> bool:
        return frozenset((kind, resource["resourceType"])) in self._pairs


def _writes(entry: ResourceRules) -> bool:
    return any(rule.both for rule in entry.rules)


def _fits(entry: ResourceRules, resource: Resource) -> bool:
    """Whether the constants that a mapping gives such a resource are what it says itself."""
    return all(
        resource.get(rule.to) == {"true": True, "false": False}.get(rule.value, rule.value)
        for rule in entry.rules
        if rule.value is not None and rule.both
    )


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
