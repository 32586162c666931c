"""A signed report reaches a HIS that was down, busy or confused, as the same bytes, and nobody else waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from conformance import plan
from conformance.cast import BAISHI, QINGXI
from conformance.examination import SOON_SECS, Returned
from conformance.plan import Examination
from conformance.simulators.http import HubHttp
from conformance.simulators.people import id_card
from conformance.simulators.township_his import Answer, HisInbox
from conformance.story import Stage, examine, issue_tokens
from conformance.waiting import until
from engine.clock import CHINA, now

if TYPE_CHECKING:
    from tests.acceptance.conftest import RunningHub

pytestmark = pytest.mark.acceptance

USERS = ("wang", "li", "chen", "zhao")


@asynccontextmanager
async def staged(hub: RunningHub) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        inboxes = {site.endpoint: HisInbox(site.his, hub.endpoints[site.endpoint]) for site in (BAISHI, QINGXI)}
        for inbox in inboxes.values():
            await inbox.open()
            stack.push_async_callback(inbox.go_down)
        tokens = await issue_tokens(hub.sockets.http, hub.administrator, USERS)
        yield Stage(hub.sockets, tokens, inboxes, clock=lambda: now().astimezone(CHINA), ids=uuid4)


def ecg_of(local_id: str) -> Examination:
    """The example's ECG, of somebody else."""
    usual = plan.resting_ecg()
    born = usual.patient.birth_on
    return replace(usual, patient=replace(usual.patient, local_id=local_id, id_card=id_card(born, "F", local_id)))


async def attempted(hub: RunningHub, endpoint: str, outcome: str) -> dict[str, Any]:
    """The owed delivery to an endpoint, once an attempt of it ended so."""
    async with HubHttp(hub.sockets.http, hub.administrator) as http:

        async def ask() -> dict[str, Any] | None:
            for delivery in (await http.get("/api/deliveries", state="owed"))["deliveries"]:
                outcomes = {attempt["outcome"] for attempt in delivery["latest_attempts"]}
                if delivery["endpoint"] == endpoint and outcome in outcomes:
                    return dict(delivery)
            return None

        return await until(f"an attempt that ended with {outcome}", ask, within_secs=SOON_SECS)


async def test_a_his_that_is_down_gets_its_report_when_it_is_back_and_others_do_not_wait(hub: RunningHub) -> None:
    async with staged(hub) as stage:
        down = stage.inboxes[BAISHI.endpoint]
        await down.go_down()
        waiting = asyncio.create_task(examine(stage, plan.chest_radiograph(patient_id="BS-DOWN")))
        owed = await attempted(hub, BAISHI.endpoint, "unreachable")
        other = await examine(stage, ecg_of("QX-OTHER"))
        assert other.oru.value("PID", 3) == "QX-OTHER"
        assert not waiting.done()
        await down.open()
        returned = await waiting
        assert returned.oru.value("MSH", 10) == owed["control_id"]
        assert {message.payload for message in down.received} == {returned.oru.payload}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(Answer.BUSY, "refused-for-now"), (Answer.ANOTHER, "ack-mismatch")],
    ids=["busy", "confused"],
)
async def test_a_report_that_was_not_accepted_is_sent_again_as_the_same_bytes(
    hub: RunningHub, answer: Answer, outcome: str
) -> None:
    async with staged(hub) as stage:
        inbox = stage.inboxes[QINGXI.endpoint]
        inbox.answer = answer
        waiting: asyncio.Task[Returned] = asyncio.create_task(examine(stage, ecg_of(f"QX-{outcome}")))
        await attempted(hub, QINGXI.endpoint, outcome)
        inbox.answer = Answer.ACCEPT
        returned = await waiting
        payloads = {message.payload for message in inbox.received}
        assert len(inbox.received) >= 2
        assert payloads == {returned.oru.payload}
