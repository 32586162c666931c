"""How does a draft come about? What the samples hold is described, known rows are used, the rest waits as comments.

The drafted files load and pass `hutong check`: rows that a person must finish stand as comments, and the test beside
them holds a made-up message of the samples' structure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from types import MappingProxyType

from engine.codecs import er7
from engine.codecs.er7 import Message
from engine.errors import HutongError
from engine.mapping.draft.common import in_common
from engine.mapping.draft.items import listed_codes, open_codes, table_text
from engine.mapping.draft.moving import Moved
from engine.mapping.draft.profile import Profile, together
from engine.mapping.draft.samples import Samples
from engine.mapping.draft.settling import WayOut, ways_out
from engine.mapping.draft.shifting import agreed, shifts
from engine.mapping.draft.survey import Survey, structure_of, survey, without
from engine.mapping.draft.synthetic import synthetic
from engine.mapping.draft.text import common_text, mapping_text, overlay_text, test_text
from engine.mapping.draft.trial import tried_on
from engine.mapping.loader import MAPPING_FILE, TEST_FILE, TESTS_OF_FACILITY, Loaded, load
from engine.mapping.mapped import Context, Mapped
from engine.mapping.mapping_set import MappingSet
from engine.mapping.row_text import row_of
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
    """What is drafted of all samples together.

    open_codes  by table, the codes that a person has to explain
    ways        by mapping, the rows that would settle what its samples always have
    """

    surveys: tuple[Survey, ...]
    open_codes: Mapping[str, Sequence[str]]
    ways: Mapping[str, Sequence[WayOut]]
    files: tuple[DraftedFile, ...]


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a draft is made: the mappings of the distribution, those of the configuration, and for which facility."""

    shipped: Path
    own: Path | None
    facilities: Sequence[str]
    facility: str
    keep_values: bool = False


@dataclass(frozen=True, slots=True)
class _Tried:
    """A message of the drafted test, and what becomes of it as the draft stands.

    charset  what the test has to say of its characters; empty for a message that was made up
    """

    message: bytes
    result: Mapped | HutongError
    charset: str = ""


def draft(samples: Samples, ground: Ground) -> Draft:
    """For each type that no mapping takes a mapping; for the others what the facility sends beyond theirs.

    What several of them have in common stands in one file. Raises InvalidConfiguration when the mappings that are
    there already cannot be loaded.
    """
    mappings = MappingSet(load(ground.shipped, ground.facilities, ground.own))
    surveys = list(_surveys(samples.profiles, mappings, ground))
    tables = mappings.tables(ground.facility)
    loaded = _loaded_with(_rows(surveys, ground), ground)
    tried = {each.name: _tests(each, tables, loaded, ground) for each in surveys}
    slept = [without(each, _asleep(each, surveys, tried)) for each in surveys]
    if slept != surveys:  # a row that no test exercises fails the check: it is taken out
        surveys = slept
        loaded = _loaded_with(_rows(surveys, ground), ground)
        tried = {each.name: _tests(each, tables, loaded, ground) for each in surveys}
    trial = tried_on(samples.messages(), loaded, ground.facility)
    codes = open_codes(surveys, tables, trial)
    ways = {each.name: tuple(ways_out(each, trial)) for each in surveys}
    files = _rows(surveys, ground, ways)
    place = f"facilities/{ground.facility}/tables" if ground.facility else "tables"
    files += [DraftedFile(f"{place}/{table}.csv", table_text(those).encode()) for table, those in codes.items()]
    for each in surveys:
        files += _test(each, tried[each.name], ground)
    listed = {table: [each.code for each in those] for table, those in codes.items()}
    return Draft(tuple(surveys), listed, {name: those for name, those in ways.items() if those}, tuple(files))


def _surveys(profiles: Mapping[str, Profile], mappings: MappingSet, ground: Ground) -> Iterator[Survey]:
    """What is drafted together: the types that one mapping takes, and each type that none takes."""
    by_mapping: dict[str, list[str]] = {}
    for message_type in sorted(profiles):
        known = mappings.find(message_type, ground.facility)
        by_mapping.setdefault(known.name if known is not None else f"({message_type})", []).append(message_type)
    tables = mappings.tables(ground.facility)
    wholes = [(tuple(kinds), together(profiles[kind] for kind in kinds)) for kinds in by_mapping.values()]
    found = [shifts(whole, structure_of(kinds[0], whole)) for kinds, whole in wholes]
    longest = agreed(found)
    for (kinds, whole), own in zip(wholes, found, strict=True):
        known = mappings.find(kinds[0], ground.facility)
        definition = known.definition if known is not None else None
        shifted = tuple(each if each.by != longest[each.segment].by else longest[each.segment] for each in own)
        yield survey(kinds, whole, definition, mappings.definitions(), tables, shifted, keep_values=ground.keep_values)


def _rows(
    surveys: Sequence[Survey], ground: Ground, ways: Mapping[str, Sequence[WayOut]] = MappingProxyType({})
) -> list[DraftedFile]:
    """The files of rows: what several mappings have in common, then what each has alone."""
    common = in_common(surveys)
    folder = f"facilities/{ground.facility}"
    files = [
        DraftedFile(f"{folder}/common{number or ''}_draft.yaml", common_text(one, ground.facility).encode())
        for number, one in enumerate(common)
    ]
    for each in surveys:
        if each.definition is None:
            files.append(DraftedFile(_file(each, ground), mapping_text(each).encode()))
        elif text := overlay_text(each, common, ground.facility, ways.get(each.name, ())):
            files.append(DraftedFile(_file(each, ground), text.encode()))
    return files


def _file(each: Survey, ground: Ground) -> str:
    if each.definition is None:
        return f"hl7v2/{each.name}/{MAPPING_FILE}"
    return f"facilities/{ground.facility}/{each.name.lower()}_draft.yaml"


def _loaded_with(files: Iterable[DraftedFile], ground: Ground) -> Loaded:
    """The mappings as the draft has them, beside the files that are there already."""
    with TemporaryDirectory(prefix="hutong-draft-") as folder:
        tried = Path(folder) / "mappings"
        if ground.own is not None:
            copytree(ground.own, tried)
        for each in files:
            place = tried / each.file
            if not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(each.content)
        return load(ground.shipped, ground.facilities, tried if tried.is_dir() else None)


def _tests(each: Survey, tables: Tables, loaded: Loaded, ground: Ground) -> list[_Tried]:
    """Messages that have every segment of the samples among them: made up, or as they came where values are kept."""
    mappings = MappingSet(loaded)
    codes = listed_codes(each, tables)
    covering: list[Message] = []
    for sample in each.profile.examples:
        if {segment.name for segment in sample.segments} - {one.name for got in covering for one in got.segments}:
            covering.append(sample)
    made = [] if ground.keep_values else [synthetic(each, sample, codes) for sample in covering]
    if each.moved:  # rows of fields that the samples leave empty are tried as well
        made += [synthetic(each, sample, codes, whole=True) for sample in covering]
    kept = covering if ground.keep_values else []
    return [
        *(_applied(each, sample.payload, mappings, ground, sample.charset) for sample in kept),
        *(_applied(each, payload, mappings, ground) for payload in made),
    ]


def _applied(each: Survey, sample: bytes, mappings: MappingSet, ground: Ground, charset: str = "") -> _Tried:
    facility = ground.facility if each.definition is not None else _EXAMPLE
    mapping = mappings.find(each.message_types[0], facility)
    assert mapping is not None
    try:
        context = Context(facility, facility, "test", datetime(2026, 4, 1, tzinfo=UTC))
        parsed = er7.parse(sample, charset or None)
        return _Tried(sample, mapping.apply(parsed, context, with_sources=True), charset)
    except HutongError as error:
        return _Tried(sample, error, charset)


def _asleep(each: Survey, surveys: Iterable[Survey], tried: Mapping[str, Sequence[_Tried]]) -> list[Moved]:
    """Rows that the messages of no mapping with the same row make give anything."""
    awake: Counter[tuple[str, str]] = Counter()
    for other in surveys:
        results = [one.result for one in tried[other.name]]
        ran = {row_of(rule) for result in results if isinstance(result, Mapped) for rule in result.ran}
        awake.update((row.resource, row.row) for row in other.moved if row.row in ran)
    return [row for row in each.moved if row.rule is not None and row.rule.to and (row.resource, row.row) not in awake]


def _test(each: Survey, tried: Sequence[_Tried], ground: Ground) -> list[DraftedFile]:
    """The messages, and the test that says what becomes of each as the draft stands."""
    beside = Path(_file(each, ground))
    whole = each.definition is None
    test = beside.with_name(TEST_FILE) if whole else beside.with_name(f"{beside.stem}{TESTS_OF_FACILITY}")
    stem = "drafted" if whole else f"{each.name.lower()}_drafted"
    names = [f"{stem}{f'_{number}' if number > 1 else ''}.hl7" for number in range(1, len(tried) + 1)]
    text = test_text((name, one.result, one.charset) for name, one in zip(names, tried, strict=True))
    files = [
        DraftedFile(beside.with_name(name).as_posix(), one.message) for name, one in zip(names, tried, strict=True)
    ]
    return [*files, DraftedFile(test.as_posix(), text.encode())]
