"""A study, and an order for one, owe imaging systems what the routes say, in the transaction that records them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from engine.config import Community, DicomEndpoint, Route
from engine.mapping import MappingSet
from engine.store.imaging_outbox import QUESTIONS, PriorsOwed, StudyOwed, read_payload
from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import manifest, order, register


@pytest.fixture(scope="session")
def routed(community: Community) -> Community:
    endpoints = {
        name: DicomEndpoint(type="dicom", name=name, facility=facility, host="h", port=104, ae_title=name.upper())
        for name, facility in (("pacs", "qingxi-county"), ("archive", "baishi"), ("elsewhere", "qingxi"))
    }
    routes = [
        {"id": "studies", "when": {"event": "study"}, "to": {"endpoints": ["pacs"]}},
        {"id": "priors", "when": {"event": "order"}, "to": {"priors_from": ["archive", "elsewhere"]}},
    ]
    return community.model_copy(
        update={
            "endpoints": {**community.endpoints, **endpoints},
            "routes": (*community.routes, *(Route.model_validate(route) for route in routes)),
        }
    )


@pytest.fixture
async def hub(database_url: str, pool: asyncpg.Pool, routed: Community, mappings: MappingSet) -> AsyncIterator[Hub]:
    hub = Hub(database_url, pool, routed, mappings)
    await hub.intake.start()
    yield hub
    await hub.intake.close()


async def owed(pool: asyncpg.Pool, endpoint: str) -> list[asyncpg.Record]:
    rows: list[asyncpg.Record] = await pool.fetch("select * from delivery where endpoint = $1 order by id", endpoint)
    return rows


async def test_a_study_is_owed_once_for_each_time_that_it_comes(hub: Hub) -> None:
    study = manifest("ACC1")
    first = await hub.study(study)
    await hub.run()
    (delivery,) = await owed(hub.pool, "pacs")
    assert read_payload(delivery["payload"]) == StudyOwed("baishi", str(study["study_uid"]))
    assert (delivery["envelope"], delivery["control_id"], delivery["route"]) == (first, study["study_uid"], "studies")
    assert (delivery["state"], delivery["priority"]) == ("owed", 101)


async def test_the_study_of_an_urgent_order_is_urgent(hub: Hub) -> None:
    await hub.send("baishi-his", order(accession="ACC1"))
    await hub.run()
    await hub.pool.execute(
        "update resource set body = (jsonb_set(body::jsonb, '{priority}', '\"stat\"'))::json "
        "where type = 'ServiceRequest'"
    )
    await hub.study(manifest("ACC1"))
    await hub.run()
    (delivery,) = await owed(hub.pool, "pacs")
    assert delivery["priority"] == 1


async def test_an_order_owes_the_question_to_archives_that_know_the_patient_and_once(hub: Hub) -> None:
    await hub.send("baishi-his", register())
    await hub.send("baishi-his", order(accession="ACC1"))
    await hub.run()
    (delivery,) = await owed(hub.pool, "archive")
    asked = read_payload(delivery["payload"])
    assert isinstance(asked, PriorsOwed)
    assert (asked.facility, asked.patient_ids, asked.modality) == ("baishi", ["BS0001"], "DX")
    assert delivery["control_id"] == "ACC1"
    assert delivery["priority"] in QUESTIONS
    assert asked.issuers == {"BS0001": ["BSHIS"]}
    assert delivery["about"].startswith("ServiceRequest/")
    assert await owed(hub.pool, "elsewhere") == []  # nobody there knows the patient by a number
    await hub.send("baishi-his", order(accession="ACC1", control_id="again"))
    await hub.run()
    assert len(await owed(hub.pool, "archive")) == 1
