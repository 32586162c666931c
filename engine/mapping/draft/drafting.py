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

from engine.codecs import er7
from engine.errors import HutongError
from engine.mapping.draft.common import in_common
from engine.mapping.draft.items import listed_codes, open_codes, table_text
from engine.mapping.draft.moving import Moved
from engine.mapping.draft.profile import Profile, together
from engine.mapping.draft.shifting import agreed, shifts
from engine.mapping.draft.survey import Survey, structure_of, survey, without
from engine.mapping.draft.synthetic import synthetic
from engine.mapping.draft.text import common_text, mapping_text, overlay_text, test_text
from engine.mapping.loader import MAPPING_FILE, TEST_FILE, TESTS_OF_FACILITY, load
from engine.mapping.mapped import Context, Mapped
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
    """What is drafted of all samples together.

    open_codes  by table, the codes that a person has to explain
    """

    surveys: tuple[Survey, ...]
    open_codes: Mapping[str, Sequence[str]]
    files: tuple[DraftedFile, ...]


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a draft is made: the mappings of the distribution, those of the configuration, and for which facility."""

    shipped: Path
    own: Path | None
    facilities: Sequence[str]
    facility: str
    keep_values: bool = False


def draft(profiles: Mapping[str, Profile], ground: Ground) -> Draft:
    """For each type that no mapping takes a mapping; for the others what the facility sends beyond theirs.

    What several of them have in common stands in one file. Raises InvalidConfiguration when the mappings that are
    there already cannot be loaded.
    """
    mappings = MappingSet(load(ground.shipped, ground.facilities, ground.own))
    surveys = list(_surveys(profiles, mappings, ground))
    tables = mappings.tables(ground.facility)
    samples = {each.name: _sample(each, tables, ground) for each in surveys}
    files = _rows(surveys, ground)
    tried = _tried(surveys, samples, files, ground)
    slept = [without(each, _asleep(each, surveys, tried)) for each in surveys]
    if slept != surveys:  # a row that no test exercises fails the check: it waits for a message that does
        surveys = slept
        files = _rows(surveys, ground)
        tried = _tried(surveys, samples, files, ground)
    codes = open_codes(surveys, tables)
    place = f"facilities/{ground.facility}/tables" if ground.facility else "tables"
    files += [DraftedFile(f"{place}/{table}.csv", table_text(those).encode()) for table, those in codes.items()]
    for each in surveys:
        files += _test(each, samples[each.name], tried[each.name], ground)
    listed = {table: [each.code for each in those] for table, those in codes.items()}
    return Draft(tuple(surveys), listed, tuple(files))


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


def _rows(surveys: Sequence[Survey], ground: Ground) -> list[DraftedFile]:
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
        elif text := overlay_text(each, common, ground.facility):
            files.append(DraftedFile(_file(each, ground), text.encode()))
    return files


def _file(each: Survey, ground: Ground) -> str:
    if each.definition is None:
        return f"hl7v2/{each.name}/{MAPPING_FILE}"
    return f"facilities/{ground.facility}/{each.name.lower()}_draft.yaml"


def _sample(each: Survey, tables: Tables, ground: Ground) -> bytes:
    if ground.keep_values and each.profile.first is not None:
        return each.profile.first.payload
    return synthetic(each, listed_codes(each, tables))


def _tried(
    surveys: Iterable[Survey], samples: Mapping[str, bytes], files: Iterable[DraftedFile], ground: Ground
) -> dict[str, Mapped | HutongError]:
    """What becomes of each sample as the draft stands, beside the files that are there already."""
    with TemporaryDirectory(prefix="hutong-draft-") as folder:
        tried = Path(folder) / "mappings"
        if ground.own is not None:
            copytree(ground.own, tried)
        for each in files:
            place = tried / each.file
            if not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(each.content)
        mappings = MappingSet(load(ground.shipped, ground.facilities, tried if tried.is_dir() else None))
    return {each.name: _applied(each, samples[each.name], mappings, ground) for each in surveys}


def _applied(each: Survey, sample: bytes, mappings: MappingSet, ground: Ground) -> Mapped | HutongError:
    facility = ground.facility if each.definition is not None else _EXAMPLE
    mapping = mappings.find(each.message_types[0], facility)
    assert mapping is not None
    try:
        context = Context(facility, facility, "test", datetime(2026, 4, 1, tzinfo=UTC))
        return mapping.apply(er7.parse(sample), context, with_sources=True)
    except HutongError as error:
        return error


def _asleep(each: Survey, surveys: Iterable[Survey], tried: Mapping[str, Mapped | HutongError]) -> list[Moved]:
    """Rows that the sample of no mapping with the same row makes give anything."""
    awake: Counter[tuple[str, str]] = Counter()
    for other in surveys:
        result = tried[other.name]
        if isinstance(result, Mapped):
            ran = {rule.id for rule in result.ran}
            awake.update((row.resource, row.row) for row in other.moved if row.rule is not None and row.id in ran)
    return [row for row in each.moved if row.rule is not None and (row.resource, row.row) not in awake]


def _test(each: Survey, message: bytes, result: Mapped | HutongError, ground: Ground) -> list[DraftedFile]:
    """The sample, and the test that says what becomes of it as the draft stands."""
    beside = Path(_file(each, ground))
    whole = each.definition is None
    test = beside.with_name(TEST_FILE) if whole else beside.with_name(f"{beside.stem}{TESTS_OF_FACILITY}")
    sample = beside.with_name("drafted.hl7" if whole else f"{each.name.lower()}_drafted.hl7")
    charset = er7.parse(message).charset if ground.keep_values else ""
    text = test_text(sample.name, result, charset)
    return [DraftedFile(sample.as_posix(), message), DraftedFile(test.as_posix(), text.encode())]
