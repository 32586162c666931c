"""What does a mapping take and give? The context of a message, and the resources, findings and sources made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine.finding import Finding
from engine.mapping.acts import Act
from engine.mapping.definition import Rule

Resource = dict[str, Any]
"""A FHIR R4 resource as JSON values; decimals are `decimal.Decimal`, None is an element that the sender deletes.

Frozen: parts are shared between resources and messages, so whoever wants another value builds a new resource."""


@dataclass(frozen=True, slots=True)
class Context:
    """What is known of a message before it is read: who sent it, by which channel, and when it came.

    calls_itself  the names by which its facility may mean itself in a field: the ones that MSH-4 may hold
    """

    facility: str
    facility_name: str
    channel: str
    received_at: datetime
    calls_itself: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class FieldSource:
    """Where one element of a resource came from.

    resource  `Patient/<id>`
    path      `name[0].family`
    rule      id of the rule; `version` is the version of the mapping that holds it
    field     `PID-5[1].1`: repetition and component counted from 1; empty for what the rule says by itself: a constant,
              a reference to another resource of the message, a default
    start, end  the bytes of the payload that hold it, end not included
    """

    resource: str
    path: str
    rule: str
    version: str
    field: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Mapped:
    """What one message becomes.

    unmapped         fields that held something no rule took, each once, in the order of the message: `PID-31`; after
                     them, in the order of the rules, components of fields that are read in part, `PID-3.6`, and fields
                     that a rule read and FHIR has no place for
    only_if_missing  references (`Encounter/<id>`) of resources this message merely mentions: record them when the
                     record has none, else leave the record's as they are
    sources          only when asked for
    ran              with them: the rules that gave something
    acts             what it does to records besides: joins, parts, moves
    """

    resources: list[Resource]
    unmapped: list[str]
    findings: list[Finding]
    only_if_missing: frozenset[str] = frozenset()
    sources: list[FieldSource] = field(default_factory=list)
    ran: frozenset[Rule] = frozenset()
    acts: tuple[Act, ...] = ()
