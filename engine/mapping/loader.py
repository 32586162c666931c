"""Which mappings does a folder hold? Reads `hl7v2/*/mapping.yaml` with their parts and the changes of each facility."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.config.problems import InvalidConfiguration, Problem, nearest
from engine.mapping.definition import (
    MESSAGE,
    Definition,
    Direction,
    Group,
    Line,
    ResourceRules,
    Rule,
    reachable,
)
from engine.mapping.overlay import Overlay, read_overlay, with_changes
from engine.mapping.reading import Node
from engine.mapping.registry import FUNCTIONS, ID_FUNCTIONS
from engine.mapping.rules import RULE_KEYS, Known, read_rule
from engine.terminology import Tables

MAPPING_FILE = "mapping.yaml"
TEST_FILE = "mapping_test.yaml"
TESTS_OF_FACILITY = "_test.yaml"
"""How files of tests beside a facility's changes end: it may have one for each file of changes."""
_MAPPING_KEYS = ("name", "version", "direction", "messages", "needs", "groups", "resources", "not_mapped")
_RESOURCE_KEYS = ("resource", "for", "part", "id", "within", "needs", "only_if_missing", "rules")
_PART_KEYS = ("resource", "id", "within", "rules", "not_mapped")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Everything a mappings folder says: for no facility (empty text) and for each that changes something."""

    definitions: Mapping[str, tuple[Definition, ...]]
    tables: Mapping[str, Tables]


@dataclass(frozen=True, slots=True)
class _Part:
    """Rules that several mappings share: one file of `hl7v2/parts`."""

    resource: str
    id: Rule | None
    within: str | None
    rules: tuple[Rule, ...]
    not_mapped: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder of mappings; its files are named from `root`."""

    folder: Path
    root: Path


def load(folder: Path, facilities: Collection[str], own: Path | None = None) -> Loaded:
    """Reads everything: the mappings of the distribution, and over them those in `own`, of one installation.

    A mapping or a part of `own` stands for the one of the same name, a table adds its rows to it, a facility's changes
    come after those of the distribution. Raises InvalidConfiguration that lists every problem as file:line with the
    nearest valid name; files of `own` are named from the folder around it.
    """
    problems: list[Problem] = []
    if not folder.is_dir():
        raise InvalidConfiguration([Problem(str(folder), 0, "", "expected a folder of mappings")])
    places = [_Place(folder, folder), *([_Place(own, own.parent)] if own is not None else [])]
    tables = Tables()
    for place in places:
        tables = tables.with_tables(Tables.load(place.folder / "tables", place.root))
    known = Known(FUNCTIONS, ID_FUNCTIONS, tables)
    parts = {name: part for place in places for name, part in _parts(place, known, problems).items()}
    definitions = _definitions(places, parts, known, problems)
    by_facility: dict[str, tuple[Definition, ...]] = {"": tuple(definitions)}
    tables_of: dict[str, Tables] = {"": tables}
    rows = [rule for each in definitions for entry in each.resources for rule in (entry.id, *entry.rules)]
    added: list[tuple[str, Path, _Place]] = []
    for place in places:
        for overlay_folder in sorted(path for path in place.folder.glob("facilities/*") if path.is_dir()):
            code = overlay_folder.name
            if code not in facilities:
                file = overlay_folder.relative_to(place.root).as_posix()
                problems.append(Problem(file, 0, "", f"'{code}' is no facility{nearest(code, facilities)}"))
                continue
            own_tables = Tables.load(overlay_folder / "tables", place.root)
            tables_of[code] = tables_of.get(code, tables).with_tables(own_tables)
            added += [(code, overlay_folder / "tables" / f"{name}.csv", place) for name in own_tables.names()]
            overlays = _overlays(
                overlay_folder,
                place.root,
                Known(FUNCTIONS, ID_FUNCTIONS, tables_of[code], rows),
                definitions,
                problems,
            )
            those = by_facility.get(code, tuple(definitions))
            by_facility[code] = tuple(with_changes(definition, overlays, problems) for definition in those)
    for code, table, place in added:
        _check_is_looked_into(table, place, tables, by_facility[code], problems)
    if not problems:
        for code, those in by_facility.items():
            for definition in those:
                _check(definition, problems, code)
    if problems:
        raise InvalidConfiguration(problems)
    return Loaded(by_facility, tables_of)


def _check_is_looked_into(
    file: Path, place: _Place, tables: Tables, definitions: Sequence[Definition], problems: list[Problem]
) -> None:
    """A table of a facility adds to a common one, or a row of this facility names it; any other is a misspelt name."""
    rules = [rule for each in definitions for made in each.resources for rule in (made.id, *made.rules)]
    known = {*tables.names(), *(rule.table for rule in rules if rule.table is not None)}
    if file.stem not in known:
        text = f"no table '{file.stem}' is looked into: no common one has this name and no row of the facility names it"
        problems.append(Problem(file.relative_to(place.root).as_posix(), 0, "", text + nearest(file.stem, known)))


def _definitions(
    places: Sequence[_Place], parts: Mapping[str, _Part], known: Known, problems: list[Problem]
) -> list[Definition]:
    definitions: dict[str, Definition] = {}
    for place in places:
        found: list[Definition] = []
        for path in sorted(place.folder.glob(f"hl7v2/*/{MAPPING_FILE}")):
            node = Node.open(path, place.root, problems)
            definition = _definition(node, parts, known) if node is not None else None
            if definition is not None:
                found.append(definition)
        _each_name_once(found, problems)
        definitions |= {definition.name: definition for definition in found}
    _each_message_once(list(definitions.values()), problems)
    return list(definitions.values())


def _parts(place: _Place, known: Known, problems: list[Problem]) -> dict[str, _Part]:
    parts: dict[str, _Part] = {}
    for path in sorted(place.folder.glob("hl7v2/parts/*.yaml")):
        node = Node.open(path, place.root, problems)
        if node is None:
            continue
        node.allow(*_PART_KEYS)
        if not node.require("resource", "rules"):
            continue
        parts[path.stem] = _Part(
            resource=node.text("resource"),
            id=read_rule(node.at("id"), known, makes_id=True) if node.has("id") else None,
            within=node.text("within") or None,
            rules=_rules(node, known),
            not_mapped=_reasons(node),
        )
    return parts


def _overlays(
    folder: Path, root: Path, known: Known, definitions: Sequence[Definition], problems: list[Problem]
) -> list[Overlay]:
    overlays = []
    for path in sorted(folder.glob("*.yaml")):
        node = Node.open(path, root, problems) if not path.name.endswith(TESTS_OF_FACILITY) else None
        if node is not None:
            overlay = read_overlay(node, known, [definition.name for definition in definitions])
            if overlay is not None:
                overlays.append(overlay)
    return overlays


def _definition(node: Node, parts: Mapping[str, _Part], known: Known) -> Definition | None:
    node.allow(*_MAPPING_KEYS)
    if not node.require("name", "version", "messages", "groups", "resources"):
        return None
    if node.name("direction", [Direction.IN]) is None and node.has("direction"):
        return None
    not_mapped = _reasons(node)
    groups = _groups(node.at("groups"))
    resources: list[ResourceRules] = []
    for item in node.items("resources"):
        resource = _resource(item, parts, groups, known)
        if resource is not None:
            resources.append(resource)
            part = parts.get(item.text("part"))
            not_mapped = {**(part.not_mapped if part else {}), **not_mapped}
    return Definition(
        name=node.text("name"),
        version=node.text("version"),
        messages=node.texts("messages"),
        groups=groups,
        resources=tuple(resources),
        not_mapped=not_mapped,
        line=node.line,
        needs=node.texts("needs"),
    )


def _groups(node: Node) -> dict[str, Group]:
    groups: dict[str, Group] = {MESSAGE: Group(MESSAGE, None, (), ("MSH", "SFT", "UAC", "EVN"))}
    for name in node.names():
        entry = node.at(name)
        entry.allow("in", "starts", "holds", "closing")
        inside = entry.name("in", groups) if entry.has("in") else MESSAGE
        starts = entry.texts("starts")
        if name == MESSAGE:
            groups[MESSAGE] = Group(MESSAGE, None, (), entry.texts("holds"))
        elif not starts:
            entry.wrong("expected 'starts' with the segments that open this group")
        else:
            groups[name] = Group(name, inside or MESSAGE, starts, entry.texts("holds"), entry.texts("closing"))
    return groups


def _resource(
    node: Node, parts: Mapping[str, _Part], groups: Mapping[str, Group], known: Known
) -> ResourceRules | None:
    node.allow(*_RESOURCE_KEYS)
    if not node.require("resource", "for"):
        return None
    group = node.name("for", groups)
    part = None
    if node.has("part"):
        name = node.name("part", parts)
        if name is None:
            return None
        part = parts[name]
        if part.resource != node.text("resource"):
            node.at("part").wrong(f"expected a part of {node.text('resource')}; this one makes {part.resource}")
    id_rule = read_rule(node.at("id"), known, makes_id=True) if node.has("id") else (part.id if part else None)
    if id_rule is None:
        node.wrong("expected 'id' with the rule that makes the id")
        return None
    if group is None:
        return None
    rules = _override(part.rules if part else (), _rules(node, known))
    return ResourceRules(
        resource=node.text("resource"),
        group=group,
        line=node.line,
        id=id_rule,
        within=node.text("within") or (part.within if part else None),
        rules=rules,
        needs=node.texts("needs"),
        only_if_missing=node.yes("only_if_missing"),
    )


def _override(shared: tuple[Rule, ...], own: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """The rules of a part, those that the mapping writes itself under the same id in their place, then the rest."""
    by_id = {rule.id: rule for rule in own}
    shared_ids = {rule.id for rule in shared}
    return tuple(by_id.get(rule.id, rule) for rule in shared) + tuple(rule for rule in own if rule.id not in shared_ids)


def _rules(node: Node, known: Known) -> tuple[Rule, ...]:
    rules: dict[str, Rule] = {}
    for item in node.items("rules") if node.at("rules").value is not None else ():
        item.allow(*RULE_KEYS)
        rule = read_rule(item, known)
        if rule is None:
            continue
        if rule.id in rules:
            item.wrong(f"expected every rule once; '{rule.id}' stands on line {rules[rule.id].line.line}")
        rules[rule.id] = rule
    return tuple(rules.values())


def _reasons(node: Node) -> dict[str, str]:
    reasons = node.at("not_mapped")
    return {key: reasons.text(key) for key in reasons.names()}


def _each_name_once(definitions: Sequence[Definition], problems: list[Problem]) -> None:
    names: dict[str, Line] = {}
    for definition in definitions:
        line = definition.line
        if definition.name in names:
            problems.append(
                Problem(line.file, 1, "name", f"expected another name; it stands in {names[definition.name]}")
            )
        names[definition.name] = line


def _each_message_once(definitions: Sequence[Definition], problems: list[Problem]) -> None:
    first: dict[str, Line] = {}
    for definition in definitions:
        line = definition.line
        for message in definition.messages:
            if message in first:
                problems.append(
                    Problem(line.file, 1, "messages", f"{message} is mapped already in {first[message].file}")
                )
            first[message] = line


def _check(definition: Definition, problems: list[Problem], facility: str) -> None:
    """That every field a rule reads can be reached from its group, and every resource it refers to is made."""
    made = [resource.resource for resource in definition.resources]
    held = {segment for group in definition.groups.values() for segment in group.segments}
    for segment in definition.needs:
        if segment not in held:
            text = f"no group holds segment {segment}{nearest(segment, held)}"
            problems.append(Problem(definition.line.file, definition.line.line, "needs", text))
    for resources in definition.resources:
        within_reach = reachable(definition.groups, resources.group)
        for rule in (resources.id, *resources.rules):
            for name in rule.fields:
                if name.segment not in within_reach:
                    text = f"segment {name.segment} cannot be reached from group '{resources.group}'"
                    problems.append(
                        Problem(rule.line.file, rule.line.line, "", text + nearest(name.segment, within_reach))
                    )
            if rule.refer is not None and rule.refer not in made:
                text = f"no resource {rule.refer} is made by {definition.name}{nearest(rule.refer, made)}"
                problems.append(Problem(rule.line.file, rule.line.line, "refer", text))
        for segment in resources.needs:
            if segment not in within_reach:
                text = f"segment {segment} cannot be reached from group '{resources.group}'"
                text += nearest(segment, within_reach)
                problems.append(Problem(resources.line.file, resources.line.line, "needs", text))
        if resources.within is not None and resources.within not in made:
            text = f"no resource {resources.within} is made by {definition.name}{nearest(resources.within, made)}"
            problems.append(Problem(resources.line.file, resources.line.line, "within", text))
