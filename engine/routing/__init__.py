"""What goes where? Pure: routes and facts in, targets out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from engine.config import Community, DicomEndpoint, Endpoint, Event, Route, StudyTag
from engine.config.windows import is_open


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint that is owed something, and the route that says so."""

    endpoint: str
    route: str


@dataclass(frozen=True, slots=True)
class CentreTarget:
    """A centre that an order goes to, and the route that says so."""

    centre: str
    route: str


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What routes ask of a study.

    ae_title  of whoever sent it
    tags      every value that its objects give, by attribute
    """

    facility: str
    ae_title: str
    modalities: frozenset[str]
    body_parts: frozenset[str] = frozenset()
    tags: Mapping[StudyTag, frozenset[str]] = field(default_factory=dict)


def message_received(community: Community, *, facility: str, message_type: str) -> list[Target]:
    """Who is owed a copy of a message as it arrived. Its own sender never is."""
    return _distinct(
        Target(endpoint, route.id)
        for route in _applying(community, Event.MESSAGE, facility)
        if _names_type(route, message_type)
        for endpoint in route.to.endpoints
        if community.endpoints[endpoint].facility != facility
    )


def order_placed(
    community: Community, *, facility: str, modality: str, categories: Collection[str] = ()
) -> CentreTarget | None:
    """The centre that reads what this order asks for: the first route that applies; None when no centre takes it."""
    for route in _applying(community, Event.ORDER, facility):
        if route.to.centre is None or not _is_about(route, modality, categories):
            continue
        if modality in community.centres[route.to.centre].modalities:
            return CentreTarget(route.to.centre, route.id)
    return None


def takes_orders(community: Community, facility: str) -> bool:
    """Whether any route is about the orders of a facility."""
    return bool(_applying(community, Event.ORDER, facility))


def report_signed(
    community: Community, *, requester_facility: str, modality: str, categories: Collection[str] = ()
) -> list[Target]:
    """Who is owed a signed report; `requester` means every endpoint of the facility that asked."""
    targets: list[Target] = []
    for route in _applying(community, Event.REPORT_SIGNED, requester_facility):
        if not _is_about(route, modality, categories):
            continue
        if route.to.requester:
            own = [e.name for e in community.mllp_endpoints.values() if e.facility == requester_facility]
            targets += [Target(endpoint, route.id) for endpoint in own]
        targets += [Target(endpoint, route.id) for endpoint in route.to.endpoints]
    return _distinct(targets)


def study_stored(community: Community, study: StudyFacts, moment: datetime) -> list[Target]:
    """Who is owed the objects of a study that came at a moment, on a clock in China. Where it came from never is."""
    return _distinct(
        Target(endpoint, route.id)
        for route in _applying(community, Event.STUDY, study.facility)
        if _takes_study(route, study, moment)
        for endpoint in route.to.endpoints
        if not _is_from(community, community.endpoints[endpoint], study)
    )


def _is_from(community: Community, endpoint: Endpoint, study: StudyFacts) -> bool:
    """Whether a study came from there: by the title that sent it, or by whose it is.

    The facility counts for another hub, and for a title that systems of several facilities have.
    """
    if not isinstance(endpoint, DicomEndpoint):
        return endpoint.facility == study.facility
    if endpoint.ae_title != study.ae_title:
        return False
    return endpoint.facility == study.facility or not _is_shared(community, study.ae_title)


def _is_shared(community: Community, ae_title: str) -> bool:
    entries = (entry for channel in community.dicom_channels for entry in channel.ae_entries)
    return len({entry.facility for entry in entries if entry.ae_title == ae_title}) > 1


def priors_wanted(
    community: Community, *, facility: str, modality: str, categories: Collection[str] = ()
) -> list[Target]:
    """Which archives are asked for earlier studies of the patient of an order."""
    return _distinct(
        Target(endpoint, route.id)
        for route in _applying(community, Event.ORDER, facility)
        if _is_about(route, modality, categories)
        for endpoint in route.to.priors_from
    )


def _takes_study(route: Route, study: StudyFacts, moment: datetime) -> bool:
    when = route.when
    return (
        (not when.modalities or not study.modalities.isdisjoint(when.modalities))
        and (not when.body_parts or not _folded(study.body_parts).isdisjoint(_folded(when.body_parts)))
        and is_open(when.between, moment)
        and all(not _folded(study.tags.get(tag, ())).isdisjoint(_folded(values)) for tag, values in when.tags.items())
    )


def _folded(words: Iterable[str]) -> frozenset[str]:
    """For comparing: case and blanks at the ends do not count, which DICOM's code strings do not have."""
    return frozenset(word.strip().casefold() for word in words)


def _applying(community: Community, event: Event, facility: str) -> list[Route]:
    return [
        route
        for route in community.routes
        if route.when.event is event and (not route.when.from_facilities or facility in route.when.from_facilities)
    ]


def _is_about(route: Route, modality: str, categories: Collection[str]) -> bool:
    when = route.when
    return (not when.modalities or modality in when.modalities) and (
        not when.categories or any(category in categories for category in when.categories)
    )


def _names_type(route: Route, message_type: str) -> bool:
    """`ADT` in a route stands for every ADT event, `ADT^A04` for that one."""
    types = route.when.message_types
    return not types or message_type in types or message_type.split("^", 1)[0] in types


def _distinct(targets: Iterable[Target]) -> list[Target]:
    """One endpoint is owed one copy, whichever routes lead there: the first one names it."""
    first: dict[str, Target] = {}
    for target in targets:
        first.setdefault(target.endpoint, target)
    return list(first.values())
