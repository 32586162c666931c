"""How do resources become a message? Grouped, written row by row, laid out, and read again to see what is lost."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from engine.clock import CHINA
from engine.codecs import er7
from engine.codecs.er7 import Er7Writer, Value
from engine.errors import MappingError
from engine.mapping.definition import Definition, ResourceRules
from engine.mapping.lens.apart import contained_apart
from engine.mapping.lens.back import Back
from engine.mapping.lens.comparison import Comparison, Pair
from engine.mapping.lens.events import tell_of_event
from engine.mapping.lens.layout import begin, laid_out
from engine.mapping.lens.required import supply
from engine.mapping.lens.rows import Pen, Way, ways_of
from engine.mapping.lens.structures import Structure
from engine.mapping.lens.tree import Node, Tree
from engine.mapping.lens.written import Loss, WriteContext, Written
from engine.mapping.mapped import Context, Mapped, Resource
from engine.mapping.scope import Scope
from engine.terminology import Tables

Identities = Sequence[tuple[ResourceRules, str | None]]
"""What a message's groups became: the entry of the mapping and the id it gave, in the order of the groups."""
Read = Callable[[er7.Message, Context], tuple[Mapped, Identities]]

_STRUCTURE_IN_MSH_9 = (2, 3, 1)
"""The version that brought MSH-9.3."""
_EVENT_IN_EVN_1 = (2, 7)
"""The version that withdrew EVN-1."""

_MASTER_FILES = {"MFN^M02": ("STF", "Staff"), "MFN^M05": ("LOC", "Location")}
"""MFI-1. The file is updated by what each entry says, and nobody asks for an answer to each."""


class Lens:
    """The way back of one mapping for one facility."""

    def __init__(self, definition: Definition, facility: str, tables: Tables, read: Read) -> None:
        self._definition = definition
        self._facility = facility
        self._tables = tables
        self._read = read
        self._ways: dict[int, tuple[Way, ...]] = {
            id(entry): ways_of(entry, facility, tables) for entry in definition.resources
        }

    def write(self, resources: Sequence[Resource], context: WriteContext) -> Written:
        """The message that these resources become.

        Raises MappingError: a type of message that the mapping does not take, an element that is no FHIR, a character
        that the charset lacks, nothing to write, or a message that this mapping itself would hold.
        """
        try:
            return self._written(list(contained_apart(resources)), context)
        except RecursionError:
            text = "a resource is nested more deeply than FHIR ever is"
            raise MappingError(text, location="MSH", rule=self._definition.name, code="not-writable") from None

    def _written(self, resources: Sequence[Resource], context: WriteContext) -> Written:
        if context.message_type not in self._definition.messages:
            text = f"{self._definition.name} writes {', '.join(self._definition.messages)}"
            raise MappingError(text, location="MSH-9", rule=self._definition.name, code="message-type-not-written")
        structure = Structure(context.message_type, context.endpoint.version)
        structure.leave_out(_without_place(self._definition, structure))
        back = Back(resources, context.message_type, context.endpoint.version)
        received = Context(self._facility, context.facility_name, "", context.at)
        pen = Pen(back, structure, Scope(received, context.endpoint.charset, b""))
        tree = Tree(
            self._definition,
            resources,
            structure,
            lambda entry, whole: pen.parts(self._ways[id(entry)], whole, self._definition.groups[entry.group].starts),
        )
        for node in tree.root.all_inside():
            for entry, resource in node.made:
                pen.write(self._ways[id(entry)], resource, node)
        tree.root.drop(lambda node: _says_not_which(node, structure))
        begin(tree.root)
        supply(tree.root, structure, back.version)
        tell_of_event(tree.root, structure, context.message_type, self._tables)
        payload = self._payload(tree, structure, context)
        return Written(payload, tuple(self._loss(payload, tree, resources, received, context)))

    def _payload(self, tree: Tree, structure: Structure, context: WriteContext) -> bytes:
        lines = laid_out(tree.root, structure, self._definition.groups)
        if not lines:
            text = (
                f"nothing of these resources is written by {self._definition.name}: give whole FHIR resources, "
                "with the Patient they are of (a Bundle, or a list)"
            )
            raise MappingError(text, location="MSH", rule=self._definition.name, code="nothing-written")
        writer = Er7Writer(context.endpoint.charset)
        for name, fields in (*_header(structure, context), *lines):
            writer.add(name, fields)
        return writer.encode()

    def _loss(
        self, payload: bytes, tree: Tree, resources: Sequence[Resource], received: Context, context: WriteContext
    ) -> Iterator[Loss]:
        mapped, identities = self._read(er7.parse(payload, context.endpoint.charset), received)
        before = {_name(each): each for each in resources}
        after = {_name(each): each for each in mapped.resources}
        pairs = self._pairs(tree, identities, after)
        for reference, path in Comparison(before, after).lost(pairs):
            yield Loss(reference, path, self._why(reference.partition("/")[0], path))

    def _pairs(self, tree: Tree, identities: Identities, after: Mapping[str, Resource]) -> list[Pair]:
        """Each resource that was written beside the one its group became."""
        waiting, pairs = list(identities), list[Pair]()
        for node in tree.root.all_inside():
            for entry in self._definition.resources:
                if entry.group != node.group.name or not _has_what_it_needs(entry, node):
                    continue
                if not waiting or waiting[0][0] is not entry:
                    return self._pairs_by_kind(tree, identities, after)
                _, identity = waiting.pop(0)
                written = next((each for made, each in node.made if made is entry), None)
                if written is not None and f"{entry.resource}/{identity}" in after:
                    pairs.append((_name(written), f"{entry.resource}/{identity}"))
        return pairs

    def _pairs_by_kind(self, tree: Tree, identities: Identities, after: Mapping[str, Resource]) -> list[Pair]:
        """The same where groups are read otherwise than they were written: the first of a kind beside the first.

        DG1 stands behind FT1, where it belongs to the visit as much as to the last charge. A wrong pair hides nothing:
        what differs is lost.
        """
        written: dict[str, dict[str, None]] = {}
        for node in tree.root.all_inside():
            for _, resource in node.made:
                written.setdefault(str(resource["resourceType"]), {})[_name(resource)] = None
        read: dict[str, dict[str, None]] = {}
        for entry, identity in identities:
            if f"{entry.resource}/{identity}" in after:
                read.setdefault(entry.resource, {})[f"{entry.resource}/{identity}"] = None
        return [pair for kind in written for pair in zip(written[kind], read.get(kind, ()), strict=False)]

    def _why(self, kind: str, path: str) -> str:
        """Which row would have to write it, or that there is none."""
        name = self._definition.name
        rules = [rule for entry in self._definition.resources if entry.resource == kind for rule in entry.rules]
        if not path:
            if not rules:
                return "nothing in the message names it"
            if not any(rule.both for rule in rules):
                return f"no row of {name} writes {kind} (dir: both)"
            return f"nothing links it to the others as {name} needs it, or there is no room for it"
        about = [rule for rule in rules if _is_about(rule.to, path)]
        refers = list(dict.fromkeys(rule.id for rule in about if rule.refer is not None))
        if refers and path.endswith((".reference", "]")):
            return f"what {', '.join(refers)} refers to is not in the message"
        writing = list(dict.fromkeys(rule.id for rule in about if rule.both))
        reading = list(dict.fromkeys(rule.id for rule in about if not rule.both))
        if not about:
            return f"no row of {name} is about it"
        told = [f"not said by what {', '.join(writing)} wrote"] if writing else []
        return "; ".join([*told, *([f"{', '.join(reading)} only read (dir: in)"] if reading else [])])


def _header(structure: Structure, context: WriteContext) -> Iterator[tuple[str, dict[int, Value]]]:
    endpoint = context.endpoint
    version = tuple(int(part) for part in endpoint.version.split(".") if part.isdecimal())
    at = context.at.astimezone(CHINA).strftime("%Y%m%d%H%M%S")
    kind, _, event = context.message_type.partition("^")
    yield (
        "MSH",
        {
            3: endpoint.sending_application,
            4: endpoint.sending_facility,
            5: endpoint.receiving_application,
            6: endpoint.receiving_facility,
            7: at,
            9: (kind, event, structure.name) if version >= _STRUCTURE_IN_MSH_9 else (kind, event),
            10: context.control_id,
            11: "P",
            12: endpoint.version,
        },
    )
    if context.answers and "MSA" in structure.order:
        yield "MSA", {1: "AA", 2: context.answers}
    if "EVN" in structure.order:
        yield "EVN", {1: event if version < _EVENT_IN_EVN_1 else "", 2: at}
    if context.message_type in _MASTER_FILES:
        yield "MFI", {1: (*_MASTER_FILES[context.message_type], "HL70175"), 3: "UPD", 6: "NE"}


def _without_place(definition: Definition, structure: Structure) -> Iterator[str]:
    """Segments that may begin a group and that this message lacks, where it has another one that begins it."""
    for group in definition.groups.values():
        if any(start in structure.order for start in group.starts):
            yield from (start for start in group.starts if start not in structure.order)


def _says_not_which(node: Node, structure: Structure) -> bool:
    """Whether nothing was written that says which one a group is about, so that nobody could read it again.

    Where that is needed the whole message would be held; then it stays, and the error names the field.
    """
    entry = node.made[0][0] if node.made else None
    if entry is None or entry.id.needed or not entry.id.sources or entry.says_more:
        return False
    for source in entry.id.sources:
        numbered = source.number == 1 and structure.begins_with_its_number(source.segment)
        if numbered or source.segment not in node.group.starts:
            return False
        if any(source.number in fields for fields in node.segments.get(source.segment, ())):
            return False
    return True


def _has_what_it_needs(entry: ResourceRules, node: Node) -> bool:
    return all(
        any(segment in around.segments for around in node.outwards() if segment in around.group.segments)
        for segment in entry.needs
    )


_INDEX = re.compile(r"\[\w+\]")


def _is_about(element: str, path: str) -> bool:
    """Whether a row that writes this element can have to do with a path: one contains the other."""
    steps = zip(_INDEX.sub("", element).split("."), _INDEX.sub("", path).split("."), strict=False)
    open_type = element.endswith("[x]")
    return all(step == said.lstrip("_") or (open_type and said.startswith(step)) for step, said in steps)


def _name(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource.get('id')}"
