"""What a changed configuration would change in a message is told element by element, with the rules, and no more."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import pytest

import mappings as mapping_files
from engine import config
from engine.config import Community, Route
from engine.envelope import Envelope, Kind
from engine.mapping import MappingSet
from engine.replay import Difference, Example, Summary, What, World
from engine.replay import Kind as ChangeKind
from engine.understanding import Understood
from tests.integration.engine.messages import order, register, result
from tests.integration.operate.conftest import changed
from tests.integration.operate.messages import bad_result, of_no_type

EXAMPLE = Path(__file__).parents[3] / "docker" / "example"
SHIPPED = Path(mapping_files.__file__).parent
PATIENT = "hl7v2/parts/patient.yaml"
GENDER = "  - {rule: pid-8,  from: PID-8,  to: gender, table: sex, dir: both}\n"


@pytest.fixture(scope="module")
def community() -> Community:
    return config.load(EXAMPLE)


@pytest.fixture(scope="module")
def running(community: Community) -> World:
    return World(community, MappingSet.load(SHIPPED, list(community.facilities)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the mappings, to be changed."""
    shutil.copytree(SHIPPED, tmp_path / "mappings", ignore=shutil.ignore_patterns("*.hl7", "requirements"))
    return tmp_path / "mappings"


def world(community: Community, folder: Path) -> World:
    return World(community, MappingSet.load(folder, list(community.facilities)))


def envelope(payload: bytes, message_type: str, number: int = 1) -> Envelope:
    return Envelope(
        id=UUID(int=number),
        kind=Kind.HL7V2,
        channel="baishi-his",
        facility="baishi",
        peer="test",
        received_at=datetime(2026, 11, 21, tzinfo=UTC),
        control_id="X",
        message_type=message_type,
        payload=payload,
        sha256=sha256(payload).digest(),
        lanes=(),
    )


REGISTRATION = envelope(register(), "ADT^A04")
RESULT = envelope(result(), "ORU^R01")


def told(before: World, after: World, of: Envelope) -> list[tuple[What, str, str, str]]:
    return [(k.what, k.where, k.before, k.after) for k, _ in Difference(before, after).of(of)]


def test_nothing_would_change_where_nothing_was_changed(running: World) -> None:
    for each in (REGISTRATION, RESULT, envelope(bad_result(), "ORU^R01"), envelope(of_no_type(register()), "ZZZ^Z01")):
        assert told(running, running, each) == []


def test_an_element_that_is_said_no_more_is_told_with_its_rule_and_its_field(
    running: World, community: Community, folder: Path
) -> None:
    changed(folder, PATIENT, GENDER, "")
    assert told(running, world(community, folder), REGISTRATION) == [
        (What.CHANGED, "Patient.gender", "pid-8", ""),
        (What.UNMAPPED, "PID-8", "", ""),
    ]
    assert told(world(community, folder), running, REGISTRATION) == [
        (What.CHANGED, "Patient.gender", "", "pid-8"),
        (What.MAPPED, "PID-8", "", ""),
    ]


def test_an_element_that_another_rule_says_names_both_rules_and_both_values(
    running: World, community: Community, folder: Path
) -> None:
    changed(folder, PATIENT, GENDER, GENDER.replace("rule: pid-8,", "rule: sex,").replace("table: sex", "with: text"))
    ((kind, example),) = Difference(running, world(community, folder)).of(REGISTRATION)
    assert (kind.where, kind.before, kind.after) == ("Patient.gender", "pid-8", "sex")
    assert (example.before, example.after) == ("female", "F")


def test_decimals_that_are_equal_numbers_but_other_digits_are_told(running: World) -> None:
    class Shortened(World):
        def ruled_by(self, envelope: Envelope) -> tuple[object, ...]:
            return ("otherwise",)

        def understand(self, envelope: Envelope, *, with_sources: bool = False) -> Understood:
            walk = World.understand(self, envelope, with_sources=with_sources)
            resources = [
                {**r, "valueQuantity": {**r["valueQuantity"], "value": Decimal("5.1")}} if "valueQuantity" in r else r
                for r in walk.resources
            ]
            return replace(walk, resources=resources)

    ((kind, example),) = Difference(running, Shortened(running.community, running.mappings)).of(RESULT)
    assert kind.where == "Observation.valueQuantity.value"
    assert (example.before, example.after) == ("5.10", "5.1")


def test_resources_that_come_or_go_are_told_by_type(running: World, community: Community, folder: Path) -> None:
    changed(
        folder,
        "hl7v2/parts/observation.yaml",
        "id: {rule: result-id, from: [OBX-3, OBX-4,",
        "id: {rule: result-id, from: [OBX-3, OBX-1,",
    )
    what = {(w, where) for w, where, _, _ in told(running, world(community, folder), RESULT)}
    assert {(What.NEW_RESOURCE, "Observation"), (What.VANISHED_RESOURCE, "Observation")} <= what


def test_a_message_that_would_be_held_or_go_on_is_told_with_the_reason_and_nothing_else_of_it(
    running: World, community: Community, folder: Path
) -> None:
    shutil.rmtree(folder / "hl7v2" / "ORU_R01")
    without = world(community, folder)
    assert told(running, without, RESULT) == [(What.HELD, "no-mapping MSH-9", "", "")]
    assert told(without, running, RESULT) == [(What.RELEASED, "no-mapping MSH-9", "", "")]
    held_both = told(running, without, envelope(bad_result(), "ORU^R01"))
    assert [(what, where) for what, where, _, _ in held_both] == [
        (What.NEW_FINDING, "error no-mapping MSH-9"),
        (What.VANISHED_FINDING, "error not-identified OBX-3"),
    ]


def test_findings_that_come_or_go_are_told(running: World, community: Community) -> None:
    baishi = community.facilities["baishi"].model_copy(update={"msh4": ("ANOTHER",)})
    stricter = World(
        community.model_copy(update={"facilities": {**community.facilities, "baishi": baishi}}), running.mappings
    )
    ((what, where, _, _),) = told(running, stricter, REGISTRATION)
    assert what in (What.NEW_FINDING, What.HELD)
    assert "MSH-4" in where


def test_who_would_be_told_of_a_message_is_compared_too(running: World, community: Community) -> None:
    copies = Route.model_validate({"id": "copies", "when": {"event": "message"}, "to": {"endpoints": ["county-his"]}})
    routed = World(community.model_copy(update={"routes": (*community.routes, copies)}), running.mappings)
    assert told(running, routed, REGISTRATION) == [(What.OWED, "endpoint county-his", "", "")]
    no_routes = World(community.model_copy(update={"routes": ()}), running.mappings)
    assert told(running, no_routes, envelope(order(), "ORM^O01")) == [(What.NOT_OWED, "centre county-imaging", "", "")]


def test_a_channel_that_changed_its_facility_changes_what_its_messages_become(
    running: World, community: Community
) -> None:
    channel = community.channels["baishi-his"].model_copy(update={"facility": "qingxi"})
    moved = World(
        community.model_copy(update={"channels": {**community.channels, "baishi-his": channel}}), running.mappings
    )
    assert told(running, moved, REGISTRATION)


def test_what_is_no_message_differs_in_nothing(running: World, community: Community, folder: Path) -> None:
    changed(folder, PATIENT, GENDER, "")
    other = world(community, folder)
    for payload in (b"", b"\x00", b"MSH", b"MSH|^~\\&|", "张三".encode("gb18030"), b"x" * 1_000_000):
        assert told(running, other, envelope(payload, "")) == []


def test_a_summary_counts_messages_keeps_the_first_examples_and_can_be_taken_together(
    running: World, community: Community, folder: Path
) -> None:
    changed(folder, PATIENT, GENDER, "")
    difference = Difference(running, world(community, folder))
    parts = [Summary(), Summary()]
    for number in range(10):
        parts[number % 2].add(difference.of(envelope(register(), "ADT^A04", number)))
    parts[0].add([])
    together = Summary()
    for part in parts:
        together.merge(part)
    assert (together.messages, together.changed) == (11, 10)
    (kind, seen), _ = together.kinds()
    assert (kind.where, seen.messages) == ("Patient.gender", 10)
    assert [each.envelope for each in seen.examples] == [UUID(int=n) for n in (0, 2, 4)]
    assert {(each.before, each.after, each.message_type, each.control_id) for each in seen.examples} == {
        ("female", "", "ADT^A04", "X")
    }
    assert {each.resource.partition("/")[0] for each in seen.examples} == {"Patient"}


def test_what_is_only_left_to_something_newer_is_told_and_is_no_change() -> None:
    summary = Summary()
    summary.add([(ChangeKind(What.LEFT, "Encounter.period"), Example(UUID(int=1)))])
    assert (summary.messages, summary.changed) == (1, 0)
    assert [kind.where for kind, _ in summary.kinds()] == ["Encounter.period"]
    summary.add(
        [
            (ChangeKind(What.LEFT, "Encounter.period"), Example(UUID(int=2))),
            (ChangeKind(What.STAYS, "X"), Example(UUID(int=2))),
        ]
    )
    assert summary.changed == 1
