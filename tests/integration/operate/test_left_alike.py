"""What `--against` says a replay would leave is what the replay leaves; and what is left is no change."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import httpx

from engine.clock import now
from engine.config import Community
from engine.mapping import MappingSet
from engine.replay import Ahead, What, World
from engine.store.journaled import Looked, connect_to_look, spans
from tests.integration.engine.conftest import Hub
from tests.integration.engine.test_visits_said_in_parts import message, pv1
from tests.integration.operate.conftest import ask, changed
from tests.integration.operate.test_against import against, folder
from tests.integration.operate.test_replay_results import CHANNEL, CORRECTION, WHOLE

__all__ = ["folder"]

STAY = [
    message("A01", pv1("NK^201^03", "D1^周^大夫")),
    message("A08", pv1("NK^202^05", "D2^李^大夫")),
    WHOLE,
    CORRECTION,
    message("A03", pv1("NK^202^05", "", "", "20261123")),
    message("A08", pv1("NK^203^07", "D3^王^大夫")),
]
"""A stay whose every message says something otherwise than the one before it; the last one opens it no more."""

Named = set[tuple[str, str, str]]
"""Envelope, resource, and the element (or the type, of a whole resource)."""


async def ahead(hub: Hub, worlds: tuple[World, World]) -> Named:
    looked = Looked(now() - timedelta(days=1), now() + timedelta(seconds=1))
    connection = await connect_to_look(hub.url)
    try:
        look, named = Ahead(*worlds), Named()
        for span in await spans(connection, looked, 2):
            async for changes in look.told(connection, looked, span):
                named |= {(str(e.envelope), e.resource, k.where) for k, e in changes if k.what is What.LEFT}
    finally:
        await connection.close()
    return named


def left_of(message_told: dict[str, object]) -> Named:
    named, replay = Named(), message_told["replay"]
    assert isinstance(replay, dict)
    for each in replay["left"]:
        kind = each["reference"].partition("/")[0]
        where = [f"{kind}.{element}" for element in each["elements"]] or [kind]
        named |= {(str(message_told["envelope"]), each["reference"], place) for place in where}
    return named


async def test_the_look_ahead_and_the_replay_leave_the_same_of_a_stay_with_its_report(
    hub: Hub, it: httpx.AsyncClient, community: Community, mappings: MappingSet
) -> None:
    for one in STAY:
        await hub.send(CHANNEL, one)
        await hub.run()
    visit = await hub.only("Encounter")
    assert (visit["status"], visit["period"]["end"]) == ("finished", "2026-11-23")
    world = World(community, mappings)
    said = await ahead(hub, (world, world))
    queued = await ask(it, "/api/replay", reason="x", everything=True)
    await hub.run()
    told = (await it.get(f"/api/replay/{queued['run']}/messages", params={"all": "true"})).json()
    left = set().union(*map(left_of, told))
    assert said == left
    assert await hub.only("Encounter") == visit
    assert {"Encounter.location", "Encounter.status", "Observation.valueQuantity"} <= {where for *_, where in left}


async def test_a_row_that_nothing_uses_changes_nothing_whatever_newer_messages_say(hub: Hub, folder: Path) -> None:
    for one in STAY:
        await hub.send(CHANNEL, one)
        await hub.run()
    changed(folder, "tables/interpretation.csv", "\nH,H,High,", "\nNEVER,H,High,x,\nH,H,High,")
    status, said, error = await against(hub, folder)
    assert status == 0, error
    assert "nothing would change" in said
    assert "a replay would leave, because something newer says otherwise" in said
    line = next(line for line in said.splitlines() if "Encounter/" in line)
    assert "ADT^A0" in line
