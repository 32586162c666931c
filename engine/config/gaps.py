"""What was perhaps forgotten? A configuration that may be used, in which a facility's orders or reports have no way."""

from __future__ import annotations

from collections.abc import Iterator

from engine.config.community import Community, Event, Level, Route
from engine.config.objects import S3Objects
from engine.config.secret import secret
from engine.errors import ConfigurationError


def gaps(community: Community) -> Iterator[str]:
    """A sentence for each facility below the county that sends HL7 v2 and whose orders go to no centre.

    And for each whose orders do, but to which no signed report can come back; and for each secret of the object store
    that is not on this machine.
    """
    yield from _secrets(community)
    senders = {channel.facility for channel in community.hl7_channels}
    reached = {endpoint.facility for endpoint in community.mllp_endpoints.values()}
    to_centres = [route for route in community.routes if route.when.event == Event.ORDER]
    for name, facility in community.facilities.items():
        if name not in senders or facility.level == Level.COUNTY:
            continue
        if not any(_takes(route, name) for route in to_centres):
            yield f"no route takes the orders of {name}: name it in from_facilities if a centre reads (routes.yaml)"
        elif name not in reached:
            yield f"{name} has no endpoint: the reports on its orders cannot go back to it (endpoints/)"


def _secrets(community: Community) -> Iterator[str]:
    place = community.objects
    for reference in (place.access_key, place.secret_key) if isinstance(place, S3Objects) else ():
        try:
            secret(reference, community.folder)
        except ConfigurationError as error:
            yield f"{error.message} on this machine, and a hub does not start without it (objects in community.yaml)"


def _takes(route: Route, facility: str) -> bool:
    return not route.when.from_facilities or facility in route.when.from_facilities
