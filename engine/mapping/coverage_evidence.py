"""What does each field of a message bring? Takes it out of the tests' messages and looks at what is gone then.

Nothing here trusts what a rule says of itself: an element is a field's when it is there with the field and is not, or
is another, without it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.codecs import er7
from engine.config.problems import Problem
from engine.errors import HutongError
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

    def without(self, segment: str, number: int) -> Sample:
        """The message with a field emptied in each such segment; without the segments for number 0."""
        return self._with(segment, number, lambda raw: "")

    def shortened(self, segment: str, number: int) -> Sample:
        """The message with something else in a field: two characters less in its first component."""
        return self._with(segment, number, _shortened)

    def _with(self, segment: str, number: int, change: Any) -> Sample:
        segments = []
        for text in self.segments:
            if not text.startswith(segment):
                segments.append(text)
                continue
            if number:
                fields = text.split("|")
                at = number - 1 if segment == "MSH" else number
                if at < len(fields):
                    fields[at] = change(fields[at])
                segments.append("|".join(fields))
        return Sample(self.file, self.facility, self.charset, tuple(segments))

    def holds(self, segment: str, number: int) -> bool:
        at = number - 1 if segment == "MSH" else number
        return any(
            not number or (len(fields := text.split("|")) > at and bool(fields[at]))
            for text in self.segments
            if text.startswith(segment)
        )


def _shortened(raw: str) -> str:
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
    mappings: MappingSet, messages: Iterable[Sample], fields: Iterable[tuple[str, int]]
) -> Mapping[tuple[str, int], frozenset[Fact]]:
    """What each field (number 0: the segment) brings in any of the messages."""
    wanted = sorted(set(fields))
    found: dict[tuple[str, int], set[Fact]] = {field: set() for field in wanted}
    for sample in messages:
        whole = _facts(mappings, sample)
        if whole is None:
            continue
        for segment, number in wanted:
            if sample.holds(segment, number):
                found[segment, number].update(_brought(mappings, sample, whole, segment, number))
    return {field: frozenset(facts) for field, facts in found.items()}


def _brought(mappings: MappingSet, sample: Sample, whole: Counter[Fact], segment: str, number: int) -> Iterable[Fact]:
    """What is gone without the field. Where that would hold the message, what is another with something else in it."""
    without = _facts(mappings, sample.without(segment, number))
    if without is None and number:
        without = _facts(mappings, sample.shortened(segment, number))
    return (whole - without).keys() if without is not None else ()


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
        for name, inner in value.items():
            if name == "reference" and isinstance(inner, str):
                yield from _followed(inner, path, known, follow)
            elif name not in ("id", "resourceType"):
                yield from _leaves(inner, f"{path}.{name}" if path else name, known, follow)


def _followed(reference: str, path: str, known: Mapping[str, Resource], follow: int) -> Iterator[tuple[str, str]]:
    kind = reference.partition("/")[0]
    yield f"{path}>{kind}", ""
    target = known.get(reference)
    if target is not None and kind in _FOLLOWED and follow:
        for inner, value in _leaves(target, "", known, follow - 1):
            yield f"{path}>{kind}.{inner}", value
