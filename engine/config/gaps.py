"""What was perhaps forgotten? A configuration that may be used, where orders or reports have no way, or an open one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.config.community import Community, Event, Level, Route
from engine.config.objects import S3Objects
from engine.config.secret import secret
from engine.errors import ConfigurationError

_ECG = "ECG"
"""Comes as files, too."""


def gaps(community: Community) -> Iterator[str]:
    """A sentence for each facility below the county that sends HL7 v2 and whose orders go to no centre.

    And for each whose orders do, but to which no signed report can come back, or whose orders go to a centre that reads
    images while no modality of its own may send any; for each secret of the object store that is not here; and for each
    entity that is called in plain text although its channel has TLS.
    """
    yield from _secrets(community)
    yield from _called_in_plain_text(community)
    senders = {channel.facility for channel in community.hl7_channels}
    reached = {endpoint.facility for endpoint in community.mllp_endpoints.values()}
    imaging = {entry.facility for channel in community.dicom_channels for entry in channel.ae_entries}
    imaging |= {channel.default_facility for channel in community.dicom_channels if channel.default_facility}
    to_centres = [route for route in community.routes if route.when.event == Event.ORDER]
    for name, facility in community.facilities.items():
        if name not in senders or facility.level == Level.COUNTY:
            continue
        if not any(_takes(route, name) for route in to_centres):
            yield f"no route takes the orders of {name}: name it in from_facilities if a centre reads (routes.yaml)"
            continue
        if name not in reached:
            yield f"{name} has no endpoint: the reports on its orders cannot go back to it (endpoints/)"
        if name not in imaging and (read := _images_read(community, name, to_centres)):
            yield (
                f"{name} orders images ({', '.join(read)}) and no modality of it may send them: "
                "give it an AE entry (ae_entries of a channel of type dicom)"
            )


def _images_read(community: Community, facility: str, to_centres: Sequence[Route]) -> list[str]:
    """The modalities, other than ECG, that centres read of the orders of a facility."""
    found: dict[str, None] = {}
    for route in to_centres:
        centre = community.centres.get(route.to.centre or "")
        if _takes(route, facility) and centre is not None:
            wanted = route.when.modalities or centre.modalities
            found |= dict.fromkeys(each for each in centre.modalities if each in wanted and each != _ECG)
    return sorted(found)


def _secrets(community: Community) -> Iterator[str]:
    place = community.objects
    for reference in (place.access_key, place.secret_key) if isinstance(place, S3Objects) else ():
        try:
            secret(reference, community.folder)
        except ConfigurationError as error:
            yield f"{error.message} on this machine, and a hub does not start without it (objects in community.yaml)"


def _called_in_plain_text(community: Community) -> Iterator[str]:
    for channel in community.dicom_channels:
        for entry in channel.ae_entries:
            if channel.tls is not None and entry.port is not None and entry.tls is None:
                yield (
                    f"{entry.ae_title} is called in plain text although channel {channel.name} has tls: "
                    "give its entry tls, too, if it listens with it"
                )


def _takes(route: Route, facility: str) -> bool:
    return not route.when.from_facilities or facility in route.when.from_facilities
