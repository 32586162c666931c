"""What do the fields of the samples hold? Counted over the messages of one type; values only where they are codes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from engine.codecs.er7 import NULL, Message
from engine.mapping.draft.content import ID_CARD, form_of, is_right_card, kind_of

LIMIT_DISTINCT = 200
"""Distinct values that are counted of a field; one with more holds no codes."""
LIMIT_EXAMPLES = 20
LIMIT_FIELDS = 5_000
"""Distinct fields of one type; no message of any version has a tenth of them."""


@dataclass(slots=True)
class Column:
    """One field of one segment.

    filled   segments in which it holds something, of `segments`
    values   its first components with how often each was met, as long as there are few
    forms    how dates and times are written in it: `YYYYMMDD`
    kinds    what its first repetitions look like (`kind_of`), and how often
    checked  how many of those that look like a 居民身份证 number have the right check digit
    """

    segments: int = 0
    filled: int = 0
    nulls: int = 0
    shortest: int = 0
    longest: int = 0
    repetitions: int = 0
    components: int = 0
    checked: int = 0
    many: bool = False
    values: Counter[str] = field(default_factory=Counter)
    forms: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, raw: str, repetitions: list[str], components: int, first: str, kind: str) -> None:
        if raw == NULL:
            self.nulls += 1
            return
        self.filled += 1
        self.shortest = min(self.shortest or len(raw), len(raw))
        self.longest = max(self.longest, len(raw))
        self.repetitions = max(self.repetitions, len(repetitions))
        self.components = max(self.components, components)
        self.kinds[kind] += 1
        self.checked += kind == ID_CARD and is_right_card(first)
        if form := form_of(first):
            self.forms[form] += 1
        if first and not self.many:
            self.values[first] += 1
            if len(self.values) > LIMIT_DISTINCT:
                self.many = True
                self.values.clear()

    def absorb(self, other: Column) -> None:
        """Counts what another column holds as well."""
        self.filled += other.filled
        self.nulls += other.nulls
        self.shortest = min(self.shortest or other.shortest, other.shortest or self.shortest)
        self.longest = max(self.longest, other.longest)
        self.repetitions = max(self.repetitions, other.repetitions)
        self.components = max(self.components, other.components)
        self.forms += other.forms
        self.kinds += other.kinds
        self.checked += other.checked
        self.many = self.many or other.many or len(self.values | other.values) > LIMIT_DISTINCT
        self.values = Counter() if self.many else self.values + other.values

    @property
    def kind(self) -> str:
        """What nearly all of it looks like; empty where it holds several kinds of things."""
        if not self.kinds:
            return ""
        kind, count = self.kinds.most_common(1)[0]
        return kind if count >= 0.9 * self.filled else ""

    @property
    def holds_times(self) -> bool:
        return self.filled > 0 and sum(self.forms.values()) >= 0.9 * self.filled


@dataclass(frozen=True, slots=True)
class Item:
    """What is said of an item that somebody orders or reports: its words (OBR-4.2), its service section (OBR-24)."""

    words: str
    section: str


class Profile:
    """The messages of one type: their fields, and how their segments follow each other."""

    def __init__(self) -> None:
        self.messages = 0
        self.columns: dict[tuple[str, int], Column] = {}
        self.segments: Counter[str] = Counter()
        self.shapes: Counter[tuple[str, ...]] = Counter()
        self.versions: Counter[str] = Counter()
        self.charsets: Counter[str] = Counter()
        self.senders: Counter[str] = Counter()
        self.items: dict[str, Item] = {}
        self.first: Message | None = None
        self.examples: list[Message] = []
        """The first message, and each that has a segment which none before it had."""

    def add(self, message: Message) -> None:
        self.messages += 1
        if self.first is None:
            self.first = message
        if len(self.examples) < LIMIT_EXAMPLES and _says_more(message, self.segments):
            self.examples.append(message)
        self.versions[message.header.value(12)] += 1
        self.charsets[message.charset] += 1
        self.senders[message.header.value(4)] += 1
        names = tuple(segment.name for segment in message.segments)
        if len(self.shapes) < LIMIT_DISTINCT or names in self.shapes:
            self.shapes[names] += 1
        for segment in message.segments:
            self.segments[segment.name] += 1
            if segment.name == "OBR" and segment.value(4) and len(self.items) < LIMIT_DISTINCT:
                self.items.setdefault(segment.value(4), Item(segment.value(4, comp=2), segment.value(24)))
            for number in range(3 if segment.name == "MSH" else 1, len(segment.fields)):
                raw = segment.fields[number]
                key = segment.name, number
                if not raw or (key not in self.columns and len(self.columns) >= LIMIT_FIELDS):
                    continue
                repetitions = segment.repetitions(number)
                components = max((len(segment.components(each)) for each in repetitions), default=0)
                kind = kind_of(segment.components(repetitions[0]))
                self.columns.setdefault(key, Column()).add(raw, repetitions, components, segment.value(number), kind)
        for (name, _), column in self.columns.items():
            column.segments = self.segments[name]


def together(profiles: Iterable[Profile]) -> Profile:
    """What messages of several types hold."""
    whole = Profile()
    for each in profiles:
        whole.messages += each.messages
        whole.first = whole.first or each.first
        whole.examples += [one for one in each.examples if _says_more(one, whole.segments)]
        whole.segments += each.segments
        whole.shapes += each.shapes
        whole.versions += each.versions
        whole.charsets += each.charsets
        whole.senders += each.senders
        whole.items = {**each.items, **whole.items}
        for key, column in each.columns.items():
            whole.columns.setdefault(key, Column()).absorb(column)
    for (name, _), column in whole.columns.items():
        column.segments = whole.segments[name]
    return whole


def _says_more(message: Message, known: Collection[str]) -> bool:
    return any(segment.name not in known for segment in message.segments)
