"""How does a facility change a mapping? By rule id: a row is changed, added or removed; everything else stays."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.config.problems import Problem, nearest
from engine.mapping.definition import Definition, Group, Line, ResourceRules, Rule, reachable
from engine.mapping.reading import Node
from engine.mapping.rules import RULE_KEYS, Known, read_rule

ALL = "all"


@dataclass(frozen=True, slots=True)
class Change:
    """One row of a facility's file: `rule` is None where it removes, and without `to` where it makes the id.

    What removes the row that makes an id removes what this row is the id of: there is no such resource any more.
    """

    resource: str
    id: str
    line: Line
    rule: Rule | None


@dataclass(frozen=True, slots=True)
class Overlay:
    """One file of `facilities/<code>/`: which mappings it changes, the rows, the segments it adds to groups.

    By group `holds` are segments that it takes as well, and `closing` those of its own behind the last group inside it.

    Its version stands after the mapping's own wherever that is named: `ADT@1/3` is ADT version 1 as version 3 of the
    facility's file changes it.
    """

    mappings: tuple[str, ...]
    version: str
    changes: tuple[Change, ...]
    holds: Mapping[str, tuple[str, ...]]
    closing: Mapping[str, tuple[str, ...]]
    not_mapped: Mapping[str, str]
    line: Line


def read_overlay(node: Node, known: Known, mappings: Sequence[str]) -> Overlay | None:
    node.allow("mappings", "version", "groups", "changes", "not_mapped")
    if not node.require("mappings", "version"):
        return None
    names = node.texts("mappings")
    for name in names:
        if name != ALL and name not in mappings:
            node.at("mappings").wrong(f"'{name}' is not known{nearest(name, [ALL, *mappings])}")
    changes: list[Change] = []
    by_resource = node.at("changes")
    for resource in by_resource.names():
        if by_resource.at(resource).value is None:  # every row of it is still a comment
            continue
        for item in by_resource.items(resource):
            change = _change(item, resource, known)
            if change is not None:
                changes.append(change)
    groups = node.at("groups")
    for name in groups.names():
        groups.at(name).allow("holds", "closing")
    holds = {name: groups.at(name).texts("holds") for name in groups.names()}
    closing = {name: groups.at(name).texts("closing") for name in groups.names()}
    reasons = node.at("not_mapped")
    not_mapped = {key: reasons.text(key) for key in reasons.names()}
    return Overlay(names, node.text("version"), tuple(changes), holds, closing, not_mapped, node.line)


def _change(node: Node, resource: str, known: Known) -> Change | None:
    if node.has("remove"):
        node.allow("rule", "remove")
        return Change(resource, node.text("rule"), node.line, None) if node.yes("remove") else None
    if not node.has("to") and node.text("with") in known.id_functions:
        rule = read_rule(node, known, makes_id=True)
    else:
        node.allow(*RULE_KEYS)
        rule = read_rule(node, known)
    return Change(resource, rule.id, node.line, rule) if rule is not None else None


def with_changes(definition: Definition, overlays: Sequence[Overlay], problems: list[Problem]) -> Definition:
    """The mapping as this facility wants it. A row with a known id stands for the row of that id, whole."""
    for overlay in overlays:
        if ALL in overlay.mappings or definition.name in overlay.mappings:
            definition = _applied(definition, overlay, problems, named=definition.name in overlay.mappings)
    return definition


def _applied(definition: Definition, overlay: Overlay, problems: list[Problem], *, named: bool) -> Definition:
    made = [resources.resource for resources in definition.resources]
    for change in overlay.changes:
        if change.resource not in made and named:
            text = f"{definition.name} makes no {change.resource}{nearest(change.resource, made)}"
            problems.append(Problem(change.line.file, change.line.line, "changes", text))
    groups = dict(definition.groups)
    for name, segments in overlay.holds.items():
        if name in groups:
            group = replace(groups[name], holds=groups[name].holds + segments)
            groups[name] = replace(group, closing=group.closing + overlay.closing[name])
            for strange in sorted(set(overlay.closing[name]).difference(groups[name].segments)):
                text = f"group '{name}' holds no {strange}{nearest(strange, groups[name].segments)}"
                problems.append(Problem(overlay.line.file, overlay.line.line, "closing", text))
        elif named:
            text = f"{definition.name} has no group '{name}'{nearest(name, groups)}"
            problems.append(Problem(overlay.line.file, overlay.line.line, "groups", text))
    return replace(
        definition,
        version=f"{definition.version}/{overlay.version}",
        groups=groups,
        resources=_changed(definition.resources, groups, overlay.changes, problems),
        not_mapped={**definition.not_mapped, **overlay.not_mapped},
    )


def _changed(
    resources: Sequence[ResourceRules],
    groups: Mapping[str, Group],
    changes: Sequence[Change],
    problems: list[Problem],
) -> tuple[ResourceRules, ...]:
    """Where several entries of a mapping speak of one resource, a change is made where its rule stands.

    A rule that stands in none of them is new, and goes into those that make the resource and whose group reaches the
    segments it reads. One that makes the id stands for the one of that name, for then every entry that speaks of the
    resource still means the same one.
    """
    resources = _identified(resources, [change for change in changes if _makes_id(change)], problems)
    changes = [change for change in changes if not _makes_id(change)]
    changed = [{rule.id: rule for rule in each.rules} for each in resources]
    taken_out: set[int] = set()
    for change in changes:
        named = [
            (each, rules) for each, rules in zip(resources, changed, strict=True) if each.resource == change.resource
        ]
        holders = [rules for _, rules in named if change.id in rules]
        if change.rule is not None:
            for rules in holders or _takers(change.rule, named, groups):
                rules[change.id] = change.rule
            continue
        for rules in holders:
            del rules[change.id]
        made = [each for each, _ in named if each.id.id == change.id]
        taken_out.update(map(id, made))
        problem = _cannot_go(change.resource, made, resources, taken_out)
        if named and not holders and not made:
            known = [rule for each, rules in named for rule in (each.id.id, *rules)]
            problem = f"{change.resource} has no rule '{change.id}'{nearest(change.id, known)}"
        if problem:
            problems.append(Problem(change.line.file, change.line.line, "rule", problem))
    return tuple(
        replace(each, rules=tuple(rules.values()))
        for each, rules in zip(resources, changed, strict=True)
        if id(each) not in taken_out
    )


def _cannot_go(
    resource: str, made: Sequence[ResourceRules], resources: Sequence[ResourceRules], taken_out: Collection[int]
) -> str:
    """Why what a row makes the id of cannot be taken out: others refer to it, and nothing else makes one."""
    left = [each for each in resources if id(each) not in taken_out]
    if not made or any(each.resource == resource and not each.says_more for each in left):
        return ""
    asking = [each.resource for each in left if each.within == resource or _refers(each, resource)]
    if not asking:
        return ""
    others = ", ".join(dict.fromkeys(asking))
    making = made[0].id
    fields = ", ".join(map(str, making.fields)) or "no field"
    return (
        f"the {resource} whose id '{making.id}' makes of {fields} is referred to ({others}): write this row with other "
        f"fields, {{rule: {making.id}, from: …, with: {making.function}}}, or take this line out"
    )


def _refers(each: ResourceRules, resource: str) -> bool:
    return any(rule.refer == resource for rule in each.rules)


def _takers(
    rule: Rule, named: Sequence[tuple[ResourceRules, dict[str, Rule]]], groups: Mapping[str, Group]
) -> list[dict[str, Rule]]:
    """The entries that a new rule goes into; all that make the resource where none reaches what it reads."""
    making = [(each, rules) for each, rules in named if not each.says_more]
    read = {name.segment for name in rule.fields}
    reaching = [rules for each, rules in making if read <= reachable(groups, each.group)]
    return reaching or [rules for _, rules in making]


def _makes_id(change: Change) -> bool:
    return change.rule is not None and not change.rule.to


def _identified(
    resources: Sequence[ResourceRules], changes: Sequence[Change], problems: list[Problem]
) -> Sequence[ResourceRules]:
    for change in changes:
        known = {each.id.id for each in resources if each.resource == change.resource}
        if known and change.id not in known:
            text = f"the id of {change.resource} has no rule '{change.id}'{nearest(change.id, sorted(known))}"
            problems.append(Problem(change.line.file, change.line.line, "rule", text))
        resources = [
            replace(each, id=change.rule)
            if change.rule is not None and (each.resource, each.id.id) == (change.resource, change.id)
            else each
            for each in resources
        ]
    return resources
