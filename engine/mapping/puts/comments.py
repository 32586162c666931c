"""NTE: comments with who wrote them and when, where an extension carries them."""

from __future__ import annotations

from typing import Any

from engine.mapping.functions.comments import CODES, KIND
from engine.mapping.lens.back import Back, Field
from engine.mapping.puts.codes import Written
from engine.mapping.puts.people import person_parts
from engine.mapping.puts.times import written_time
from engine.mapping.registry import Options, Put, puts


@puts("notes_extension")
def write_note_extension(options: Options) -> Put:
    """One comment: its text, its kind, who wrote it, when, and its code."""
    written = Written(options, None)

    def put(value: Any, back: Back) -> dict[int, Field] | None:
        note = value.get("valueAnnotation", {})
        if value.get("url") != options.argument or not note.get("text"):
            return None
        said = {each.get("url"): each.get("valueCodeableConcept", {}) for each in note.get("extension", ())}
        author = person_parts(note["authorReference"], back) if "authorReference" in note else None
        return {
            0: note["text"],
            1: written.of(said.get(KIND, {})) or "",
            2: author or "",
            3: written_time(note.get("time")),
            4: written.of(said.get(CODES, {})) or "",
        }

    return put
