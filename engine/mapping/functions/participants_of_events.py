"""TXA and SCH: who made, entered or got what a message tells of (Provenance.agent)."""

from __future__ import annotations

from typing import Any

from engine.mapping.functions.people import People, sender
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope

_TYPES = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_RECIPIENT = "IRCP"


@function(parts={"who": 1})
def taking_part(options: Options) -> Apply:
    """Someone who took part (Provenance.agent), in the part that `as` says: author, enterer; IRCP got a copy."""
    people, part = People(options), options.argument or "author"
    role = {"coding": [{"system": _PARTICIPATION, "code": _RECIPIENT}]}
    kind = {"role": [role]} if part == _RECIPIENT else {"type": {"coding": [{"system": _TYPES, "code": part}]}}

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        person = people.read(raw, scope)
        return {**kind, "who": person} if person is not None else None

    return apply


@function(0)
def sent_by(options: Options) -> Apply:
    """The facility that sent the message, as the custodian of what it tells of (Provenance.agent)."""
    who = sender(options)
    kind = {"coding": [{"system": _TYPES, "code": "custodian"}]}
    return lambda scope: {"type": kind, "who": who(scope)}
