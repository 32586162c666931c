"""What goes where: one copy for each endpoint, none back to the sender, and only what a route is about."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from engine import routing
from engine.clock import CHINA
from engine.config import Community, Facility, Http, HutongEndpoint, Level, MllpEndpoint, Recognition, Route
from engine.config.community import Centre
from engine.routing import StudyFacts, study_stored


def _community(*routes: dict[str, Any]) -> Community:
    facilities = [Facility(code=code, name=code, level=Level.TOWNSHIP) for code in ("east", "west", "county")]
    endpoints = [
        MllpEndpoint(type="mllp", name=name, facility=facility, address="mllp://127.0.0.1:2575")
        for name, facility in (("east-his", "east"), ("east-lis", "east"), ("west-his", "west"), ("hub", "county"))
    ]
    centre: dict[str, Any] = {"display": "影像中心", "facility": "county", "readers": ["wang"], "reviewers": ["li"]}
    centres = [
        Centre(name="imaging", modalities=("DX", "CT"), **centre),
        Centre(name="ecg", modalities=("ECG",), **centre),
    ]
    return Community(
        name="test",
        http=Http(),
        facilities={facility.code: facility for facility in facilities},
        channels={},
        endpoints={endpoint.name: endpoint for endpoint in endpoints},
        routes=tuple(Route.model_validate({"id": f"r{n}", **route}) for n, route in enumerate(routes)),
        centres={centre.name: centre for centre in centres},
        recognition=Recognition(),
        users={},
        folder=Path(),
    )


def _message(to: list[str], **when: Any) -> dict[str, Any]:
    return {"when": {"event": "message", **when}, "to": {"endpoints": to}}


def _order(centre: str, **when: Any) -> dict[str, Any]:
    return {"when": {"event": "order", **when}, "to": {"centre": centre}}


MESSAGES: dict[str, tuple[list[dict[str, Any]], list[tuple[str, str]]]] = {
    "no route": ([], []),
    "a route for everything": ([_message(["west-his"])], [("west-his", "r0")]),
    "two endpoints": ([_message(["west-his", "hub"])], [("west-his", "r0"), ("hub", "r0")]),
    "two routes to one endpoint": (
        [_message(["west-his"]), _message(["hub", "west-his"])],
        [("west-his", "r0"), ("hub", "r1")],
    ),
    "the sender's own systems": ([_message(["east-his", "east-lis", "hub"])], [("hub", "r0")]),
    "a type by its event": ([_message(["hub"], message_types=["ADT^A04"])], [("hub", "r0")]),
    "a type by its kind": ([_message(["hub"], message_types=["ADT"])], [("hub", "r0")]),
    "another event": ([_message(["hub"], message_types=["ADT^A08"])], []),
    "its facility": ([_message(["hub"], from_facilities=["east"])], [("hub", "r0")]),
    "another facility": ([_message(["hub"], from_facilities=["west"])], []),
    "a route for orders": ([_order("imaging")], []),
}


@pytest.mark.parametrize(("routes", "owed"), MESSAGES.values(), ids=MESSAGES)
def test_a_message_of_the_east_is_owed_to(routes: list[dict[str, Any]], owed: list[tuple[str, str]]) -> None:
    targets = routing.message_received(_community(*routes), facility="east", message_type="ADT^A04")
    assert [(target.endpoint, target.route) for target in targets] == owed


ORDERS: list[tuple[list[dict[str, Any]], str | None]] = [
    ([], None),
    ([_order("imaging")], "imaging"),
    ([_order("ecg"), _order("imaging")], "imaging"),
    ([_order("ecg")], None),
    ([_order("imaging", modalities=["DX"])], "imaging"),
    ([_order("imaging", modalities=["CT"])], None),
    ([_order("imaging", from_facilities=["west"])], None),
    ([_order("imaging", categories=["RAD"])], "imaging"),
    ([_order("imaging", categories=["LAB", "RAD"])], "imaging"),
    ([_order("imaging", categories=["LAB"])], None),
]


@pytest.mark.parametrize(("routes", "centre"), ORDERS)
def test_a_chest_radiograph_of_the_east_goes_to(routes: list[dict[str, Any]], centre: str | None) -> None:
    target = routing.order_placed(_community(*routes), facility="east", modality="DX", categories={"DX", "RAD"})
    assert (target.centre if target else None) == centre


def _report(**to: Any) -> dict[str, Any]:
    return {"when": {"event": "report-signed", **to.pop("when", {})}, "to": to}


REPORTS: list[tuple[list[dict[str, Any]], list[str]]] = [
    ([_report(requester=True)], ["east-his", "east-lis"]),
    ([_report(requester=True), _report(endpoints=["hub", "east-his"])], ["east-his", "east-lis", "hub"]),
    ([_report(requester=True, when={"modalities": ["CT"]})], []),
    ([_report(requester=True, when={"categories": ["LAB"]})], []),
    ([_report(endpoints=["west-his"], when={"categories": ["RAD"], "modalities": ["DX"]})], ["west-his"]),
]


@pytest.mark.parametrize(("routes", "owed"), REPORTS)
def test_a_signed_report_for_the_east_is_owed_to(routes: list[dict[str, Any]], owed: list[str]) -> None:
    targets = routing.report_signed(
        _community(*routes), requester_facility="east", modality="DX", categories=frozenset({"DX", "RAD"})
    )
    assert [target.endpoint for target in targets] == owed


def test_a_study_goes_to_another_hub_unless_it_is_of_that_hubs_facility() -> None:
    community = _community({"when": {"event": "study"}, "to": {"endpoints": ["county-hub"]}})
    endpoint = HutongEndpoint(
        type="hutong", name="county-hub", facility="county", url="http://10.0.0.9:8080", token="env:TOKEN"
    )
    community = community.model_copy(update={"endpoints": {**community.endpoints, "county-hub": endpoint}})

    def targets(facility: str) -> list[str]:
        facts = StudyFacts(facility, "CT1", frozenset({"CT"}), frozenset(), {})
        return [target.endpoint for target in study_stored(community, facts, datetime(2026, 11, 20, 12, tzinfo=CHINA))]

    assert targets("east") == ["county-hub"]
    assert targets("county") == []
