"""Which groups and known parts fit messages of a type that no mapping takes? Guessed from the order of segments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from engine.mapping.definition import Definition, ResourceRules, Rule
from engine.mapping.draft.profile import Profile

_IN_MESSAGE = frozenset({"MSH", "SFT", "UAC", "EVN"})
"""Segments that stand before every group."""


_OF_ONE_SEGMENT = frozenset({"relative", "allergy", "diagnosis", "procedure", "insurance", "observation"})
"""Groups that another standard segment ends; what follows them belongs to the patient again."""
_FOLLOWS_ANY = frozenset({"NTE"})


@dataclass(frozen=True, slots=True)
class _Known:
    """A part that is used where its segment is met: its group, what that group starts with, and where it stands."""

    group: str
    inside: str
    starts: tuple[str, ...]
    resource: str
    part: str
    within: str = ""
    more: str = ""


_PARTS = (
    _Known("patient", "", ("PID",), "Patient", "patient"),
    _Known("patient", "", ("PID",), "Patient", "patient_details"),
    _Known("patient", "", ("PV1",), "Encounter", "encounter", more="needs: [PV1], only_if_missing: yes"),
    _Known("relative", "patient", ("NK1",), "RelatedPerson", "relative"),
    _Known("allergy", "patient", ("AL1",), "AllergyIntolerance", "allergy"),
    _Known("diagnosis", "patient", ("DG1",), "Condition", "diagnosis"),
    _Known("procedure", "patient", ("PR1",), "Procedure", "procedure"),
    _Known("insurance", "patient", ("IN1",), "Coverage", "coverage"),
    _Known("order", "patient", ("ORC", "OBR"), "ServiceRequest", "order"),
    _Known("result", "order", ("OBX",), "Observation", "observation", within="ServiceRequest"),
    _Known("specimen", "order", ("SPM",), "Specimen", "specimen", within="ServiceRequest"),
    _Known("observation", "patient", ("OBX",), "Observation", "patient_observation"),
)


@dataclass(slots=True)
class ShapedGroup:
    """A group of the draft."""

    name: str
    inside: str
    starts: tuple[str, ...]
    holds: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ShapedResource:
    """An entry of the draft, with the rules that it takes from its part."""

    resource: str
    group: str
    part: str
    within: str
    more: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    groups: tuple[ShapedGroup, ...]
    resources: tuple[ShapedResource, ...]


def shape_of_messages(profile: Profile, definitions: Sequence[Definition]) -> Shape:
    """Groups that take every segment of the samples, and parts whose segments are there."""
    present = set(profile.segments)
    chosen = _with_what_they_refer_to(_chosen(present), definitions)
    groups: dict[str, ShapedGroup] = {}
    for known in chosen:
        if known.group not in groups:
            starts = ("PID",) if known.group == "patient" else tuple(each for each in known.starts if each in present)
            groups[known.group] = ShapedGroup(known.group, known.inside if known.inside in groups else "", starts)
    if not groups:
        first = next((name for names in profile.shapes for name in names if name not in _IN_MESSAGE), "PID")
        groups["body"] = ShapedGroup("body", "", (first,))
    _hold(groups, profile)
    resources = tuple(
        ShapedResource(each.resource, each.group, each.part, each.within, each.more, _rules(each.part, definitions))
        for each in chosen
    )
    for resource in resources:
        _reach(groups, resource)
    return Shape(tuple(groups.values()), resources)


def _chosen(present: set[str]) -> list[_Known]:
    chosen: list[_Known] = []
    for known in _PARTS:
        inside = known.inside in ("", *(each.group for each in chosen))
        taken = any(each.starts == known.starts and each.group != known.group for each in chosen)
        if "PID" in present and inside and not taken and present.intersection(known.starts):
            chosen.append(known)
    return chosen


def _with_what_they_refer_to(chosen: list[_Known], definitions: Sequence[Definition]) -> list[_Known]:
    """Adds the visit where something refers to it; leaves out what refers to something that is not made."""
    encounter = next(each for each in _PARTS if each.resource == "Encounter")
    made = {each.resource for each in chosen}
    if encounter not in chosen and any("Encounter" in _referred(each, definitions) for each in chosen):
        chosen = [*chosen, encounter]
        made.add("Encounter")
    kept = [each for each in chosen if _referred(each, definitions) <= made]
    return kept if len(kept) == len(chosen) else _with_what_they_refer_to(kept, definitions)


def _referred(known: _Known, definitions: Sequence[Definition]) -> set[str]:
    within = {known.within} if known.within else set()
    return within | {rule.refer for rule in _rules(known.part, definitions) if rule.refer is not None}


def _rules(part: str, definitions: Iterable[Definition]) -> tuple[Rule, ...]:
    """The rules of a part, its id among them, as the mappings have them that use it."""
    file = f"hl7v2/parts/{part}.yaml"
    found: dict[str, Rule] = {}
    for definition in definitions:
        for entry in definition.resources:
            for rule in _of(entry):
                if rule.line.file == file:
                    found.setdefault(rule.id, rule)
    return tuple(found.values())


def _of(entry: ResourceRules) -> tuple[Rule, ...]:
    return (entry.id, *entry.rules)


def _hold(groups: dict[str, ShapedGroup], profile: Profile) -> None:
    """Each further segment belongs to the group that was begun before it, in most of the messages."""
    starts = {start: group for group in groups.values() for start in group.starts}
    votes: dict[str, Counter[str]] = {}
    outermost = next(iter(groups.values()))
    for names, count in profile.shapes.items():
        current = outermost
        for name in names:
            if name in starts:
                current = starts[name]
            elif name not in _IN_MESSAGE:
                if current.name in _OF_ONE_SEGMENT and name not in _FOLLOWS_ANY and not name.startswith("Z"):
                    current = outermost
                votes.setdefault(name, Counter())[current.name] += count
    for name, by_group in votes.items():
        for group in by_group:
            if name not in groups[group].holds:
                groups[group].holds.append(name)


def _reach(groups: dict[str, ShapedGroup], resource: ShapedResource) -> None:
    """Lets a group hold the segments that a part reads and the samples do not have."""
    reachable = set(_IN_MESSAGE)
    name = resource.group
    while name:
        reachable.update(groups[name].starts, groups[name].holds)
        name = groups[name].inside
    for rule in resource.rules:
        for source in rule.fields:
            if source.segment not in reachable:
                groups[resource.group].holds.append(source.segment)
                reachable.add(source.segment)
