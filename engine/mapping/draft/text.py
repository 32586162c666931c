"""How are drafted files written, so that a person reads on where the draft ends?

A row that waits is the finished row behind `# `: who takes that off has said what becomes of the field.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap

from engine.errors import HutongError
from engine.mapping.draft.common import Common
from engine.mapping.draft.content import ID_CARD, SAID
from engine.mapping.draft.describing import Described
from engine.mapping.draft.fitting import Evidence
from engine.mapping.draft.moving import UNSENT, Moved
from engine.mapping.draft.owners import numbers, waiting
from engine.mapping.draft.settling import WayOut
from engine.mapping.draft.shifting import Shift
from engine.mapping.draft.survey import Survey
from engine.mapping.mapped import Mapped
from engine.mapping.testing import ANY

_HOW = (
    "# Rows behind `# -` wait for you. Say in `to` which element of FHIR takes the field (mappings/README.md), or",
    "# leave the extension; then take the `# ` off. Or name the field under not_mapped, with the reason.",
)
_SHOWN = 3
_WIDTH = 116
_NUMBER_OF_A_SEGMENT = "number of the segment"


def mapping_text(each: Survey) -> str:
    """A `mapping.yaml`."""
    shape, profile = each.shape, each.profile
    assert shape is not None
    (message_type,) = each.message_types
    lines = [
        f"# {message_type}, drafted by `hutong map draft` from {profile.messages} messages. Groups are guessed.",
        *_HOW,
        *_shifted(each.shifts),
        f"name: {each.name}",
        "version: 1",
        f"messages: [{message_type}]",
        "groups:",
    ]
    for group in shape.groups:
        inside = f"in: {group.inside}, " if group.inside else ""
        holds = f", holds: [{', '.join(group.holds)}]" if group.holds else ""
        lines.append(f"  {group.name}: {{{inside}starts: [{', '.join(group.starts)}]{holds}}}")
    lines.append("resources:" if shape.resources else "resources: []")
    unread: dict[str, list[Described]] = {}
    for owner, column in waiting(each):
        unread.setdefault(owner, []).append(column)
    for resource in shape.resources:
        within = f", within: {resource.within}" if resource.within else ""
        more = f", {resource.more}" if resource.more else ""
        head = f"resource: {resource.resource}, for: {resource.group}, part: {resource.part}{within}{more}"
        own = unread.pop(resource.resource, [])
        if not own:
            lines.append(f"  - {{{head}}}")
            continue
        lines += [f"  - {word}" if not number else f"    {word}" for number, word in enumerate(head.split(", ", 3))]
        lines += ["    rules:", *(f"      {line}" for column in own for line in _row(column, ""))]
    lines += [f"  {line}" for own in unread.values() for column in own for line in _row(column, "")]
    lines += ["not_mapped:", "  MSH: kept on the envelope"]
    if "EVN" in profile.segments:
        lines.append("  EVN: kept on the envelope")
    lines += [f"  {field}: {_NUMBER_OF_A_SEGMENT}" for field in numbers(each.columns)]
    return "\n".join(lines) + "\n"


def common_text(common: Common, facility: str) -> str:
    """A facility's file for what several mappings have in common."""
    lines = [
        "# What this facility sends beyond several mappings at once, drafted by `hutong map draft`.",
        *_HOW,
        *(_shifted(common.shifts, common.moved) if common.moved else ()),
        "version: 1",
        f"mappings: [{', '.join(common.mappings)}]",
        *_changes(common.moved, common.unread, facility),
    ]
    return "\n".join(lines) + "\n"


def overlay_text(each: Survey, common: Sequence[Common], facility: str, ways: Sequence[WayOut] = ()) -> str:
    """A facility's file: its own segments, rows that are shifted, those that would settle findings, what none reads.

    Empty where there is nothing to say of this mapping alone.
    """
    shared = [one for one in common if each.name in one.mappings]
    fields = {(resource, column.field) for one in shared for resource, column in one.unread}
    moved = [row for row in each.moved if all(row not in one.moved for one in shared)]
    unread = [(resource, column) for resource, column in waiting(each) if (resource, column.field) not in fields]
    counting = numbers(each.columns)
    if not (each.held or moved or unread or counting or ways):
        return ""
    lines = [
        f"# What this facility sends beyond {each.name}, drafted by `hutong map draft` "
        f"from {each.profile.messages} messages.",
        *_HOW,
        *(_shifted(each.shifts, moved) if moved else ()),
        "version: 1",
        f"mappings: [{each.name}]",
    ]
    if each.held:
        lines.append("groups:")
        lines += [f"  {group}: {{holds: [{', '.join(segments)}]}}" for group, segments in each.held.items()]
    lines += _changes(moved, unread, facility, ways)
    if counting:
        lines += ["not_mapped:", *(f"  {field}: {_NUMBER_OF_A_SEGMENT}" for field in counting)]
    return "\n".join(lines) + "\n"


def _changes(
    moved: Iterable[Moved], unread: Iterable[tuple[str, Described]], facility: str, ways: Iterable[WayOut] = ()
) -> Iterator[str]:
    by_resource: dict[str, list[str]] = {}
    for row in moved:
        by_resource.setdefault(row.resource, []).append(f"- {row.row}")
    for way in ways:
        why = [f"# {line}" for line in wrap(way.why, _WIDTH, break_long_words=False, break_on_hyphens=False)]
        by_resource.setdefault(way.resource, []).extend([*why, f"# - {way.row}"])
    for resource, column in unread:
        by_resource.setdefault(resource, []).extend(_row(column, facility))
    if by_resource:
        yield "changes:"
    for resource, lines in by_resource.items():
        yield f"  {resource}:"
        yield from (f"    {line}" for line in lines)


def _row(column: Described, facility: str) -> Iterator[str]:
    """A row that waits, and what its field holds."""
    title = f" {column.title}" if column.title else ""
    table = f"; perhaps table {column.table}" if column.table else ""
    name = column.field.lower()
    reads = "time_extension" if column.holds.startswith("time ") else "text_extension"
    url = ":".join(("urn", facility or "hutong", name))
    yield f"# {column.field}{title}: filled in {column.filled}, length {column.length}; {column.holds}{table}"
    yield f'# - {{rule: {name}, from: {column.field}, to: extension+, with: {reads}, as: "{url}"}}'


def _shifted(shifts: Iterable[Shift], moved: Sequence[Moved] = ()) -> Iterator[str]:
    for shift in shifts:
        said = [f"{told(shift)}:", "the rows below read it so, those of fields that no sample fills among them."]
        said += [_beyond(shift)] if _beyond(shift) else []
        said += [_before(shift)] if shift.silent else []
        for each in said:
            yield from (f"# {line}" for line in wrap(each, _WIDTH))
    out = list(dict.fromkeys(row.id for row in moved if row.rule is None))
    said = ["Compare them with the sender's specification; take out what is wrong."] if shifts else []
    said += [f"Taken out, for what they read is not sent or would be something else: {', '.join(out)}."] if out else []
    if any(name.number == UNSENT for row in moved if row.rule is not None for name in row.rule.fields):
        said.append(f"Field {UNSENT} stands for one that is not sent, in rows that read several.")
    for each in said:
        yield from (f"# {line}" for line in wrap(each, _WIDTH))


def _beyond(shift: Shift) -> str:
    """What is taken for granted of the fields behind."""
    name = shift.segment
    if shift.to_the_end:
        return f"What stands behind {name}-{shift.last} is moved with it, to the end of the segment."
    if shift.resumed > shift.last + 1:
        return (
            f"From {name}-{shift.resumed} on it stands as in the standard. In which place the fields between them "
            "stand nobody can say: the rows that read those are taken out."
        )
    return f"From {name}-{shift.resumed} on it stands as in the standard."


def _before(shift: Shift) -> str:
    first, last = (f"{shift.segment}-{number}" for number in (shift.silent[0], shift.silent[-1]))
    named = f"{first} to {last} are" if first != last else f"{first} is"
    return f"{named} read as the standard has them, but no sample fills anything there: the shift may begin before."


def told(shift: Shift) -> str:
    """What looks shifted, in a line, with what its fields hold."""
    last = f" to {shift.segment}-{shift.last}" if shift.last != shift.first else ""
    count = "one field" if abs(shift.by) == 1 else f"{abs(shift.by)} fields"
    where = "earlier" if shift.by > 0 else "later"
    look = "look" if last else "looks"
    seen = [_seen(shift, each) for each in shift.evidence[:_SHOWN]]
    seen += [f"and {len(shift.evidence) - _SHOWN} more such fields"] if len(shift.evidence) > _SHOWN else []
    return f"{shift.segment}-{shift.first}{last} {look} {count} {where} than in the standard: {'; '.join(seen)}"


def _seen(shift: Shift, evidence: Evidence) -> str:
    checked = f", the check digit right in {evidence.checked}" if evidence.kind == ID_CARD else ""
    counted = f"({evidence.count} of {evidence.filled}{checked})"
    holds = f"{shift.segment}-{evidence.number} holds {SAID[evidence.kind]} {counted}"
    belongs = f"{shift.segment}-{evidence.number + shift.by} {evidence.title}".rstrip()
    return f"{holds}, which belong into {belongs}"


def told_of_rows(moved: Iterable[Moved]) -> str:
    """Which rows a draft changes for what is shifted, in a line."""
    rows = list(dict.fromkeys(moved))
    read = [f"{each.id} ({', '.join(map(str, each.rule.sources))})" for each in rows if each.rule is not None]
    out = [each.id for each in rows if each.rule is None]
    said = [f"rows moved: {', '.join(read)}"] if read else []
    said += [f"taken out, for they would read something else: {', '.join(out)}"] if out else []
    return "; ".join(said)


def test_text(tests: Iterable[tuple[str, Mapped | HutongError, str]]) -> str:
    """A `mapping_test.yaml` that says what becomes of each message as the draft stands; with the charset it needs."""
    lines = [
        "# Drafted: it counts what becomes of each message. Add the facts that matter, and messages with what is rare.",
        "tests:",
    ]
    for message, result, charset in tests:
        lines += ["  - name: A drafted message becomes as many resources as the draft makes of it"]
        lines += [f"    message: {message}"]
        lines += [f"    charset: {charset}"] if charset else []
        lines += _expected(result)
    return "\n".join(lines) + "\n"


def _expected(result: Mapped | HutongError) -> Iterator[str]:
    if isinstance(result, HutongError):
        yield f"    error: {result.code} {result.rule} {result.location}"
        return
    counts = Counter(resource["resourceType"] for resource in result.resources)
    yield "    expect:"
    yield from (f"      {kind}: {count}" for kind, count in sorted(counts.items()))
    if result.findings:
        yield f"    findings: {ANY}  # what is still to be settled is no part of the test"
