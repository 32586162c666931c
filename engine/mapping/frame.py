"""What do the rules of a resource see of a message? The fields of its segments, side by side, each at a place.

Where a segment is missing stands an empty one. Segments are made as long as any rule of the mapping reads, so that a
field can be read without asking whether the segment has it. Later segments of the same name (NTE after NTE) stand
beside the frame and reach only rules that add to a list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter

from engine.codecs.er7 import NULL
from engine.mapping.definition import FieldName

Fields = list[str]
Frame = Sequence[Fields]
More = dict[int, list[Fields]]
"""Further segments of the same name, by place."""

Position = tuple[int, int, int | None]
"""Place in the frame, number of the field, number of the component."""


def segments_at(numbers: Sequence[int]) -> Callable[[list[Fields]], Sequence[Fields]]:
    """Takes segments out of a message by their positions, of which there is one at least."""
    first, after = numbers[0], numbers[-1] + 1
    if list(numbers) == list(range(first, after)):  # of one position `itemgetter` would make no sequence
        return itemgetter(slice(first, after))
    return itemgetter(*numbers)


def positions(names: Sequence[FieldName], places: Mapping[str, int]) -> tuple[Position, ...]:
    return tuple((places[name.segment], name.number, name.component) for name in names)


def reader(wanted: tuple[Position, ...], *, whole: bool) -> Callable[[Frame], list[str]]:
    """Reads fields or components, empty where there is nothing or a null; of repetitions the first unless `whole`."""

    def read(frame: Frame) -> list[str]:
        return [cut(frame[place][number], component, whole) for place, number, component in wanted]

    return read


def cut(raw: str, component: int | None, whole: bool) -> str:
    if raw == NULL:
        return ""
    if not whole and "~" in raw:
        raw = raw[: raw.index("~")]
    return raw if component is None else component_of(raw, component)


def component_of(raw: str, number: int) -> str:
    parts = raw.split("^")
    return parts[number - 1] if number <= len(parts) else ""
