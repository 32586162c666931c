"""How does a draft come about? What the samples hold is described, known rows are used, the rest is left as `# ?` rows.

The drafted files load and pass `hutong check`: rows that a person must finish stand as comments, and the test beside
them holds a made-up message of the samples' structure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory

from engine.codecs import er7
from engine.errors import HutongError
from engine.mapping.definition import Definition, Rule
from engine.mapping.draft.describing import UNKNOWN, Described, described, holds_codes
from engine.mapping.draft.profile import Column, Profile, together
from engine.mapping.draft.shape import Shape, shape_of_messages
from engine.mapping.draft.synthetic import synthetic
from engine.mapping.draft.text import mapping_text, overlay_text, test_text
from engine.mapping.grouping import grouped
from engine.mapping.lens.structures import Structure
from engine.mapping.loader import MAPPING_FILE, TEST_FILE, TESTS_OF_FACILITY, load
from engine.mapping.mapped import Context
from engine.mapping.mapping_set import MappingSet
from engine.terminology import Tables

_EXAMPLE = "example"
"""The facility as which tests of a whole mapping run."""


@dataclass(frozen=True, slots=True)
class DraftedFile:
    """One file to be written, named from the mappings folder of the configuration."""

    file: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Draft:
    """The draft for messages of one type, or of several types that one mapping takes.

    mapping   the mapping that takes such messages already, of which only the differences are drafted; empty: none
    columns   every field of the samples
    unlisted  codes that the table of a row does not list: the table, and each code with how often it was met
    """

    message_types: tuple[str, ...]
    mapping: str
    columns: tuple[Described, ...]
    unlisted: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]
    files: tuple[DraftedFile, ...]


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a draft is made: the mappings of the distribution, those of the configuration, and for which facility."""

    shipped: Path
    own: Path | None
    facilities: Sequence[str]
    facility: str
    keep_values: bool = False


def drafts(profiles: Mapping[str, Profile], ground: Ground) -> Iterator[tuple[tuple[str, ...], Profile]]:
    """What is drafted together: the types that one mapping takes, and each type that none takes."""
    mappings = MappingSet(load(ground.shipped, ground.facilities, ground.own))
    by_mapping: dict[str, list[str]] = {}
    for message_type in sorted(profiles):
        known = mappings.find(message_type, ground.facility)
        by_mapping.setdefault(known.name if known is not None else f"({message_type})", []).append(message_type)
    for kinds in by_mapping.values():
        yield tuple(kinds), together(profiles[kind] for kind in kinds)


def draft(message_types: tuple[str, ...], profile: Profile, ground: Ground) -> Draft:
    """A mapping for a type that none takes, or a facility's changes to the one that takes them all.

    Raises InvalidConfiguration when the mappings that are there already cannot be loaded.
    """
    mappings = MappingSet(load(ground.shipped, ground.facilities, ground.own))
    message_type = message_types[0]
    structure = Structure(message_type, profile.versions.most_common(1)[0][0])
    known = mappings.find(message_type, ground.facility)
    definition = known.definition if known is not None else None
    shape = None if definition is not None else shape_of_messages(profile, mappings.definitions())
    rules = list(_rules_of(definition, shape))
    readers = _readers(rules, definition, structure)
    tables = mappings.tables(ground.facility)
    columns = tuple(
        described(*key, column, structure, tables, readers.get(key, UNKNOWN), keep_values=ground.keep_values)
        for key, column in sorted(profile.columns.items(), key=lambda item: _place(item[0], profile))
        if key[0] != "MSH"
    )
    unlisted = tuple(_unlisted(rules, profile, tables, structure))
    name = message_type.replace("^", "_")
    if definition is None:
        assert shape is not None
        file = f"hl7v2/{name}/{MAPPING_FILE}"
        text = mapping_text(name, message_type, shape, columns, unlisted, profile)
        sample = f"hl7v2/{name}/drafted.hl7"
    else:
        file = f"facilities/{ground.facility}/{definition.name.lower()}_draft.yaml"
        held = _held(profile, definition)
        text = overlay_text(definition, held, columns, unlisted, profile)
        sample = f"facilities/{ground.facility}/{definition.name.lower()}_drafted.hl7"
    files = [DraftedFile(file, text.encode())]
    message = _sample(message_type, profile, structure, ground)
    files += _test(message_type, files[0], sample, message, ground, whole=definition is None)
    return Draft(message_types, definition.name if definition is not None else "", columns, unlisted, tuple(files))


def _rules_of(definition: Definition | None, shape: Shape | None) -> Iterator[Rule]:
    for entry in definition.resources if definition is not None else ():
        yield from (entry.id, *entry.rules)
    for resource in shape.resources if shape is not None else ():
        yield from resource.rules


def _readers(rules: Iterable[Rule], definition: Definition | None, structure: Structure) -> dict[tuple[str, int], str]:
    """By field, the rows that read it, or why none does."""
    readers: dict[tuple[str, int], list[str]] = {}
    for rule in rules:
        for name in rule.fields:
            named = readers.setdefault((name.segment, name.number), [])
            if rule.id not in named:
                named.append(rule.id)
    found = {key: ", ".join(names) for key, names in readers.items()}
    for left, reason in (definition.not_mapped if definition is not None else {}).items():
        segment, _, number = left.partition("-")
        for at in [int(number)] if number else range(1, 100):
            found.setdefault((segment, at), f"({reason})")
    if definition is None:
        found |= {("EVN", at): "(kept on the envelope)" for at in range(1, 10)}
    for segment in ("PID", "NK1", "PV1", "OBR", "OBX", "NTE", "DG1", "AL1", "GT1", "IN1", "SPM", "PR1", "TQ1"):
        if structure.begins_with_its_number(segment):
            found.setdefault((segment, 1), "(number of the segment)")
    return found


def _place(key: tuple[str, int], profile: Profile) -> tuple[int, str, int]:
    """In the order in which the segments stand in the commonest message."""
    order = profile.shapes.most_common(1)[0][0] if profile.shapes else ()
    return (order.index(key[0]) if key[0] in order else len(order), *key)


def _unlisted(
    rules: Iterable[Rule], profile: Profile, tables: Tables, structure: Structure
) -> Iterator[tuple[str, tuple[tuple[str, int], ...]]]:
    """Codes of the samples that the tables of the rows do not list."""
    found: dict[str, dict[str, int]] = {}
    for rule in rules:
        for name in rule.sources[:1] if rule.table is not None else ():
            column = profile.columns.get((name.segment, name.number), Column())
            if name.component is None and holds_codes(name.segment, name.number, column, structure):
                table = tables[rule.table or ""]
                if table.fallback is None and not any(table.find(value) is not None for value in column.values):
                    continue  # a table of procedures or the like that this sender's codes have nothing to do with
                for value, count in column.values.items():
                    if table.find(value) is None:
                        found.setdefault(table.name, {})[value] = count
    for table_name, values in sorted(found.items()):
        yield table_name, tuple(sorted(values.items(), key=lambda item: -item[1]))


def _held(profile: Profile, definition: Definition) -> dict[str, list[str]]:
    """Segments that no group of the mapping takes, by the group they follow in the first message that has them."""
    held: dict[str, list[str]] = {}
    taken: set[str] = set()
    for names in profile.shapes:
        _, owners = grouped(names, definition.groups)
        group = ""
        for name, owner in zip(names, owners, strict=True):
            if owner is not None:
                group = owner.group.name
            elif name not in taken and group and name not in definition.not_mapped:
                taken.add(name)
                held.setdefault(group, []).append(name)
    return held


def _sample(message_type: str, profile: Profile, structure: Structure, ground: Ground) -> bytes:
    if ground.keep_values and profile.first is not None:
        return profile.first.payload
    return synthetic(profile, message_type, structure)


def _test(
    message_type: str, drafted: DraftedFile, sample: str, message: bytes, ground: Ground, *, whole: bool
) -> list[DraftedFile]:
    """The sample, and the test that says what becomes of it as the draft stands; it is tried before it is written."""
    facility = _EXAMPLE if whole else ground.facility
    parsed = er7.parse(message)
    with TemporaryDirectory(prefix="hutong-draft-") as folder:
        tried = Path(folder) / "mappings"
        if ground.own is not None:
            copytree(ground.own, tried)
        place = tried / drafted.file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(drafted.content)
        mapping = MappingSet(load(ground.shipped, ground.facilities, tried)).find(message_type, facility)
    assert mapping is not None
    try:
        mapped = mapping.apply(parsed, Context(facility, facility, "test", datetime(2026, 4, 1, tzinfo=UTC)))
        outcome: HutongError | None = None
        text = test_text(Path(sample).name, mapped, None, parsed.charset if ground.keep_values else "")
    except HutongError as error:
        outcome = error
        text = test_text(Path(sample).name, None, outcome, parsed.charset if ground.keep_values else "")
    beside = Path(drafted.file)
    test = (beside.with_name(TEST_FILE) if whole else beside.with_name(f"{beside.stem}{TESTS_OF_FACILITY}")).as_posix()
    return [DraftedFile(sample, message), DraftedFile(test, text.encode())]
