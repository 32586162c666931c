"""Where did each element of a resource come from? Element ← rule and version ← field ← bytes of an envelope.

Nothing of this is stored beside the resource: the journal keeps the bytes, so the mapping is run again over them. Each
element is answered by the newest version whose message says it; what no message says was worked out by hutong, or
written by a person, in the version where it first appears. What a message said by a mapping that was changed since, and
says otherwise today, is still the message's: today's rule is shown, and the version tells that it is not the one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from engine.config import Community
from engine.envelope import Envelope
from engine.mapping import FieldSource, MappingSet
from engine.understanding import Understood, understand

Resource = dict[str, Any]

HUTONG = "hutong"
PERSON = "person"
MESSAGE = "message"
ARCHIVED = "archived"
"""Said by a message whose bytes have left the journal with its month."""
UNKNOWN = "unknown"
"""Said by: the element is older than the versions that were looked at."""

_SYSTEM = "system"
_NUMBER = re.compile(r"^identifier\[(\d+)\]")


class Version(Protocol):
    """One version of a resource, and the envelope that wrote it or the actor who did."""

    @property
    def version(self) -> int: ...
    @property
    def last_updated(self) -> datetime: ...
    @property
    def body(self) -> Resource: ...
    @property
    def actor(self) -> str | None: ...
    @property
    def mapping(self) -> str | None: ...
    @property
    def envelope(self) -> Envelope | None: ...
    @property
    def archived(self) -> UUID | None: ...


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one element of the current version came from.

    said_by  message, person, hutong, archived or unknown
    version  of the resource in which it was said
    sources  the fields it was made of, or the rule that says it by itself; empty for what was no HL7 v2 message
    """

    path: str
    value: Any
    said_by: str
    version: int
    envelope: UUID | None = None
    actor: str | None = None
    sources: tuple[FieldSource, ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """How one version came to be. `mapping_today` is what would map the same message now."""

    version: int
    last_updated: datetime
    envelope: Envelope | None
    actor: str | None
    mapping: str | None
    mapping_today: str | None

    @property
    def mapping_changed(self) -> bool:
        """True when the rules that are shown are not the rules that made this version."""
        return self.envelope is not None and self.mapping != self.mapping_today


@dataclass(frozen=True, slots=True)
class Provenance:
    origins: list[Origin]
    versions: list[Written]


def provenance(
    reference: str, versions: Sequence[Version], community: Community, mappings: MappingSet, path: str = ""
) -> Provenance:
    """Of the current version, the first of `versions` (newest first); only elements at or below `path` when given."""
    asked = {key: leaf for key, leaf in _keyed(versions[0].body).items() if _is_below(leaf[0], path)}
    origins: dict[str, Origin] = {}
    written: list[Written] = []
    for version, before in zip(versions, [*versions[1:], None], strict=True):
        said = (
            understand(version.envelope, community, mappings, with_sources=True)
            if version.envelope is not None
            else None
        )
        written.append(_written(version, said))
        left = {key: leaf for key, leaf in asked.items() if key not in origins}
        if said is not None:
            origins |= _said_in_message(reference, version, said, left)
        if before is None and version.version > 1:
            continue
        known = _keyed(before.body) if before is not None else {}
        otherwise = _said_otherwise_today(reference, said) if said is not None and written[-1].mapping_changed else {}
        for key, (place, value) in left.items():
            if key not in origins and (key not in known or known[key][1] != value):
                if (sources := otherwise.get(key)) and version.envelope is not None:
                    origins[key] = Origin(place, value, MESSAGE, version.version, version.envelope.id, None, sources)
                    continue
                origins[key] = Origin(
                    place,
                    value,
                    _written_by(version),
                    version.version,
                    version.envelope.id if version.envelope else version.archived,
                    version.actor,
                )
    oldest = versions[-1].version
    return Provenance(
        [origins.get(key) or Origin(place, value, UNKNOWN, oldest) for key, (place, value) in asked.items()], written
    )


def _written_by(version: Version) -> str:
    """Who said what stands in no message that can be read."""
    if version.archived is not None:
        return ARCHIVED
    return PERSON if version.envelope is None and version.actor not in (None, _SYSTEM) else HUTONG


def _written(version: Version, said: Understood | None) -> Written:
    return Written(
        version.version,
        version.last_updated,
        version.envelope,
        version.actor,
        version.mapping,
        said.mapping if said is not None else None,
    )


def _said_in_message(
    reference: str, version: Version, said: Understood, left: dict[str, tuple[str, Any]]
) -> dict[str, Origin]:
    """Those of these elements that the message of this version says, with the same value."""
    assert version.envelope is not None
    # One message may say a resource twice: the later statement was recorded over the earlier one.
    stated = [r for r in said.resources if f"{r['resourceType']}/{r['id']}" == reference]
    by_path: dict[str, list[FieldSource]] = {}
    for source in said.sources:
        if source.resource == reference:
            by_path.setdefault(source.path, []).append(source)
    found: dict[str, Origin] = {}
    for resource in stated:
        said_here = _keyed(resource)
        for key, (place, value) in left.items():
            if key in said_here and said_here[key][1] == value:
                sources = tuple(by_path.get(said_here[key][0], ()))
                found[key] = Origin(place, value, MESSAGE, version.version, version.envelope.id, None, sources)
    return found


def _said_otherwise_today(reference: str, said: Understood) -> dict[str, tuple[FieldSource, ...]]:
    """The elements that the message of a version says: by today's mapping, perhaps with another value."""
    by_path: dict[str, list[FieldSource]] = {}
    for source in said.sources:
        if source.resource == reference:
            by_path.setdefault(source.path, []).append(source)
    stated = [r for r in said.resources if f"{r['resourceType']}/{r['id']}" == reference]
    return {
        key: tuple(by_path[path])
        for resource in stated
        for key, (path, _) in _keyed(resource).items()
        if path in by_path
    }


def _keyed(resource: Resource) -> dict[str, tuple[str, Any]]:
    """Every leaf as (path, value), by a key that stays the same where the record gathers identifiers of messages."""
    numbers = [f"{i.get('system', '')}|{i.get('value', '')}" for i in resource.get("identifier") or ()]
    keyed: dict[str, tuple[str, Any]] = {}
    for path, value in _leaves("", resource):
        if path in ("resourceType", "id"):
            continue
        number = _NUMBER.match(path)
        key = f"identifier[{numbers[int(number[1])]}]{path[number.end() :]}" if number else path
        keyed[key] = (path, value)
    return keyed


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(f"{path}.{name}" if path else name, inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(f"{path}[{number}]", inner)
    elif value is not None:
        yield path, value


def _is_below(path: str, asked: str) -> bool:
    return not asked or path == asked or path.startswith((f"{asked}.", f"{asked}["))
