"""How are drafted files written, so that a person reads on where the draft ends?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from engine.errors import HutongError
from engine.mapping.definition import Definition, Group
from engine.mapping.draft.describing import UNKNOWN, Described
from engine.mapping.draft.profile import Profile
from engine.mapping.draft.shape import Shape
from engine.mapping.mapped import Mapped

Unlisted = Sequence[tuple[str, Sequence[tuple[str, int]]]]
_ANYWHERE = "{rule: …, from: …, to: extension+, with: text_extension, as: 'urn:…'} (see mappings/README.md, Functions)"


def mapping_text(
    name: str, message_type: str, shape: Shape, columns: Sequence[Described], unlisted: Unlisted, profile: Profile
) -> str:
    """A `mapping.yaml`."""
    lines = [
        f"# {message_type}, drafted by `hutong map draft` from {profile.messages} messages. Groups are guessed.",
        "# Finish the rows marked `# ?` (mappings/README.md says how), or name their fields under not_mapped.",
        f"name: {name}",
        "version: 1",
        f"messages: [{message_type}]",
        "groups:",
    ]
    for group in shape.groups:
        inside = f"in: {group.inside}, " if group.inside else ""
        holds = f", holds: [{', '.join(group.holds)}]" if group.holds else ""
        lines.append(f"  {group.name}: {{{inside}starts: [{', '.join(group.starts)}]{holds}}}")
    lines.append("resources:" if shape.resources else "resources: []")
    for resource in shape.resources:
        within = f", within: {resource.within}" if resource.within else ""
        more = f", {resource.more}" if resource.more else ""
        lines.append(
            f"  - {{resource: {resource.resource}, for: {resource.group}, part: {resource.part}{within}{more}}}"
        )
    lines += ["not_mapped:", "  MSH: kept on the envelope"]
    if "EVN" in profile.segments:
        lines.append("  EVN: kept on the envelope")
    groups = {each.name: Group(each.name, each.inside or None, each.starts, tuple(each.holds)) for each in shape.groups}
    owners = _owners(groups, {}, [(each.group, each.resource) for each in shape.resources])
    lines += [*_rows(columns, owners, "# Below `rules:` of the resource above:"), *_codes(unlisted)]
    return "\n".join(lines) + "\n"


def overlay_text(
    definition: Definition,
    held: Mapping[str, Sequence[str]],
    columns: Sequence[Described],
    unlisted: Unlisted,
    profile: Profile,
) -> str:
    """A facility's file: the segments it has of its own, the fields that no row reads, the codes no table lists."""
    lines = [
        f"# What this facility sends beyond {definition.name}, drafted by `hutong map draft` "
        f"from {profile.messages} messages.",
        "# Finish the rows marked `# ?`, or name their fields under not_mapped (mappings/README.md).",
        "version: 1",
        f"mappings: [{definition.name}]",
    ]
    if held:
        lines.append("groups:")
        lines += [f"  {group}: {{holds: [{', '.join(segments)}]}}" for group, segments in held.items()]
    made = [(entry.group, entry.resource) for entry in definition.resources if not entry.says_more]
    needed = {each.needs[0]: each.resource for each in reversed(definition.resources) if len(each.needs) == 1}
    owners = {**_owners(definition.groups, held, made), **needed}
    lines += [*_rows(columns, owners, "# changes:"), *_codes(unlisted)]
    return "\n".join(lines) + "\n"


def _owners(
    groups: Mapping[str, Group], held: Mapping[str, Sequence[str]], made: Iterable[tuple[str, str]]
) -> dict[str, str]:
    """The resource that most likely takes the fields of a segment: the first one its group makes."""
    resources: dict[str, str] = {}
    for name, resource in made:
        resources.setdefault(name, resource)
    owners: dict[str, str] = {}
    for name, group in groups.items():
        for segment in (*group.segments, *held.get(name, ())):
            if name in resources:
                owners.setdefault(segment, resources[name])
    return owners


def _rows(columns: Iterable[Described], owners: Mapping[str, str], heading: str) -> Iterator[str]:
    """Rows for a person to finish, below the resource that may take them."""
    unknown = [column for column in columns if column.known == UNKNOWN]
    if not unknown:
        return
    yield ""
    yield "# Fields that no row reads yet, and what they hold. Say where each goes, and take its mark off."
    yield f"# What FHIR has no element for: {_ANYWHERE}"
    yield heading
    by_resource: dict[str, list[Described]] = {}
    for column in unknown:
        by_resource.setdefault(owners.get(column.field.partition("-")[0], "Patient"), []).append(column)
    for resource, those in by_resource.items():
        yield f"#   {resource}:"
        for column in those:
            title = f"{column.title}: " if column.title else ""
            table = f"; perhaps table {column.table}" if column.table else ""
            rule = column.field.lower()
            yield f"# ?   - {{rule: {rule}, from: {column.field}, to: ?{_reading(column)}}}"
            yield f"#       {title}filled in {column.filled}, length {column.length}; {column.holds}{table}"


def _reading(column: Described) -> str:
    if column.table:
        return f", table: {column.table.partition(' ')[0]}"
    return ", with: date_time" if column.holds.startswith("time ") else ""


def _codes(unlisted: Unlisted) -> Iterator[str]:
    for table, values in unlisted:
        yield ""
        yield f"# Codes that table {table} does not list. Say what they mean in a file {table}.csv of your tables:"
        yield "#   from,code"
        for value, count in values:
            yield f"#   {value},?        (met {count} times)"


def test_text(message: str, mapped: Mapped | None, error: HutongError | None, charset: str) -> str:
    """A `mapping_test.yaml` of one test that says what becomes of the message as the draft stands."""
    lines = [
        "# Drafted: it counts what becomes of the message. Add the facts that matter, and messages with what is rare.",
        "tests:",
        "  - name: A drafted message becomes as many resources as the draft makes of it",
        f"    message: {message}",
    ]
    if charset:
        lines.append(f"    charset: {charset}")
    if error is not None:
        lines.append(f"    error: {error.code} {error.rule} {error.location}")
    if mapped is not None:
        counts = Counter(resource["resourceType"] for resource in mapped.resources)
        lines.append("    expect:")
        lines += [f"      {kind}: {count}" for kind, count in sorted(counts.items())]
        if mapped.findings:
            lines.append("    findings:")
            lines += [
                f"      - {text}" for text in sorted({f"{each.code} {each.location}" for each in mapped.findings})
            ]
    return "\n".join(lines) + "\n"
