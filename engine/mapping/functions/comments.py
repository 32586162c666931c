"""NTE: comments with who wrote them and when (Annotation), where R4 has no element and R5's extension carries them."""

from __future__ import annotations

from typing import Any

from engine.mapping.functions.codes import concept
from engine.mapping.functions.people import People
from engine.mapping.functions.texts import joined_lines
from engine.mapping.functions.times import read_moment
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope

KIND = "http://hl7.org/fhir/StructureDefinition/annotationType"
CODES = "http://hl7.org/fhir/StructureDefinition/alternate-codes"


class Annotations:
    """Reads the fields of an NTE for one facility."""

    def __init__(self, options: Options) -> None:
        self._people, self._concept = People(options), concept(Options(options.facility, options.tables))

    def read(self, text: str, kind: str, author: str, at: str, coded: str, scope: Scope) -> dict[str, Any] | None:
        """An Annotation: text (NTE-3), type (4), author (5), time (6), coded comment (9); None without any text."""
        code = self._concept(coded.split("~")[0], scope) if coded else None
        comment = joined_lines(text, scope) or _words(code)
        if not comment:
            return None
        note: dict[str, Any] = {}
        sort = self._concept(kind, scope) if kind else None
        said = [(KIND, sort), (CODES, code)]
        if extensions := [{"url": url, "valueCodeableConcept": value} for url, value in said if value is not None]:
            note["extension"] = extensions
        if author and (person := self._people.read(author, scope)):
            note["authorReference"] = person
        if at and (time := read_moment(scope.first(at), scope).date_time):
            note["time"] = time
        return {**note, "text": comment}


def _words(code: dict[str, Any] | None) -> str:
    if code is None:
        return ""
    first = code.get("coding", [{}])[0]
    return str(code.get("text") or first.get("display") or first.get("code") or "")


@function(3, repeats=True, gathers=True)
def remarks(options: Options) -> Apply:
    """Comments (Annotation), one for each NTE: text (NTE-3), who wrote it (NTE-5) and when (NTE-6)."""
    annotations = Annotations(options)

    def apply(texts: list[str], authors: list[str], times: list[str], scope: Scope) -> list[dict[str, Any]] | None:
        rows = zip(texts, authors, times, strict=True)
        read = (annotations.read(text, "", author.split("~", 1)[0], at, "", scope) for text, author, at in rows)
        return [note for note in read if note is not None] or None

    return apply


@function(5, repeats=True, gathers=True)
def notes_extension(options: Options) -> Apply:
    """The comments of a group in an extension each; `as` is its URL. Fields: NTE-3, NTE-4, NTE-5, NTE-6, NTE-9."""
    annotations, url = Annotations(options), options.argument
    if not url:
        raise TypeError("the row names no URL of the extension ('as')")

    def apply(
        texts: list[str], kinds: list[str], authors: list[str], times: list[str], codes: list[str], scope: Scope
    ) -> list[dict[str, Any]]:
        rows = zip(texts, kinds, authors, times, codes, strict=True)
        read = (annotations.read(text, kind, author, at, code, scope) for text, kind, author, at, code in rows)
        return [{"url": url, "valueAnnotation": note} for note in read if note is not None]

    return apply
