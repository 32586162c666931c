"""One look at the whole hub, and one at every field of an envelope."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import asyncpg
import httpx
import pytest

from engine.api.app import create_app
from engine.api.services import Services
from engine.cli.assembly import mappings_of
from engine.config import Community
from engine.mapping import MappingSet
from engine.store import access
from tests.integration.api.conftest import NOW, client_with
from tests.integration.api.test_console import IDS, Journal, traced

ADT = (
    "MSH|^~\\&|HIS|BS|H|H|20260302083000||ADT^A04|C1|P|2.4||||||GB18030\r\n"
    "EVN||20260302083000\r\n"
    "PID|1||MRN-1||单^雅芳||19800105|F\r\n"
    "PV1|1|O"
).encode("gb18030")


@pytest.fixture
def journal(pool: asyncpg.Pool) -> Journal:
    return Journal(pool)


@pytest.fixture(scope="session")
def mappings(community: Community) -> MappingSet:
    return mappings_of(community)


@pytest.fixture
async def mapping_admin(
    services: Services, pool: asyncpg.Pool, mappings: MappingSet
) -> AsyncIterator[httpx.AsyncClient]:
    """The administrator of a hub that can map."""
    app = create_app(replace(services, mapping_set=mappings))
    async with pool.acquire() as connection:
        token = await access.issue(connection, access.ADMINISTRATOR, NOW)
    async with client_with(app, token) as client:
        yield client


async def test_every_element_is_told_with_its_rule_and_the_segment_it_came_from(
    mapping_admin: httpx.AsyncClient, reader: httpx.AsyncClient, journal: Journal, pool: asyncpg.Pool
) -> None:
    envelope = await journal.envelope(ADT, control_id="C1", state="processed")
    path = f"/api/envelopes/{envelope}/mapped"
    assert (await reader.get(path)).status_code == 403
    told = (await mapping_admin.get(path)).json()
    segments = {segment["name"]: segment for segment in told["segments"]}
    assert list(segments) == ["MSH", "EVN", "PID", "PV1"]
    assert all(ADT[s["start"] : s["end"]].decode("gb18030") == s["text"] for s in told["segments"])
    (family,) = [f for f in told["fields"] if f["resource"].startswith("Patient/") and f["path"] == "name[0].family"]
    assert (family["value"], family["field"][:5]) == ("单", "PID-5")
    assert segments["PID"]["start"] <= family["start"] < segments["PID"]["end"]
    assert ADT[family["start"] : family["end"]].decode("gb18030").startswith("单")
    assert family["rule"]
    assert told["mapping"] == "ORM_O01@1+ab12cd"
    assert told["mapping_changed"]
    assert await pool.fetchval("select count(*) from audit where action = 'read-payload'") == 1


@pytest.mark.parametrize("payload", [b"", b"\x00\xff\xfe", b"MSH", b"\r\n\r\r", b"MSH|^~\\&|\xb5\xa5\x81"])
async def test_what_nobody_can_read_has_segments_and_no_fields(
    mapping_admin: httpx.AsyncClient, journal: Journal, payload: bytes
) -> None:
    envelope = await journal.envelope(payload, control_id="C1", state="held")
    answer = await mapping_admin.get(f"/api/envelopes/{envelope}/mapped")
    assert answer.status_code == 200, answer.text
    assert answer.json()["fields"] == []


async def test_an_envelope_that_is_not_there_or_is_enormous_is_not_mapped(
    mapping_admin: httpx.AsyncClient, journal: Journal
) -> None:
    assert (await mapping_admin.get(f"/api/envelopes/{IDS.next(NOW)}/mapped")).status_code == 404
    enormous = await journal.envelope(b"x" * (5 * 1024 * 1024), control_id="C1", state="held")
    assert (await mapping_admin.get(f"/api/envelopes/{enormous}/mapped")).status_code == 404


async def test_a_correction_and_what_it_stands_for_are_told_with_each_other(
    admin: httpx.AsyncClient, journal: Journal, pool: asyncpg.Pool
) -> None:
    first = await journal.envelope(ADT, control_id="C1", state="replaced")
    second = await journal.envelope(ADT, control_id="C2", state="processed")
    await pool.execute("insert into replacement values ($1, $2, $2, $3, 'wang', '改正了 PID-7')", second, first, NOW)
    await pool.execute("update outcome set actor = 'wang', reason = '改正了 PID-7' where envelope = $1", first)
    (told,) = (await traced(admin, "C1"))["envelopes"]
    assert (told["replaced_by"], told["asked_by"], told["asked_why"]) == (str(second), "wang", "改正了 PID-7")
    (told,) = (await traced(admin, "C2"))["envelopes"]
    assert told["replaces"] == str(first)


async def test_a_routed_envelope_names_route_and_endpoint(
    admin: httpx.AsyncClient, journal: Journal, pool: asyncpg.Pool
) -> None:
    envelope = await journal.envelope(ADT, control_id="C1", state="processed")
    delivery = await journal.delivery("Task/1", "owed")
    await pool.execute("update delivery set envelope = $1 where id = $2", envelope, delivery)
    (told,) = (await traced(admin, "C1"))["envelopes"]
    (routed,) = [step for step in told["steps"] if step["step"] == "routed"]
    assert (routed["state"], routed["note"]) == ("done", "back → baishi-his")


async def test_one_look_shows_channels_endpoints_what_waits_and_what_is_wrong(
    reader: httpx.AsyncClient, journal: Journal, pool: asyncpg.Pool
) -> None:
    await journal.envelope(ADT, control_id="C1", state="held")
    await journal.envelope(ADT, control_id="C2", state="accepted")
    await journal.delivery("Task/1", "owed")
    await journal.delivery("Task/1", "refused")
    await pool.execute("insert into channel_watch values ('baishi-his', $1, $1), ('gone', $1, $1)", NOW)
    days = [(NOW - timedelta(days=ago)).date() for ago in (0, 1, 6, 7)]
    await pool.executemany("insert into channel_day values ('baishi-his', $1, 10, 5)", [(day,) for day in days])
    seen = (await reader.get("/api/status")).json()
    (channel,) = seen["channels"]
    assert (channel["channel"], channel["today"], channel["yesterday"], channel["seven_days"]) == (
        "baishi-his",
        10,
        10,
        30,
    )
    assert (seen["inbox"]["accepted"], seen["inbox"]["held"]) == (1, 1)
    endpoint = next(line for line in seen["endpoints"] if line["endpoint"] == "baishi-his")
    assert (endpoint["owed"], endpoint["refused"], endpoint["last_error"]) == (1, 1, "refused-connection")
    assert seen["alerts"] == []
