"""What `--against --diff` says of the record is what the replay then does to it, element by element."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

import mappings as mapping_files
from engine.clock import now
from engine.codecs import fhir_json
from engine.config import Community
from engine.mapping import MappingSet
from engine.pipeline import Pipeline
from engine.replay import Effect, Journaled, Preview, World
from engine.store.journaled import Looked, connect_to_look, ended, spans, these
from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import order
from tests.integration.engine.test_orders_completed import report
from tests.integration.operate.conftest import ask, changed
from tests.integration.operate.test_replay_results import CHANNEL, CORRECTION, WHOLE

SHIPPED = Path(mapping_files.__file__).parent
REAL = Path(__file__).parents[2] / "fixtures" / "hl7v2"
PATIENT, RESULT = "hl7v2/parts/patient.yaml", "hl7v2/parts/observation.yaml"
SPECIMEN = "  - {resource: Specimen, for: order, part: specimen_source}\n"

Change = Callable[[Path], None]


def without(name: str, start: str) -> Change:
    """Takes the rule away whose line starts so."""

    def change(folder: Path) -> None:
        file = folder / name
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith(start)]
        assert len(kept) == len(lines) - 1, start
        file.write_text("".join(kept), encoding="utf-8")

    return change


def row(table: str, before: str, after: str) -> Change:
    return lambda folder: changed(folder, f"tables/{table}.csv", f"\n{before}", f"\n{after}")


ROUNDS: list[tuple[list[Change], set[str]]] = [
    ([], set()),
    (
        [
            without(PATIENT, "  - {rule: pid-8,"),
            row("interpretation", "H,H,High,", "H,H,Above the range,"),
            without(RESULT, "  - {rule: obx-7,"),
            row("observation_status", "C,corrected", "C,amended"),
        ],
        {"Patient.gender", "Observation.interpretation", "Observation.referenceRange", "Observation.status"},
    ),
    (
        [
            without("hl7v2/ORU_R01/mapping.yaml", SPECIMEN.rstrip("\n")),
            without(PATIENT, "  - {rule: pid-5,"),
        ],
        {"Observation.specimen", "Patient.name"},
    ),
]
"""What is changed one round after the other, and elements that have to change because of it."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(SHIPPED, tmp_path / "mappings", ignore=shutil.ignore_patterns("*.hl7", "requirements"))
    return tmp_path / "mappings"


def everything_said(folder: Path = REAL) -> list[bytes]:
    real = [file.read_bytes().replace(b"\n", b"\r") for file in sorted(folder.rglob("*.hl7"))]
    with_specimen = WHOLE.replace(b"|||||||||D01", "||||||||SER^血清|D01".encode("gb18030"))
    return [with_specimen, *real, CORRECTION]


async def recorded(hub: Hub) -> dict[str, dict[str, Any]]:
    rows = await hub.pool.fetch("select type || '/' || id as reference, body from resource")
    bodies = {row["reference"]: fhir_json.loads(row["body"]) for row in rows}
    return {ref: body for ref, body in bodies.items() if not is_golden(body)}


def is_golden(body: dict[str, Any]) -> bool:
    """What hutong makes of all source Patients of a person follows them."""
    return any(link["type"] == "seealso" for link in body.get("link", ()))


async def looked_ahead(hub: Hub, changed_world: World) -> tuple[Preview, list[Effect]]:
    preview, effects = Preview(changed_world), list[Effect]()
    connection = await connect_to_look(hub.url)
    try:
        looked = Looked(now() - timedelta(days=1), now() + timedelta(seconds=1))
        for span in await spans(connection, looked, 7):
            places = {message.id: message.place for message in await ended(connection, looked, span)}
            messages = [Journaled(each, places[each.id]) for each in await these(connection, list(places))]
            effects += await preview.of(connection, messages)
    finally:
        await connection.close()
    return preview, effects


async def replayed_as_foretold(hub: Hub, it: httpx.AsyncClient, world: World, what: str) -> set[str]:
    """Replays everything, and holds the record against what was foretold. Returns the elements that changed."""
    before = await recorded(hub)
    preview, effects = await looked_ahead(hub, world)
    hub.pipeline = Pipeline(hub.url, world.community, world.mappings, now, hub.ids)
    queued = await ask(it, "/api/replay", reason="x", everything=True)
    await hub.run()
    after = await recorded(hub)
    for reference in sorted(before.keys() | after.keys()):
        said = {**before.get(reference, {}), **preview.elements(reference)}
        expected = {element: value for element, value in said.items() if value is not None}
        assert after.get(reference, {}) == expected, f"{what}: {reference}"
    told = (await it.get(f"/api/replay/{queued['run']}")).json()
    assert told["written"] == sum(len(effect.changed) for effect in effects)
    assert told["changed"] == sum(bool(effect.changed) for effect in effects)
    assert told["stays"] == sum(len(effect.stays) for effect in effects)
    return {
        f"{reference.partition('/')[0]}.{leaf.path.partition('.')[0].partition('[')[0]}"
        for effect in effects
        for reference, leaves in effect.changed.items()
        for leaf in leaves
    }


async def test_the_replay_does_what_was_said_of_it_over_real_messages(
    hub: Hub, it: httpx.AsyncClient, community: Community, mappings: MappingSet, folder: Path
) -> None:
    for message in everything_said():
        await hub.send(CHANNEL, message)
    await hub.run()
    for number, (changes, meant) in enumerate(ROUNDS):
        for change in changes:
            change(folder)
        live = MappingSet.load(folder, list(community.facilities)) if changes else mappings
        elements = await replayed_as_foretold(hub, it, World(community, live), f"round {number}")
        assert meant <= elements
        assert bool(meant) == bool(elements)


PRELIMINARY, FINAL, OF_ANOTHER = (
    report("P", control_id="U0"),
    report("F"),
    report("F", filler="F2", code="CT-HEAD", control_id="U2"),
)
COMPLETED = {"ServiceRequest.status"}


@pytest.mark.parametrize(
    ("messages", "meant"),
    [
        ([order(), FINAL], COMPLETED),
        ([FINAL, order()], set[str]()),
        ([order(), PRELIMINARY, OF_ANOTHER], set[str]()),
        ([order(), PRELIMINARY, OF_ANOTHER, report("F", control_id="U3")], COMPLETED),
        ([order(), FINAL, order(control="CA", control_id="M2")], set[str]()),
    ],
    ids=["a final report", "opened by something newer", "one still open", "the last of two", "cancelled since"],
)
async def test_it_is_foretold_that_a_final_report_completes_its_order(
    hub: Hub,
    it: httpx.AsyncClient,
    community: Community,
    mappings: MappingSet,
    monkeypatch: pytest.MonkeyPatch,
    messages: list[bytes],
    meant: set[str],
) -> None:
    """Orders that were recorded while reports completed none."""
    with monkeypatch.context() as then:
        then.setattr("engine.recording.complete_orders.is_completed_by", lambda _: False)
        for message in messages:
            await hub.send(CHANNEL, message)
            await hub.run()
    world = World(community, mappings)
    assert await replayed_as_foretold(hub, it, world, "then") == meant
    assert await replayed_as_foretold(hub, it, world, "once more") == set()


async def test_it_is_not_foretold_that_an_order_opens_again(
    hub: Hub, it: httpx.AsyncClient, community: Community, mappings: MappingSet
) -> None:
    for message in (FINAL, order(), PRELIMINARY):
        await hub.send(CHANNEL, message)
        await hub.run()
    assert await replayed_as_foretold(hub, it, World(community, mappings), "then") == set()
