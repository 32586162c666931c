"""What does each field of a message bring? Takes it out of the tests' messages and looks at what is gone then.

Nothing here trusts what a rule says of itself: an element is a field's when it is there with the field and is not, or
is another, without it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.codecs import er7
from engine.config.problems import Problem
from engine.errors import HutongError
from engine.mapping.coverage_condition import holds
from engine.mapping.mapped import Context, Resource
from engine.mapping.mapping_set import MappingSet
from engine.mapping.reading import Node
from engine.mapping.testing import TEST_FILE

_RECEIVED_AT = datetime(2026, 4, 1, tzinfo=UTC)
_FOLLOWED = frozenset(
    {
        *("Account", "Condition", "Device", "EpisodeOfCare", "Location", "Medication", "Organization", "Practitioner"),
        *("PractitionerRole", "Procedure", "RelatedPerson", "Specimen"),
    }
)
"""What a row of the maps reaches through a reference. The patient, the visit and the order have rows of their own."""
_LOGICAL = frozenset({"type", "identifier", "display"})
LIMIT_FOLLOWED = 3
"""References one after another; the maps go no further."""

Fact = tuple[str, str, str]
"""Resource, path and value: `Encounter`, `participant.individual>Practitioner.name.family`, `王`.

Elements of lists have no number; `>` follows a reference."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A message of a test, as text, and how it is read."""

    file: str
    facility: str
    charset: str
    segments: tuple[str, ...]

    def without(self, asked: Asked) -> Sample:
        """The message with the field emptied in each segment that is meant; without the segments for number 0."""
        return self.changed(asked, lambda raw: "")

    def changed(self, asked: Asked, change: Callable[[str], str]) -> Sample:
        segments = []
        for text in self.segments:
            fields = _fields(text)
            if not asked.means(fields):
                segments.append(text)
            elif asked.number:
                fields[asked.number] = change(fields[asked.number])
                segments.append("|".join(fields[:1] + fields[2:] if fields[0] == "MSH" else fields))
        return Sample(self.file, self.facility, self.charset, tuple(segments))

    def has(self, asked: Asked) -> bool:
        return any(asked.means(_fields(text)) for text in self.segments)


@dataclass(frozen=True, slots=True)
class Asked:
    """A field (number 0: the segment), where a condition of the map holds."""

    segment: str
    number: int
    condition: str

    def means(self, fields: Sequence[str]) -> bool:
        if fields[0] != self.segment or not holds(self.condition, fields):
            return False
        return not self.number or (self.number < len(fields) and bool(fields[self.number]))


def _fields(text: str) -> list[str]:
    """The name of a segment and its fields; MSH-1 is the separator itself."""
    fields = text.split("|")
    return ["MSH", "|", *fields[1:]] if fields[0] == "MSH" else fields


def _shortened(raw: str) -> str:
    """Something else: two characters less in the first component."""
    first, separator, rest = raw.partition("^")
    return f"{first[:-2]}{separator}{rest}"


def samples(folder: Path) -> Iterator[Sample]:
    """The messages of every mapping test below a folder; what cannot be read is for the tests themselves to tell."""
    for path in sorted(folder.glob(f"**/{TEST_FILE}")):
        problems: list[Problem] = []
        node = Node.open(path, folder, problems)
        overlay = path.parent.name if path.parent.parent.name == "facilities" else ""
        if node is None:
            continue
        for item in node.items("tests"):
            file = path.parent / item.text("message")
            if item.has("error") or not file.is_file():
                continue
            try:
                message = er7.parse(file.read_bytes(), item.text("charset") or None)
                content = file.read_bytes().decode(message.charset)
            except (HutongError, UnicodeDecodeError, LookupError):
                continue
            segments = tuple(line for line in content.replace("\n", "\r").split("\r") if line)
            facility = item.text("facility", overlay or "example")
            yield Sample(file.name, facility, message.charset, segments)


def evidence(
    mappings: MappingSet, messages: Iterable[Sample], wanted: Iterable[Asked]
) -> Mapping[Asked, frozenset[Fact]]:
    """What each field brings in any of the messages."""
    found: dict[Asked, set[Fact]] = {asked: set() for asked in wanted}
    for sample in messages:
        trial = _Trial(mappings, sample)
        for asked, facts in found.items():
            if sample.has(asked):
                facts.update(trial.brought(asked))
    return {asked: frozenset(facts) for asked, facts in found.items()}


class _Trial:
    """One message, mapped with this and that taken out of it; the same message is mapped once."""

    def __init__(self, mappings: MappingSet, sample: Sample) -> None:
        self._mappings, self._sample = mappings, sample
        self._known: dict[Sample, Counter[Fact] | None] = {}

    def brought(self, asked: Asked) -> Iterable[Fact]:
        """What is gone without the field. Where that would hold the message, what is another with something else in it.

        A segment without which the message is held brings everything.
        """
        whole, without = self._facts(self._sample), self._facts(self._sample.without(asked))
        if whole is None:
            return ()
        if without is None and not asked.number:
            return whole.keys()
        if without is None and (asked.segment, asked.number) == ("MSH", 9):
            without = self._as_other_message(asked)
        elif without is None:
            without = self._facts(self._sample.changed(asked, _shortened))
        return (whole - without).keys() if without is not None else ()

    def _as_other_message(self, asked: Asked) -> Counter[Fact] | None:
        """The facts of the message were its type (MSH-9) the last one that its mapping takes."""
        stated = "^".join(_fields(self._sample.segments[0])[9].split("^")[:2])
        mapping = self._mappings.find(stated, self._sample.facility)
        if mapping is None:
            return None
        return self._facts(self._sample.changed(asked, lambda raw: mapping.definition.messages[-1]))

    def _facts(self, sample: Sample) -> Counter[Fact] | None:
        if sample not in self._known:
            self._known[sample] = _facts(self._mappings, sample)
        return self._known[sample]


def _facts(mappings: MappingSet, sample: Sample) -> Counter[Fact] | None:
    """What the message says, counted; None where it is held."""
    try:
        message = er7.parse("".join(f"{text}\r" for text in sample.segments).encode(sample.charset), sample.charset)
        mapping = mappings.find(message.message_type, sample.facility)
        if mapping is None:
            return None
        context = Context(sample.facility, sample.facility, "test", _RECEIVED_AT)
        resources = mapping.apply(message, context).resources
    except HutongError:
        return None
    known = {f"{each['resourceType']}/{each['id']}": each for each in resources}
    return Counter(
        (resource["resourceType"], path, value)
        for resource in resources
        for path, value in _leaves(resource, "", known, LIMIT_FOLLOWED)
    )


def _leaves(value: Any, path: str, known: Mapping[str, Resource], follow: int) -> Iterator[tuple[str, str]]:
    """Every value with its path. Ids are none: they differ when any number does that they were made of."""
    if isinstance(value, list):
        for each in value:
            yield from _leaves(each, path, known, follow)
    elif not isinstance(value, dict):
        yield path, "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    else:
        kind = value.get("type")
        if "reference" not in value and isinstance(kind, str) and value.keys() <= _LOGICAL:
            # A reference that names its target by an identifier or in words only.
            for name in ("identifier", "display"):
                yield from _leaves(value.get(name, {}), f"{path}>{kind}.{name}", known, follow)
        for name, inner in value.items():
            if name == "reference" and isinstance(inner, str):
                yield from _followed(inner, path, known, follow)
            elif name not in ("id", "resourceType"):
                plain = name.removeprefix("_")
                yield from _leaves(inner, f"{path}.{plain}" if path else plain, known, follow)


def _followed(reference: str, path: str, known: Mapping[str, Resource], follow: int) -> Iterator[tuple[str, str]]:
    kind = reference.partition("/")[0]
    target = known.get(reference)
    yield f"{path}>{kind}", _numbers(target) if target is not None and kind not in _FOLLOWED else ""
    if target is not None and kind in _FOLLOWED and follow:
        for inner, value in _leaves(target, "", known, follow - 1):
            yield f"{path}>{kind}.{inner}", value


def _numbers(resource: Resource) -> str:
    """Which one it is: its identifiers."""
    return " ".join(str(each.get("value", "")) for each in resource.get("identifier") or ())
