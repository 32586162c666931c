"""Results, routes and audit: what one message writes, owes and leaves behind, together or not at all."""

from __future__ import annotations

from itertools import permutations

import asyncpg
import pytest

from engine.clock import now
from engine.config import Community, Route
from engine.mapping import MappingSet
from engine.pipeline import Pipeline
from engine.recording import record
from engine.store import audit, inbox
from engine.store.audit import Audited
from engine.store.database import Connection
from engine.store.records import VersionConflict
from engine.understanding import understand
from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import order, register, result
from tests.integration.engine.workers import blocked, recorded, started


async def test_a_result_whose_order_is_unknown_makes_the_order_it_is_based_on(hub: Hub) -> None:
    await hub.send("baishi-his", result())
    await hub.run()
    report, request = await hub.only("DiagnosticReport"), await hub.only("ServiceRequest")
    assert report["basedOn"] == [{"reference": f"ServiceRequest/{request['id']}"}]
    assert await hub.resources("Task") == []
    assert await hub.held() == 0


async def test_a_result_completes_an_order_that_is_known_and_leaves_it_as_it_is(hub: Hub) -> None:
    await hub.send("baishi-his", order("L1", control_id="M1"))
    await hub.run()
    before = await hub.only("ServiceRequest")
    await hub.send("baishi-his", result("L1"))
    await hub.run()
    assert await hub.only("ServiceRequest") == {**before, "status": "completed"}


async def test_every_reference_of_a_result_leads_to_a_resource_or_a_facility(hub: Hub) -> None:
    await hub.send("baishi-his", result())
    await hub.run()
    rows = await hub.pool.fetch(
        """
        select distinct target #>> '{}' as target
        from resource, jsonb_path_query(body::jsonb, '$.**.reference') target
        """
    )
    known = {row["ref"] for row in await hub.pool.fetch("select type || '/' || id as ref from resource")}
    dangling = {row["target"] for row in rows} - known
    assert all(reference.startswith("Organization/") for reference in dangling)


async def test_a_message_with_two_patients_makes_each_its_own_records(hub: Hub) -> None:
    second = result("L2", patient="BS0002", value="6.20").split(b"\r", 1)[1]
    await hub.send("baishi-his", result("L1", value="5.10") + second)
    assert await hub.pool.fetchval("select count(*) from lane") == 2
    await hub.run()
    observations = await hub.resources("Observation")
    assert {str(o["valueQuantity"]["value"]) for o in observations} == {"5.10", "6.20"}
    assert len({o["subject"]["reference"] for o in observations}) == 2


async def test_a_result_that_gains_a_digit_is_a_new_version(hub: Hub) -> None:
    await hub.send("baishi-his", result(value="5.1", control_id="U1"))
    await hub.run()
    await hub.send("baishi-his", result(value="5.10", control_id="U2"))
    await hub.run()
    text = await hub.pool.fetchval("select body::text from resource where type = 'Observation'")
    assert '"value":5.10' in text
    assert await hub.pool.fetchval("select version from resource where type = 'Observation'") == 2


async def test_the_same_message_under_another_control_id_makes_no_new_version(hub: Hub) -> None:
    await hub.send("baishi-his", result(control_id="U1"))
    await hub.run()
    await hub.send("baishi-his", result(control_id="U2"))
    await hub.run()
    assert await hub.pool.fetchval("select max(version) from resource") == 1
    assert await hub.pool.fetchval("select count(*) from resource_history") == 0


async def test_each_envelope_of_a_batch_is_told_of_the_version_that_it_wrote(hub: Hub) -> None:
    """Two patients of one doctor in one transaction: what each message says of a shared resource is a version."""
    from engine.recording.book import Book

    shared = {"resourceType": "Practitioner", "id": "d1"}
    first, second = hub.ids.next(now()), hub.ids.next(now())
    async with hub.pool.acquire() as connection, connection.transaction():
        book = Book(connection)
        await book.load(["Practitioner/d1"])
        book.put({**shared, "active": True}, first, "m1")
        book.put({**shared, "active": False}, second, "m2")
        assert [book.label("Practitioner/d1", envelope) for envelope in (first, second)] == [
            "Practitioner/d1@1",
            "Practitioner/d1@2",
        ]
        await book.write(now())
    current = await hub.pool.fetchrow("select version, envelope, mapping from resource")
    before = await hub.pool.fetchrow("select version, envelope, mapping from resource_history")
    assert tuple(current) == (2, second, "m2")
    assert tuple(before) == (1, first, "m1")


def _forwarding(community: Community) -> Community:
    routes = [
        Route.model_validate({"id": "copies", "when": {"event": "message"}, "to": {"endpoints": [name]}})
        for name in ("county-his", "baishi-his", "county-his")
    ]
    return community.model_copy(update={"routes": (*community.routes, *routes)})


async def test_a_route_owes_the_bytes_as_they_came_once_and_never_to_their_sender(
    hub: Hub, community: Community, mappings: MappingSet
) -> None:
    payload = register(control_id="KEEP-ME")
    await hub.send("baishi-his", payload)
    async with hub.pool.acquire() as connection:
        await Pipeline(hub.url, _forwarding(community), mappings, now, hub.ids).run_batch(connection)
    (owed,) = await hub.pool.fetch("select * from delivery")
    assert (owed["endpoint"], owed["control_id"], owed["route"]) == ("county-his", "KEEP-ME", "copies")
    assert owed["payload"] == payload
    assert owed["envelope"] == await hub.pool.fetchval("select id from journal")


async def test_records_deliveries_findings_and_audit_commit_together_or_not_at_all(
    hub: Hub, community: Community, mappings: MappingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Audit rows are written last: when they fail, nothing else is there either."""
    await hub.send("baishi-his", order())

    async def broken(connection: Connection, acts: list[Audited], at: object) -> None:
        raise asyncpg.DiskFullError("no space")

    async def attempt() -> None:
        async with hub.pool.acquire() as connection, connection.transaction():
            claimed = await inbox.claim(connection, 1, now())
            walks = [understand(one.envelope, community, mappings) for one in claimed]
            await record(connection, walks, _forwarding(community), hub.ids, now())

    monkeypatch.setattr(audit, "write", broken)
    with pytest.raises(asyncpg.DiskFullError):
        await attempt()
    for table in ("resource", "worklist", "delivery", "audit", "person_key", "patient_link", "accession_counter"):
        assert await hub.pool.fetchval(f"select count(*) from {table}") == 0, table

    monkeypatch.undo()
    await hub.run()
    acts = await hub.pool.fetch("select actor, action, subject from audit where action = 'record'")
    envelope = await hub.pool.fetchval("select id from journal")
    assert [tuple(act) for act in acts] == [("system", "record", f"Envelope/{envelope}")]


async def test_a_facility_that_was_taken_out_of_the_configuration_holds_its_messages(
    hub: Hub, community: Community, mappings: MappingSet
) -> None:
    await hub.send("baishi-his", register())
    facilities = {code: facility for code, facility in community.facilities.items() if code != "baishi"}
    without = community.model_copy(update={"facilities": facilities})
    async with hub.pool.acquire() as connection:
        await Pipeline(hub.url, without, mappings, now, hub.ids).run_batch(connection)
    assert await hub.held() == 1
    assert await hub.open_findings() == ["facility-unknown"]


def _report(status: str, value: str, control_id: str, *, patient: str = "BS0001", at: str = "") -> bytes:
    payload = result(value=value, status=status, control_id=control_id, patient=patient)
    return payload.replace(b"20261121090000||LAB", f"{at}||LAB".encode())


@pytest.mark.parametrize("versions", list(permutations("PFCD")))
async def test_a_report_ends_the_same_in_whatever_order_its_versions_come(hub: Hub, versions: tuple[str, ...]) -> None:
    at = {"P": "20261121090000", "F": "20261121100000", "C": "20261121110000", "D": "20261121120000"}
    for version in versions:
        # OBR-25 has no D: the result is deleted, the report corrected.
        payload = _report(version, f"{ord(version)}.0", version, at=at[version])
        await hub.send("baishi-his", payload.replace(b"LAB|D", b"LAB|C"))
    await hub.run()
    assert (await hub.only("Observation"))["status"] == "entered-in-error"
    assert (await hub.only("DiagnosticReport"))["status"] == "corrected"
    severities = await hub.pool.fetch("select distinct severity from finding where code like 'late-%'")
    assert {row["severity"] for row in severities} <= {"information"}
    assert await hub.held() == 0


async def test_what_came_too_late_is_on_its_envelope_and_named_once(hub: Hub) -> None:
    await hub.send("baishi-his", _report("F", "5.10", "U1"))
    await hub.send("baishi-his", _report("P", "9.99", "U2"))
    await hub.run()
    rows = await hub.pool.fetch("select code, about, envelope from finding")
    assert [row["code"] for row in rows] == ["late-preliminary"]
    resources = await hub.pool.fetchval("select resources::text from outcome where envelope = $1", rows[0]["envelope"])
    assert "Observation" not in resources
    assert "Patient" in resources


async def test_of_two_processes_that_bring_one_report_the_final_one_stays(
    hub: Hub, community: Community, mappings: MappingSet
) -> None:
    """Two patients' lanes and one filler number: both read the record before either has written."""
    await hub.send("baishi-his", _report("F", "5.10", "U1", patient="BS0001"))
    await hub.send("baishi-his", _report("P", "9.99", "U2", patient="BS0002"))
    async with hub.pool.acquire() as first, hub.pool.acquire() as second:
        mine, theirs = first.transaction(), second.transaction()
        await mine.start()
        await theirs.start()
        await recorded(hub, first, community, mappings)
        other = started(recorded(hub, second, community, mappings))
        await blocked(hub.pool, other)
        await mine.commit()
        with pytest.raises(VersionConflict):
            await other
        await theirs.rollback()
    await hub.pool.execute("delete from inbox where envelope = (select min(envelope::text)::uuid from inbox)")
    await hub.run()
    assert str((await hub.only("Observation"))["valueQuantity"]["value"]) == "5.10"
    assert await hub.open_findings() == ["late-preliminary"]


async def test_an_older_word_about_an_order_does_not_overwrite_a_newer(hub: Hub) -> None:
    newer = order(control="XO", text="胸部正侧位DR", control_id="M2").replace(
        b"20261121083500|||D01", b"20261121093500|||D01"
    )
    await hub.send("baishi-his", newer)
    await hub.send("baishi-his", order(control_id="M1"))
    await hub.run()
    request = await hub.only("ServiceRequest")
    assert request["code"]["text"] == "胸部正侧位DR"
    assert "late-version" in await hub.open_findings()
    await hub.send("baishi-his", order(control="CA", control_id="M3"))
    await hub.run()
    assert (await hub.only("ServiceRequest"))["status"] == "revoked"
