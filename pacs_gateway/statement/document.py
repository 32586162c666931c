"""How is a document of headings, paragraphs and tables written? As Markdown, or as HTML that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

_STYLE = (
    "body{font-family:sans-serif;max-width:72em;margin:2em auto;padding:0 1em;line-height:1.5}"
    "table{border-collapse:collapse;margin:1em 0}th,td{border:1px solid #999;padding:.2em .6em;text-align:left}"
    "th{background:#eee}code{font-size:.9em}"
)


@dataclass(frozen=True, slots=True)
class Heading:
    """`level` 1 is the title."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows have as many cells as there are headings."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Block = Heading | Paragraph | Table


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    return Table(tuple(headings), tuple(tuple(row) for row in rows))


def markdown(blocks: Sequence[Block]) -> str:
    return "\n\n".join(_as_markdown(block) for block in blocks) + "\n"


def html(blocks: Sequence[Block]) -> str:
    title = next(block.text for block in blocks if isinstance(block, Heading))
    body = "\n".join(_as_html(block) for block in blocks)
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _as_markdown(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {_one_line(text)}"
        case Paragraph(text):
            return _one_line(text)
        case Table(headings, rows):
            lines = [headings, tuple("---" for _ in headings), *rows]
            return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _as_html(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"<h{level}>{escape(text)}</h{level}>"
        case Paragraph(text):
            return f"<p>{escape(text)}</p>"
        case Table(headings, rows):
            head = "".join(f"<th>{escape(one)}</th>" for one in headings)
            body = "".join(f"<tr>{''.join(f'<td>{escape(one)}</td>' for one in row)}</tr>\n" for row in rows)
            return f"<table>\n<tr>{head}</tr>\n{body}</table>"


def _cell(text: str) -> str:
    return _one_line(text).replace("\\", "\\\\").replace("|", "\\|")


def _one_line(text: str) -> str:
    """What a configuration names may hold anything; it is shown and is no markup."""
    return " ".join(text.split()).replace("<", "&lt;")
