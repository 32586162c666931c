"""Texts as ST, TX, FT and ID."""

from __future__ import annotations

from typing import Any

from engine.mapping.lens.back import Back, Field
from engine.mapping.puts.people import person_parts
from engine.mapping.puts.times import written_time
from engine.mapping.registry import Options, Put, puts

_NOTE = "http://hl7.org/fhir/5.0/StructureDefinition/extension-DiagnosticReport.note"


def text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


@puts("text", "lines")
def write_text(options: Options) -> Put:
    return lambda value, back: text_or_none(value)


@puts("annotation")
def write_annotation(options: Options) -> Put:
    return lambda value, back: text_or_none(value.get("text"))


@puts("reason_text")
def write_reason_text(options: Options) -> Put:
    return lambda value, back: None if value.get("coding") else text_or_none(value.get("text"))


@puts("report_note")
def write_report_note(options: Options) -> Put:
    def put(value: Any, back: Back) -> Field | None:
        return text_or_none(value.get("valueAnnotation", {}).get("text")) if value.get("url") == _NOTE else None

    return put


@puts("yes_no")
def write_yes_no(options: Options) -> Put:
    return lambda value, back: {True: "Y", False: "N"}.get(value)


@puts("remarks")
def write_remark(options: Options) -> Put:
    """One comment: its text, who wrote it and when."""

    def put(note: Any, back: Back) -> dict[int, Field] | None:
        if not note.get("text"):
            return None
        author = person_parts(note.get("authorReference", {}), back) if "authorReference" in note else None
        return {0: note["text"], 1: author or "", 2: written_time(note.get("time"))}

    return put
