"""Who would be owed something because of a message? Copies that routes send on, and the centres that orders go to."""

from __future__ import annotations

from dataclasses import dataclass

from engine import routing
from engine.config import Community
from engine.orders import categories_of, modality_of
from engine.understanding import Understood


@dataclass(frozen=True, slots=True)
class Owing:
    """One endpoint or centre, and the route that leads there."""

    kind: str
    name: str
    route: str

    @property
    def to(self) -> str:
        return f"{self.kind} {self.name}"


def would_owe(community: Community, understood: Understood) -> list[Owing]:
    """Nothing for what would be held, or whose facility this configuration does not know."""
    if understood.holds:
        return []
    envelope = understood.envelope
    owing = [
        Owing("endpoint", target.endpoint, target.route)
        for target in routing.message_received(
            community, facility=envelope.facility, message_type=envelope.message_type
        )
    ]
    for resource in understood.resources:
        if resource["resourceType"] == "ServiceRequest" and (modality := modality_of(resource)):
            centre = routing.order_placed(
                community, facility=envelope.facility, modality=modality, categories=categories_of(resource)
            )
            if centre is not None:
                owing.append(Owing("centre", centre.centre, centre.route))
    return owing
