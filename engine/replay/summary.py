"""What would change, over many messages? Counted by kind, place and rule, with the first few messages of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from uuid import UUID

EXAMPLES = 3
"""Enough to look at; the count says how many there are."""
LIMIT_VALUES = 1_000
"""Elements of one message whose values are told; a longer list nobody reads."""


class What(StrEnum):
    """What kind of change, in the order it is told: what stops messages first."""

    HELD = "would be held"
    RELEASED = "would be held no more"
    NEW_RESOURCE = "new resource"
    VANISHED_RESOURCE = "vanished resource"
    CHANGED = "changed element"
    NEW_ACT = "would join, move or part"
    VANISHED_ACT = "would join, move or part no more"
    NEW_FINDING = "new finding"
    VANISHED_FINDING = "vanished finding"
    OWED = "would be sent to"
    NOT_OWED = "would be sent no more to"
    MAPPED = "field unmapped no more"
    UNMAPPED = "field unmapped now"
    ADDED = "a replay would add"
    RECORDED = "a replay would record"
    LEFT = "a replay would leave, because something newer says otherwise"
    STAYS = "said no more, and a replay would leave it on record"


@dataclass(frozen=True, slots=True, order=True)
class Kind:
    """One kind of change: what, where (`Patient.name.given`, a finding's code, a field), and by which rules.

    before, after  the mapping rule of the running and of the changed configuration; empty where none says it
    """

    what: What
    where: str
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """A message in which it would change; the values are its patient's."""

    envelope: UUID
    before: str = ""
    after: str = ""
    further: tuple[tuple[str, str], ...] = ()
    """Before and after of the other elements of this message that change in the same way."""
    message_type: str = ""
    control_id: str = ""
    resource: str = ""
    """The first resource in which it would change, `Patient/…`."""


@dataclass(slots=True)
class Seen:
    """In how many messages, and the first of them."""

    messages: int = 0
    examples: list[Example] = field(default_factory=list)


@dataclass(slots=True)
class Summary:
    """Of some messages: how many were looked at, how many would change, and in what.

    What a message says otherwise than something newer, and leaves to it, changes nothing: it is told, and not counted.
    """

    messages: int = 0
    changed: int = 0
    seen: dict[Kind, Seen] = field(default_factory=dict)

    def add(self, changes: Iterable[tuple[Kind, Example]]) -> None:
        """One more message. A kind counts once, however often the message shows it."""
        self.messages += 1
        kinds: dict[Kind, list[Example]] = {}
        for kind, example in changes:
            kinds.setdefault(kind, []).append(example)
        for kind, (first, *further) in kinds.items():
            seen = self.seen.setdefault(kind, Seen())
            seen.messages += 1
            if len(seen.examples) < EXAMPLES:
                others = tuple((each.before, each.after) for each in further[: LIMIT_VALUES - 1])
                seen.examples.append(replace(first, further=others))
        self.changed += any(kind.what is not What.LEFT for kind in kinds)

    def merge(self, other: Summary) -> None:
        """Takes in what came after."""
        self.messages += other.messages
        self.changed += other.changed
        for kind, theirs in other.seen.items():
            seen = self.seen.setdefault(kind, Seen())
            seen.messages += theirs.messages
            seen.examples += theirs.examples[: EXAMPLES - len(seen.examples)]

    def kinds(self) -> list[tuple[Kind, Seen]]:
        """In the order of What, the most frequent first."""
        order = list(What)
        return sorted(self.seen.items(), key=lambda each: (order.index(each[0].what), -each[1].messages, each[0]))
