"""What modalities and imaging systems are owed to hear stands among the deliveries, and in the trace of its study."""

from __future__ import annotations

from typing import Any

import httpx

from engine.clock import now
from engine.config import Community
from engine.finding import Finding, Severity
from engine.store import notifications, outbox, stranded, watching
from engine.store.findings import Raised, raise_many
from engine.store.notifications import Notification, Operation, Owed
from engine.store.outbox import Due
from engine.studies import study_id
from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import manifest
from tests.integration.operate.conftest import ask

STUDY = "2.25.1001"
MODALITY = "ae:imaging/DR_BAISHI"
MESSAGE = Notification(Operation.CREATE, "1.2.840.10008.5.1.4.33", "2.25.7", "1.2.840.10008.1.2", b"\x08\x00")
WHY: dict[str, Any] = {"reason": "对方已修好"}


async def owe(hub: Hub, destination: str, control_id: str = STUDY, about: str | None = None) -> Due:
    async with hub.pool.acquire() as connection, connection.transaction():
        owed = Owed(destination, MESSAGE, control_id, about, "availability_of")
        (due,) = await notifications.owe(connection, [owed], now())
    return due


async def refuse(hub: Hub, due: Due) -> None:
    async with hub.pool.acquire() as connection, connection.transaction():
        await outbox.refused(connection, due, "status-0110", "processing failure", now())
        finding = Finding("delivery-refused", "It does not take it.", Severity.ERROR)
        await raise_many(connection, [Raised(finding, about=f"Delivery/{due.id}")], now())


async def test_they_are_listed_by_destination_and_sent_again_in_bulk(hub: Hub, it: httpx.AsyncClient) -> None:
    for due in [await owe(hub, MODALITY), await owe(hub, MODALITY), await owe(hub, "city-pacs")]:
        await refuse(hub, due)
    (line,) = [one for one in (await it.get("/api/deliveries/backlog")).json() if one["endpoint"] == MODALITY]
    assert (line["configured"], line["owed"], line["refused"]) == (True, 0, 2)
    found = await it.get("/api/deliveries", params={"endpoint": MODALITY, "error": "status-0110"})
    page = found.json()["deliveries"]
    assert [(one["control_id"], one["route"], one["attempts"]) for one in page] == [(STUDY, "availability_of", 1)] * 2
    assert page[0]["latest_attempts"][0]["detail"] == "processing failure"

    assert (await ask(it, "/api/deliveries/retry", endpoint=MODALITY, state="refused", **WHY))["count"] == 2
    (line,) = [one for one in (await it.get("/api/deliveries/backlog")).json() if one["endpoint"] == MODALITY]
    assert (line["owed"], line["refused"]) == (2, 0)
    status = (await it.get("/api/status")).json()["endpoints"]
    assert [one["owed"] for one in status if one["endpoint"] == MODALITY] == [2]
    assert not [one for one in status if one["endpoint"].startswith("ae:") and one["endpoint"] != MODALITY]


async def test_of_devices_with_one_title_each_has_its_own_line(hub: Hub, it: httpx.AsyncClient) -> None:
    namesake = "ae:imaging:baishi/DR_BAISHI"
    for destination in (MODALITY, namesake):
        await owe(hub, destination)
    found = await it.get("/api/deliveries", params={"endpoint": namesake})
    assert [one["endpoint"] for one in found.json()["deliveries"]] == [namesake]


async def test_a_destination_that_is_none_is_no_filter(it: httpx.AsyncClient) -> None:
    for name in ("ae:imaging", "ae:imaging/", "ae:imaging/A_TITLE_THAT_IS_FAR_TOO_LONG", "'; drop table delivery"):
        assert (await it.get("/api/deliveries", params={"endpoint": name})).status_code in (400, 422), name


async def test_the_trace_of_a_study_shows_who_was_told_of_it(hub: Hub, it: httpx.AsyncClient) -> None:
    await hub.study(manifest("ACC1"))
    await hub.run()
    uid = str(manifest("ACC1")["study_uid"])
    about = f"ImagingStudy/{study_id('baishi', uid)}"
    due = await owe(hub, "city-pacs", uid, about)
    commitment = await owe(hub, "city-pacs", "2.25.99", about)
    for word in (uid, "2.25.99", str(due.id)):
        known = (await it.get("/api/trace", params={"word": word})).json()
        told = {one["id"] for one in known["deliveries"]}
        told |= {one["id"] for envelope in known["envelopes"] for one in envelope["deliveries"]}
        assert told == {str(due.id), str(commitment.id)}, word


async def test_who_is_away_is_seen_and_who_is_known_is_not_stranded(hub: Hub, community: Community) -> None:
    due = await owe(hub, MODALITY)
    await owe(hub, "ae:imaging/NOBODY")
    async with hub.pool.acquire() as connection:
        await outbox.postponed(connection, due, "unreachable", "the peer cannot be reached", now(), now())
        (seen,) = await watching.endpoints_seen(connection, community.destinations)
        assert (seen.endpoint, seen.owed, seen.last_error) == (MODALITY, 1, "unreachable")
        await stranded.tell(connection, community.destinations, now())
    assert await hub.open_findings() == ["endpoint-unknown"]
