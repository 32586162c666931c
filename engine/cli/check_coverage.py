"""How is the coverage of HL7's v2-to-FHIR map told? As a table on the screen, as JSON, as a document in Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from engine.mapping.coverage import Covered, SegmentCoverage, State

_WORDS = {State.MAPPED: "mapped", State.ELSEWHERE: "elsewhere", State.MISSING: "not"}


def show(segments: Sequence[SegmentCoverage], console: Console) -> None:
    """The counts of each segment, then every row that is not fulfilled, with why."""
    table = Table(
        "segment", "rows", "mapped", "elsewhere", "not", "percent", box=None, pad_edge=False, header_style="dim"
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for segment in segments:
        table.add_row(*_counts(segment))
    console.print(table)
    missing = Table("row", "field", "element", "why not", box=None, pad_edge=False, header_style="dim")
    for column in missing.columns[2:]:
        column.overflow = "fold"
    for segment in segments:
        for each in segment.rows:
            if each.state is State.MISSING:
                row = each.row
                missing.add_row(*(escape(text) for text in (row.id, row.field, _element(each), each.says)))
    if missing.row_count:
        console.print()
        console.print(missing)


def as_json(segments: Sequence[SegmentCoverage]) -> str:
    return json.dumps([_segment(segment) for segment in segments], ensure_ascii=False, indent=1)


def _segment(segment: SegmentCoverage) -> dict[str, object]:
    return {
        "segment": segment.segment,
        "rows": len(segment.rows),
        **{_WORDS[state]: segment.count(state) for state in State},
        "percent": segment.percent if segment.rows else None,
        "each": [
            {
                "row": each.row.id,
                "field": each.row.field,
                "element": each.row.attribute,
                "constant": each.row.constant,
                "condition": each.row.condition,
                "state": each.state.value,
                "says": each.says,
            }
            for each in segment.rows
        ],
    }


def as_markdown(segments: Sequence[SegmentCoverage]) -> str:
    """The document `docs/hl7v2-coverage.md`."""
    return "\n".join([*_INTRODUCTION, *_document(segments), ""])


_INTRODUCTION = (
    "# HL7 v2 coverage",
    "",
    "<!-- `hutong check docker/example --coverage --markdown > docs/hl7v2-coverage.md`; a test compares. -->",
    "",
    "What the installed mappings fulfil of HL7's own [v2-to-FHIR map](https://github.com/HL7/v2-to-fhir) (Apache-2.0),",
    "row by row, for the segments that the systems of a county send. IPC and ZDS, of which HL7 has no map, have rows",
    "of our own (`mappings/requirements/`). None of it is kept by hand: a row counts when a rule reads its field",
    "and writes its element, and when that element is gone, or another, as soon as the field is taken out of the",
    "messages of the mapping tests. *Elsewhere* means that the same fact stands in another element, which is tried in",
    "the same way, or on the envelope.",
    "",
)


def _document(segments: Sequence[SegmentCoverage]) -> Iterator[str]:
    yield "| segment | rows | mapped | elsewhere | not | percent |"
    yield "|---|---:|---:|---:|---:|---:|"
    for segment in segments:
        yield f"| {' | '.join(_counts(segment))} |"
    yield from _listed("Not fulfilled", "why not", segments, State.MISSING)
    yield from _listed("Elsewhere", "where, and why there", segments, State.ELSEWHERE)


def _listed(title: str, says: str, segments: Sequence[SegmentCoverage], state: State) -> Iterator[str]:
    rows = [each for segment in segments for each in segment.rows if each.state is state]
    if rows:
        yield from ("", f"## {title}", "", f"| row | field | element | {says} |", "|---|---|---|---|")
    for each in rows:
        element = _element(each).replace("|", "\\|")
        yield f"| {each.row.id} | {each.row.field} | `{element}` | {each.says} |"


def _counts(segment: SegmentCoverage) -> list[str]:
    counts = [segment.count(state) for state in State]
    return [segment.segment, str(len(segment.rows)), *map(str, counts), f"{segment.percent} %" if segment.rows else "—"]


def _element(covered: Covered) -> str:
    row = covered.row
    return f"{row.attribute} = {row.constant}" if row.constant else row.attribute
