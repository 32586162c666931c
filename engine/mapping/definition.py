"""What does a mapping file say? The words of the file as values, before anything is compiled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

_FIELD = re.compile(r"([A-Z][A-Z0-9]{2})-([1-9]\d{0,2})(?:\.([1-9]\d?))?")

MESSAGE = "message"
"""The group that is always there: it holds what stands before the first other group."""


class Direction(StrEnum):
    IN = "in"
    OUT = "out"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class FieldName:
    """A field of a segment, `PID-5`, or one component of it, `OBR-27.4`."""

    segment: str
    number: int
    component: int | None = None

    @classmethod
    def parse(cls, text: str) -> FieldName:
        """Raises ValueError when the text is no name of a field."""
        match = _FIELD.fullmatch(text)
        if match is None:
            raise ValueError("expected a field such as PID-5 or OBR-27.4")
        segment, number, component = match.groups()
        return cls(segment, int(number), int(component) if component else None)

    def __str__(self) -> str:
        return f"{self.segment}-{self.number}" + (f".{self.component}" if self.component else "")


@dataclass(frozen=True, slots=True)
class Line:
    """Where something stands: a file below the mappings folder, and a line from 1.

    It is in no repr: moving a row changes nothing of what the row says.
    """

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of a mapping.

    sources    the fields it reads; several are handed to the function in this order
    otherwise  fields tried one after another when the only source is empty
    to         element of the resource, `birthDate`, `collection.method`; empty for the rule that makes the id
    many       True where every repetition adds to a list (`name+`)
    default    what the element becomes when the rule gives nothing
    both       whether the rule also writes: the element back into its fields
    writes     the fields it writes, where they are not simply its sources
    """

    id: str
    line: Line = field(repr=False)
    to: str
    many: bool = False
    sources: tuple[FieldName, ...] = ()
    otherwise: tuple[FieldName, ...] = ()
    function: str | None = None
    argument: str | None = None
    table: str | None = None
    value: str | None = None
    refer: str | None = None
    default: str | None = None
    needed: bool = False
    both: bool = field(default=False, repr=False)
    writes: tuple[FieldName, ...] = field(default=(), repr=False)

    @property
    def fields(self) -> tuple[FieldName, ...]:
        return self.sources + self.otherwise


@dataclass(frozen=True, slots=True)
class ResourceRules:
    """What makes one resource of each group.

    within           the resource whose id becomes part of this one's
    needs            segments without which there is no such resource
    only_if_missing  the message merely mentions it: it never overwrites what the record has
    """

    resource: str
    group: str
    line: Line = field(repr=False)
    id: Rule
    within: str | None
    rules: tuple[Rule, ...]
    needs: tuple[str, ...] = ()
    only_if_missing: bool = False

    @property
    def says_more(self) -> bool:
        """Whether it adds to a resource that another entry of the mapping makes, instead of making one of its own."""
        return self.within == self.resource


@dataclass(frozen=True, slots=True)
class Group:
    """Segments that belong together.

    starts   segments that open it, in their order; one that is there already, or should have come earlier, opens
             the next group
    holds    further segments that belong to it, in any order
    closing  segments of its own even where they stand behind the last group inside it: a comment on the whole order
             behind its last result
    """

    name: str
    inside: str | None
    starts: tuple[str, ...]
    holds: tuple[str, ...]
    closing: tuple[str, ...] = ()

    @property
    def segments(self) -> tuple[str, ...]:
        return self.starts + self.holds


@dataclass(frozen=True, slots=True)
class Definition:
    """One mapping file with its parts and a facility's changes in place.

    not_mapped  field (`PID-1`) or segment (`FT1`) that is left out on purpose, with the reason
    needs       segments without which such a message says nothing: it is held
    """

    name: str
    version: str
    messages: tuple[str, ...]
    groups: Mapping[str, Group]
    resources: tuple[ResourceRules, ...]
    not_mapped: Mapping[str, str] = field(default_factory=dict)
    line: Line = field(default=Line("", 0), repr=False)
    needs: tuple[str, ...] = ()


def reachable(groups: Mapping[str, Group], group: str) -> set[str]:
    """The segments that a rule of this group may read: those of the group, and of the groups around it."""
    found: set[str] = set()
    inside: str | None = group
    while inside is not None:
        found.update(groups[inside].segments)
        inside = groups[inside].inside
    return found
