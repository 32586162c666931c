"""Do the names in one file exist in another? Facilities, endpoints, centres, users, and listeners that collide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.config.community import Channel, Community, DicomChannel, Event, FolderChannel, Role, Route
from engine.config.document import Document, Place
from engine.config.endpoints import DicomEndpoint
from engine.config.entries import indistinct
from engine.config.problems import Problem, nearest, written


def check_references(
    community: Community,
    defined: Mapping[str, frozenset[str]],
    documents: Mapping[str, Document],
    problems: list[Problem],
) -> None:
    """Adds a problem for every name that leads nowhere and every two things that cannot both be."""
    check = _Check(defined, documents, problems)
    for channel in community.channels.values():
        _channel(check, channel)
    for endpoint in community.endpoints.values():
        check.name("facility", endpoint.facility, f"endpoints/{endpoint.name}.yaml", ("facility",))
        if isinstance(endpoint, DicomEndpoint):
            _told_of(check, endpoint)
    for user in community.users.values():
        check.name("facility", user.facility, "users.yaml", ("users", user.name, "facility"))
    _centres(check, community)
    _routes(check, community)
    for watched in community.alerts.channels:
        check.name("channel", watched, "alerts.yaml", ("channels", watched))
    _listeners(check, community)
    _shares(check, community)
    _folders(check, community)


@dataclass(frozen=True)
class _Check:
    defined: Mapping[str, frozenset[str]]
    documents: Mapping[str, Document]
    problems: list[Problem]

    def name(self, kind: str, name: str, file: str, place: Place) -> None:
        valid = self.defined[kind]
        if name not in valid:
            article = "an" if kind.startswith("e") else "a"
            self.say(file, place, f"expected the name of {article} {kind}, found '{name}'{nearest(name, valid)}")

    def say(self, file: str, place: Place, text: str) -> None:
        line = self.documents[file].line(place) if file in self.documents else 0
        self.problems.append(Problem(file, line, written(place), text))


def _channel(check: _Check, channel: Channel) -> None:
    file = f"channels/{channel.name}.yaml"
    if not isinstance(channel, DicomChannel):
        check.name("facility", channel.facility, file, ("facility",))
        if channel.application_ack_to is not None:
            check.name("endpoint", channel.application_ack_to, file, ("application_ack_to",))
        return
    if channel.default_facility is not None:
        check.name("facility", channel.default_facility, file, ("default_facility",))
    for position, entry in enumerate(channel.ae_entries):
        check.name("facility", entry.facility, file, ("ae_entries", position, "facility"))
    for position, key, text in indistinct(channel.ae_entries):
        check.say(file, ("ae_entries", position, key), text)


def _told_of(check: _Check, endpoint: DicomEndpoint) -> None:
    for key, facilities in (
        ("performed_steps_of", endpoint.performed_steps_of),
        ("availability_of", endpoint.availability_of),
        ("priors.patient_ids_of", endpoint.priors.patient_ids_of),
    ):
        for position, facility in enumerate(facilities):
            check.name("facility", facility, f"endpoints/{endpoint.name}.yaml", (*key.split("."), position))


def _centres(check: _Check, community: Community) -> None:
    for centre in community.centres.values():
        file = f"centres/{centre.name}.yaml"
        check.name("facility", centre.facility, file, ("facility",))
        for key, names, role in (
            ("readers", centre.readers, Role.READER),
            ("reviewers", centre.reviewers, Role.REVIEWER),
        ):
            for position, name in enumerate(names):
                check.name("user", name, file, (key, position))
                user = community.users.get(name)
                if user is not None and role not in user.roles:
                    check.say(file, (key, position), f"expected a user with the role {role}; '{name}' has it not")


def _routes(check: _Check, community: Community) -> None:
    first: dict[str, int] = {}
    for position, route in enumerate(community.routes):
        place: Place = ("routes", position)
        if route.id in first:
            check.say(
                "routes.yaml",
                (*place, "id"),
                f"expected every id once; '{route.id}' is already {written(('routes', first[route.id]))}",
            )
        first.setdefault(route.id, position)
        for index, facility in enumerate(route.when.from_facilities):
            check.name("facility", facility, "routes.yaml", (*place, "when", "from_facilities", index))
        for key, endpoints in (("endpoints", route.to.endpoints), ("priors_from", route.to.priors_from)):
            for index, endpoint in enumerate(endpoints):
                check.name("endpoint", endpoint, "routes.yaml", (*place, "to", key, index))
                _endpoint_fits(check, community, route, endpoint, (*place, "to", key, index))
        if route.to.centre is not None:
            check.name("centre", route.to.centre, "routes.yaml", (*place, "to", "centre"))


_ENDPOINT_TYPES = {Event.STUDY: ("dicom", "hutong"), Event.ORDER: ("dicom",)}


def _endpoint_fits(check: _Check, community: Community, route: Route, name: str, place: Place) -> None:
    """Studies go to imaging systems and hubs, messages to others."""
    endpoint = community.endpoints.get(name)
    wanted = _ENDPOINT_TYPES.get(route.when.event, ("mllp",))
    if endpoint is not None and endpoint.type not in wanted:
        types = " or ".join(wanted)
        text = f"expected an endpoint of type {types} for event: {route.when.event}; '{name}' is {endpoint.type}"
        check.say("routes.yaml", place, text)


def _listeners(check: _Check, community: Community) -> None:
    taken = {community.http.port: "http"} if community.http.port else {}
    for channel in community.channels.values():
        if isinstance(channel, FolderChannel) or not channel.port:
            continue
        if channel.port in taken:
            check.say(
                f"channels/{channel.name}.yaml",
                ("port",),
                f"expected a port of its own; {channel.port} is already {taken[channel.port]}",
            )
        taken.setdefault(channel.port, f"channel {channel.name}")


def _shares(check: _Check, community: Community) -> None:
    for channel in community.dicom_channels:
        if channel.max_associations < community.gateway.processes:
            check.say(
                f"channels/{channel.name}.yaml",
                ("max_associations",),
                f"expected at least one for each of the {community.gateway.processes} gateway.processes",
            )


def _folders(check: _Check, community: Community) -> None:
    """Two channels on one folder would take each other's files, and with them each other's patients."""
    taken: dict[Path, str] = {}
    for channel in community.folder_channels:
        folder = (community.folder / channel.folder).resolve()
        if folder in taken:
            check.say(
                f"channels/{channel.name}.yaml",
                ("folder",),
                f"expected a folder of its own; it is already channel {taken[folder]}'s",
            )
        taken.setdefault(folder, channel.name)
