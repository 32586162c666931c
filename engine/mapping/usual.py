"""How does a message with unusual separators reach the rules? Rewritten, so that every function knows one set only."""

from __future__ import annotations

from engine.codecs.er7 import Segment
from engine.codecs.er7_header import USUAL


def with_usual_separators(segment: Segment) -> list[str]:
    """The raw fields of a segment as they would stand under `|^~\\&`; data that would split there is escaped."""
    theirs = segment.separators
    table: dict[int, str] = {}
    for ours, letter in (
        (USUAL.field, "F"),
        (USUAL.component, "S"),
        (USUAL.repetition, "R"),
        (USUAL.subcomponent, "T"),
        (USUAL.escape, "E"),
    ):
        table[ord(ours)] = f"\\{letter}\\"
    for character, ours in (
        (theirs.component, USUAL.component),
        (theirs.repetition, USUAL.repetition),
        (theirs.subcomponent, USUAL.subcomponent),
        (theirs.escape, USUAL.escape),
    ):
        if character:
            table[ord(character)] = ours
    kept = 3 if segment.name == "MSH" else 1
    return segment.fields[:kept] + [field.translate(table) for field in segment.fields[kept:]]
