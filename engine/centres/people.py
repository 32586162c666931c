"""Who may read and who may review at a centre?"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol

from engine.errors import AccessError
from engine.identifiers import facility_system, organization_id, resource_id

_FACILITY_CODE = "urn:hutong:facility"


class Centre(Protocol):
    """What must be known of a shared centre."""

    @property
    def name(self) -> str: ...
    @property
    def display(self) -> str: ...
    @property
    def facility(self) -> str: ...
    @property
    def readers(self) -> Collection[str]: ...
    @property
    def reviewers(self) -> Collection[str]: ...
    @property
    def two_person(self) -> bool:
        """Whether the one who wrote a report may not review or sign it."""
        ...


@dataclass(frozen=True, slots=True)
class Person:
    """Someone who acts on a request. The name alone does not say who acted: the facility is kept with it."""

    name: str
    display: str
    facility: str

    @property
    def reference(self) -> dict[str, Any]:
        return {
            "reference": f"Practitioner/{self.practitioner_id}",
            "identifier": {"system": facility_system(self.facility, "user"), "value": self.name},
            "display": self.display,
        }

    @property
    def practitioner_id(self) -> str:
        return resource_id("Practitioner", self.facility, "user", self.name)

    @property
    def practitioner(self) -> dict[str, Any]:
        """The Practitioner that the reports of this person refer to."""
        return {
            "resourceType": "Practitioner",
            "id": self.practitioner_id,
            "identifier": [{"system": facility_system(self.facility, "user"), "value": self.name}],
            "active": True,
            "name": [{"text": self.display}],
        }

    @property
    def organization(self) -> dict[str, Any]:
        return {
            "reference": f"Organization/{organization_id(self.facility)}",
            "identifier": {"system": _FACILITY_CODE, "value": self.facility},
        }


def must_read_for(centre: Centre, person: Person) -> None:
    """Raises AccessError `not-a-reader`. A reviewer may read as well."""
    if person.name not in centre.readers and person.name not in centre.reviewers:
        raise AccessError(f"not a reader of centre {centre.name}", code="not-a-reader")


def must_review_for(centre: Centre, person: Person) -> None:
    """Raises AccessError `not-a-reviewer`. Without a two-person rule every reader reviews."""
    if not centre.two_person:
        must_read_for(centre, person)
    elif person.name not in centre.reviewers:
        raise AccessError(f"not a reviewer of centre {centre.name}", code="not-a-reviewer")
