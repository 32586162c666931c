"""An order that is withdrawn is neither examined nor read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from conformance import plan
from conformance.cast import BAISHI
from conformance.examination import SOON_SECS, new_uid
from conformance.simulators.dicom_address import DicomAddress
from conformance.simulators.http import HubHttp
from conformance.simulators.mllp import MllpConnection
from conformance.simulators.modality import Modality, ScheduledStep
from conformance.simulators.township_his import HisClient, ImagingOrder
from conformance.waiting import until
from engine.clock import CHINA, now

if TYPE_CHECKING:
    from tests.acceptance.conftest import RunningHub

pytestmark = pytest.mark.acceptance

ACCESSION = "ACC-WITHDRAWN"


async def test_a_cancelled_order_leaves_the_worklist_and_the_centre(hub: RunningHub) -> None:
    patient, at = plan.chest_radiograph(patient_id="BS-CANCEL").patient, now().astimezone(CHINA)
    order = ImagingOrder("BS-C1", "DR-CHEST", "胸部正位DR", "DX", ACCESSION, "体检", ("BS007", "何医生"), at)
    called = DicomAddress("127.0.0.1", hub.sockets.dicom_port, hub.sockets.ae_title)
    modality = Modality(BAISHI.ae_title, called, station=BAISHI.name, charset="GB18030", uids=new_uid)

    async def scheduled() -> list[ScheduledStep]:
        return await asyncio.to_thread(modality.worklist, "DX", patient_id=patient.local_id)

    async def appeared() -> list[ScheduledStep] | None:
        return await scheduled() or None

    async def gone() -> bool | None:
        return True if not await scheduled() else None

    async with MllpConnection("127.0.0.1", hub.sockets.mllp[BAISHI.channel]) as connection:
        his = HisClient(BAISHI.his, connection, uuid4)
        await his.order(patient, "V1", order)
        (step,) = await until("the order in the worklist", appeared, within_secs=SOON_SECS)
        assert step.accession == ACCESSION
        await his.cancel(patient, "V1", order, at)
        await until("the order off the worklist", gone, within_secs=SOON_SECS)
    assert await request_states(hub) == ["cancelled"]


async def request_states(hub: RunningHub) -> list[str]:
    states = ["awaiting-study", "waiting", "cancelled"]
    async with HubHttp(hub.sockets.http, hub.administrator) as http:
        rows: list[dict[str, Any]] = []
        for state in states:
            rows += (await http.get("/api/requests", state=state))["requests"]
    return [row["state"] for row in rows if row["accession"] == ACCESSION]
