"""ST, TX, FT and ID: text as it stands."""

from __future__ import annotations

from typing import Any

from engine.finding import Severity
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope

_YES = frozenset({"Y", "YES", "TRUE", "T", "1", "是"})
_NO = frozenset({"N", "NO", "FALSE", "F", "0", "否"})


@function()
def text(options: Options) -> Apply:
    """The first component as text."""

    def apply(raw: str, scope: Scope) -> str | None:
        return scope.first(raw) or None

    return apply


@function(repeats=True)
def lines(options: Options) -> Apply:
    """A formatted text: every repetition is a line."""

    def apply(raw: str, scope: Scope) -> str | None:
        return joined_lines(raw, scope) or None

    return apply


def joined_lines(raw: str, scope: Scope) -> str:
    """Repetitions are lines. A `^` or `&` in a text is meant as it stands: free text has no components."""
    if "~" in raw:
        return "\n".join(scope.plain(line) for line in raw.split("~")).strip("\n")
    return scope.plain(raw)


@function(repeats=True)
def annotation(options: Options) -> Apply:
    """A comment (Annotation) with its text."""

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        comment = joined_lines(raw, scope)
        return {"text": comment} if comment else None

    return apply


@function(remember=True)
def yes_no(options: Options) -> Apply:
    """Y or N as true or false."""

    def apply(raw: str, scope: Scope) -> bool | None:
        word = scope.first(raw).upper()
        if word in _YES:
            return True
        if word in _NO:
            return False
        scope.doubt("code-unmapped", "expected Y or N", 1, Severity.INFORMATION)
        return None

    return apply


_NOTE = "http://hl7.org/fhir/5.0/StructureDefinition/extension-DiagnosticReport.note"


@function(repeats=True)
def report_note(options: Options) -> Apply:
    """A comment on a whole report; R4 has no place for it, so R5's extension carries it."""

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        comment = joined_lines(raw, scope)
        return {"url": _NOTE, "valueAnnotation": {"text": comment}} if comment else None

    return apply


@function(repeats=True)
def reason_text(options: Options) -> Apply:
    """A reason in words (CodeableConcept with text only)."""

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        reason = joined_lines(raw, scope)
        return {"text": reason} if reason else None

    return apply
