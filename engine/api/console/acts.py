"""Who may act on messages and deliveries, and what must everybody say who does? Roles, reasons and filters."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from engine.api.caller import Caller, needs
from engine.api.services import Services
from engine.config.community import Role
from engine.errors import ParseError

Operator = Annotated[Caller, Depends(needs(Role.ADMIN, Role.INTEGRATOR))]

ReasonText = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000, pattern=r"^[^\x00]*$")
]
_NAME = "[a-z0-9][a-z0-9._-]{0,63}"
Name = Annotated[str, StringConstraints(pattern=rf"^{_NAME}$")]
FacilityPath = Annotated[str, Path(pattern=rf"^{_NAME}$")]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
"""What somebody looks for."""
Destination = Annotated[str, StringConstraints(pattern=rf"^({_NAME}|ae:{_NAME}(:{_NAME})?/[^\x00-\x1f]{{1,16}})$")]
"""An endpoint, or who calls an imaging channel (`ae:CHANNEL/TITLE`, `ae:CHANNEL:FACILITY/TITLE`)."""
Code = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,80}$")]
Rule = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
MessageType = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{2,8}(\^[A-Z0-9]{2,8})?$")]

NameQuery = Annotated[Name | None, Query()]
DestinationQuery = Annotated[Destination | None, Query()]
CodeQuery = Annotated[Code | None, Query()]
RuleQuery = Annotated[Rule | None, Query()]


class Why(BaseModel):
    """Why it is done, in words for whoever asks later. Never a value of a patient: it stands in the audit."""

    model_config = ConfigDict(extra="forbid")

    reason: ReasonText


class Bulk(Why):
    """Many at once. Without a filter nothing is chosen, unless `everything` says so. `dry_run` only counts."""

    everything: bool = False
    dry_run: bool = False


class Done(BaseModel):
    """How many it was done to; with `dry_run`, how many it would be."""

    count: Annotated[int, Field(ge=0)]
    dry_run: bool


def types_of_mapping(hub: Services, mapping: str) -> tuple[str, ...]:
    """The message types that a mapping takes. Raises ParseError that names the mappings there are."""
    by_name = {definition.name: definition.messages for definition in hub.mapping_set.definitions()}
    if mapping not in by_name:
        raise ParseError(
            f"expected the name of a mapping: {', '.join(sorted(by_name))}", location="mapping", code="bad-parameter"
        )
    return tuple(by_name[mapping])


def refuse_everything(body: Bulk, chosen: bool) -> None:
    """Raises ParseError where a filter was forgotten: an empty one would mean all."""
    if not chosen and not body.everything:
        raise ParseError("say which: give a filter, or everything: true", code="no-filter")
