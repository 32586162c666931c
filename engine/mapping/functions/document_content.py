"""OBX and NTE of a document: its text, the data embedded in it, or where it is to be found."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Any

from engine.finding import Severity
from engine.mapping.functions.codes import looked_up
from engine.mapping.functions.embedded import UNKNOWN_TYPE, EmbeddedUnreadable, embedded, pointer
from engine.mapping.functions.texts import joined_lines
from engine.mapping.functions.times import read_moment
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope

_TEXTS = frozenset({"TX", "FT", "ST", ""})
_PLAIN = "text/plain"
Attachment = dict[str, Any]


@function(6, repeats=True, gathers=True)
def document_content(options: Options) -> Apply:
    """The content of a document (OBX-5, OBX-2, OBX-3, TXA-3, TXA-6, TXA-12): texts in a row are one text.

    Where there is no content yet, an attachment says of which document it will be, of what type and since when.
    """
    presentation = options.tables["document_presentation"]

    def apply(
        values: list[str],
        kinds: list[str],
        codes: list[str],
        types: list[str],
        made: list[str],
        numbers: list[str],
        scope: Scope,
    ) -> list[dict[str, Any]]:
        stated = scope.first(types[0])
        row = looked_up(presentation, stated, scope) if stated else None
        default = row["code"] if row is not None else stated if "/" in stated else ""
        found = list(_attachments(values, kinds, codes, default, scope))
        if not found:
            found.append({"title": scope.first(numbers[0]), **({"contentType": default} if default else {})})
            noted = len(scope.doubts)
            at = read_moment(scope.first(made[0]), scope)
            del scope.doubts[noted:]  # the row of the date says them
            if at.date_time:
                found[0]["creation"] = at.date_time
        return [{"attachment": each} for each in found]

    return apply


def _attachments(
    values: list[str], kinds: list[str], codes: list[str], default: str, scope: Scope
) -> Iterator[Attachment]:
    lines: list[str] = []
    title = ""
    for number, (value, kind, code) in enumerate(zip(values, kinds, codes, strict=True), 1):
        about = _words(code, scope)
        if kind.upper() in _TEXTS:
            if lines and about != title:
                yield _text(lines, title)
                lines = []
            title = about
            lines.append(joined_lines(value, scope))
            continue
        if lines:
            yield _text(lines, title)
            lines = []
        for each in value.split("~"):
            if each:
                yield from _other(each, kind.upper(), about, default, number, scope)
    if any(lines):
        yield _text(lines, title)


def _other(raw: str, kind: str, title: str, default: str, number: int, scope: Scope) -> Iterator[Attachment]:
    if kind == "ED":
        try:
            found = embedded(raw, scope)
        except EmbeddedUnreadable:
            return
        if found is None:
            return
        if found["contentType"] == UNKNOWN_TYPE and default:
            found["contentType"] = default
    elif kind == "RP":
        address, media = pointer(raw, scope)
        if ":" not in address:
            scope.doubt("pointer-relative", f"OBX {number} of the document points to no address; it is left out", 1)
            return
        found = {"contentType": media, "url": address}
    else:
        text = f"OBX {number} of the document holds neither text, data nor a pointer; it is left out"
        scope.doubt("document-value-skipped", text, 0, Severity.WARNING)
        return
    yield {**found, "title": title} if title else found


def _text(lines: list[str], title: str) -> Attachment:
    data = b64encode("\n".join(lines).strip("\n").encode()).decode("ascii")
    found = {"contentType": _PLAIN, "data": data}
    return {**found, "title": title} if title else found


def _words(code: str, scope: Scope) -> str:
    return words_of_code(scope.components(code))


def words_of_code(components: Sequence[str]) -> str:
    """What a code is shown as: its words, else itself."""
    code, words = [*components, "", ""][:2]
    return words or code


@function(2, repeats=True, gathers=True)
def comment_content(options: Options) -> Apply:
    """The comments on a document (NTE-3, NTE-9) as content of their own, each a line."""

    def apply(texts: list[str], codes: list[str], scope: Scope) -> list[dict[str, Any]]:
        said = [
            joined_lines(text, scope) or _words(code.split("~")[0], scope)
            for text, code in zip(texts, codes, strict=True)
        ]
        lines = [line for line in said if line]
        return [{"attachment": _text(lines, "")}] if lines else []

    return apply
