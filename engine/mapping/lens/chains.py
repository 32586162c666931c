"""What stands around something? Groups within groups, of which the innermost says what a message is about.

ORC stands around RXO, that around RXE, and that around RXD. A message of dispensings is one order for each
MedicationDispense, with its prescription around it, or nothing where nobody knows the prescription.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.mapping.definition import Definition, Group, ResourceRules
from engine.mapping.mapped import Resource

Linked = Callable[[Resource, Resource], bool]
"""Whether one of two resources refers to the other."""
Chain = list[Resource | None]
"""For each group around, what makes it; None where nobody knows."""


def path_to_what_is_needed(group: Group, definition: Definition) -> list[Group]:
    """From a group that makes nothing itself to the one in it without whose segment such a message says nothing.

    Empty where there is no such group.
    """
    making = {entry.group for entry in definition.resources}
    path = _path(group, definition) if group.name not in making else []
    return path if path and path[-1].name in making else []


def _path(group: Group, definition: Definition) -> list[Group]:
    if any(start in definition.needs for start in group.starts):
        return [group]
    for inner in definition.groups.values():
        if inner.inside == group.name and (path := _path(inner, definition)):
            return [group, *path]
    return []


def what_stands_around(
    resource: Resource, leads: Sequence[ResourceRules | None], resources: Sequence[Resource], linked: Linked
) -> Chain:
    """For each group around that of a resource, what makes it: looked for from the inside, then from the outside."""
    chain: Chain = [None] * len(leads)
    inwards = range(len(leads))
    for at in (*reversed(inwards), *inwards):
        lead = leads[at]
        if lead is None or chain[at] is not None:
            continue
        near = [resource, *(each for each in chain if each is not None)]
        others = [other for other in leads if other is not None and other is not lead]
        for each in resources:
            if (
                each["resourceType"] == lead.resource
                and fits(lead, each)
                and not any(each is other for other in near)
                and not any(is_meant(other, each) for other in others)
                and any(linked(each, other) for other in near)
            ):
                chain[at] = each
                break
    return chain


def fits(entry: ResourceRules, resource: Resource) -> bool:
    """Whether the constants that a mapping gives such a resource are what it says itself."""
    return all(
        resource.get(rule.to) == {"true": True, "false": False}.get(rule.value, rule.value)
        for rule in entry.rules
        if rule.value is not None and rule.both
    )


def is_meant(entry: ResourceRules, resource: Resource) -> bool:
    """Whether a resource says itself, by a constant of the entry, that it is such a one."""
    constant = any(rule.value is not None and rule.both for rule in entry.rules)
    return constant and entry.resource == resource["resourceType"] and fits(entry, resource)
