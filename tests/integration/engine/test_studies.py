"""Studies that come again, come first, or name another patient than their order."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from engine.centres.request import transitions
from engine.config import Community
from engine.store import records
from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import manifest, order, register

AT = datetime(2026, 11, 20, 4, tzinfo=UTC)


def _with_instances(study: dict[str, Any], count: int) -> dict[str, Any]:
    (series,) = study["series"]
    instances = [{**series["instances"][0], "sop_uid": f"2.25.{n}", "number": n} for n in range(1, count + 1)]
    return {**study, "series": [{**series, "instances": instances}]}


async def test_a_study_sent_again_with_more_instances_grows_and_keeps_its_link(hub: Hub) -> None:
    await hub.send("baishi-his", order(accession="ACC1"))
    await hub.study(manifest("ACC1"))
    await hub.run()
    await hub.study(_with_instances(manifest("ACC1"), 3))
    await hub.run()
    study = await hub.only("ImagingStudy")
    assert study["numberOfInstances"] == 3
    assert study["basedOn"]
    assert await hub.pool.fetchval("select version from resource where type = 'ImagingStudy'") == 2
    assert len((await hub.only("Task"))["input"]) == 1
    assert await hub.pool.fetchval("select version from resource where type = 'Task'") == 2


async def test_a_linked_study_whose_objects_now_name_another_patient_stays_linked_and_is_told(hub: Hub) -> None:
    await hub.send("baishi-his", order(accession="ACC1"))
    await hub.study(manifest("ACC1"))
    await hub.run()
    subject = (await hub.only("ImagingStudy"))["subject"]
    await hub.study(_with_instances(manifest("ACC1", patient="BS0002"), 2))
    await hub.run()
    study = await hub.only("ImagingStudy")
    assert study["basedOn"]
    assert study["subject"] == subject
    assert study["numberOfInstances"] == 2
    assert "study-patient-conflict" in await hub.open_findings()


async def test_the_finding_of_a_waiting_study_settles_when_its_order_comes(hub: Hub) -> None:
    await hub.study(manifest("ACC1"))
    await hub.run()
    await hub.send("baishi-his", order(accession="ACC1"))
    await hub.run()
    assert await hub.open_findings() == []
    settled = await hub.pool.fetchrow("select code, settled_by, settlement from finding")
    assert (settled["code"], settled["settled_by"]) == ("study-without-order", "system")


async def test_a_study_that_came_first_under_another_name_is_linked_and_told(hub: Hub) -> None:
    await hub.study(manifest("ACC1", name="Wang^Wu"))
    await hub.run()
    await hub.send("baishi-his", order(accession="ACC1"))
    await hub.run()
    assert (await hub.only("ImagingStudy"))["basedOn"]
    assert await hub.open_findings() == ["study-name-differs"]


async def test_a_study_that_came_first_from_another_issuer_is_not_linked(hub: Hub) -> None:
    await hub.study({**manifest("ACC1"), "issuer": "OTHER"})
    await hub.run()
    await hub.send("baishi-his", order(accession="ACC1"))
    await hub.run()
    assert "basedOn" not in await hub.only("ImagingStudy")


async def test_objects_do_not_overwrite_what_the_registration_says_of_the_patient(hub: Hub) -> None:
    await hub.send("baishi-his", register())
    await hub.run()
    await hub.study({**manifest("UNKNOWN", name="Shi^Xiuying"), "issuer": "BSHIS", "birth_date": "19000101"})
    await hub.run()
    (source,) = [p for p in await hub.resources("Patient") if "meta" not in p]
    assert source["name"][0]["family"] == "石"
    assert source["birthDate"] == "1963-05-12"
    assert (await hub.only("ImagingStudy"))["subject"] == {"reference": f"Patient/{source['id']}"}


async def test_a_second_study_of_one_order_joins_its_request(hub: Hub, community: Community) -> None:
    await hub.send("baishi-his", order(accession="ACC1"))
    await hub.study(manifest("ACC1"))
    await hub.study(manifest("ACC1", study_uid="2.25.2002", sop="2.25.9"))
    await hub.run()
    assert all(study["basedOn"] for study in await hub.resources("ImagingStudy"))
    assert len((await hub.only("Task"))["input"]) == 2


async def test_late_instances_are_told_to_the_centre_once(hub: Hub) -> None:
    await hub.send("baishi-his", order(accession="ACC1"))
    await hub.study(manifest("ACC1"))
    await hub.run()
    await hub.study({**_with_instances(manifest("ACC1"), 3), "late": ["2.25.2", "2.25.3"]})
    await hub.run()
    steps = transitions(await hub.only("Task"))
    assert [(step.action, step.state, step.comment) for step in steps[2:]] == [("study-grew", "waiting", "+2")]
    assert await hub.open_findings() == ["study-late"]


async def test_a_late_study_whose_order_comes_only_now_opens_its_request_as_any_other(hub: Hub) -> None:
    await hub.study({**_with_instances(manifest("ACC1"), 2), "late": ["2.25.2"]})
    await hub.send("baishi-his", order(accession="ACC1"))
    await hub.run()
    assert [step.action for step in transitions(await hub.only("Task"))][-1] != "study-grew"


async def test_instances_that_come_after_the_report_was_signed_are_a_finding(hub: Hub) -> None:
    await hub.send("baishi-his", order(accession="ACC1"))
    await hub.study(manifest("ACC1"))
    await hub.run()
    task = await hub.only("Task")
    signed = json.loads(json.dumps(task).replace('"waiting"', '"signed"'))
    async with hub.pool.acquire() as connection:
        await records.put_many(connection, [records.Change(signed, actor="wang")], AT)
    await hub.study({**_with_instances(manifest("ACC1"), 2), "late": ["2.25.2"]})
    await hub.run()
    assert await hub.open_findings() == ["study-late", "study-late-after-report"]
