"""What modalities say that they perform becomes a Procedure, and the state of the order it performs."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import msgspec
import pytest
from fhir.resources.R4B.procedure import Procedure
from fhir.resources.R4B.servicerequest import ServiceRequest

from engine.recording.perform_steps import STATE_REASON
from engine.steps import Code, PerformedStep, Scheduled, Series, written
from engine.studies import ManifestFinding
from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import manifest, order

STEP = PerformedStep(
    uid="2.25.501",
    facility="baishi",
    state="IN PROGRESS",
    scheduled=[Scheduled("2.25.1001", "ACC1")],
    patient_id="BS0001",
    modality="DX",
    description="胸部正位DR",
    started="2026-11-21T08:45:00+08:00",
)


async def tell(hub: Hub, **changes: Any) -> UUID:
    step = msgspec.structs.replace(STEP, **changes)
    accepted = await hub.intake.accept_step(
        channel="imaging",
        facility=step.facility,
        peer="DR_BAISHI",
        step_uid=step.uid,
        patient_ids=[step.patient_id],
        payload=written(step),
    )
    await hub.run()
    return accepted.envelope_id


def reasons(order: dict[str, Any]) -> list[dict[str, Any]]:
    return [each["valueCodeableConcept"] for each in order["extension"] if each["url"] == STATE_REASON]


@pytest.fixture
async def order_id(hub: Hub) -> str:
    await hub.send("baishi-his", order(accession="ACC1"))
    await hub.run()
    found: str = (await hub.only("ServiceRequest"))["id"]
    return found


async def test_a_step_in_progress_is_a_procedure_of_its_order(hub: Hub, order_id: str) -> None:
    envelope = await tell(hub, orders=[order_id])
    procedure = await hub.only("Procedure")
    ordered = await hub.only("ServiceRequest")
    assert procedure["status"] == "in-progress"
    assert procedure["basedOn"] == [{"reference": f"ServiceRequest/{order_id}"}]
    assert procedure["subject"] == ordered["subject"]
    assert procedure["performedPeriod"] == {"start": "2026-11-21T08:45:00+08:00"}
    assert ordered["status"] == "active"
    Procedure.model_validate(procedure)
    sources = await hub.pool.fetch("select envelope from resource where type = 'Procedure'")
    assert [row["envelope"] for row in sources] == [envelope]


async def test_a_completed_step_completes_its_order(hub: Hub, order_id: str) -> None:
    await tell(hub, orders=[order_id])
    await tell(hub, orders=[order_id], state="COMPLETED", ended="2026-11-21T08:50:00+08:00",
               series=[Series("2.25.9", instances=2)])  # fmt: skip
    procedure = await hub.only("Procedure")
    assert procedure["status"] == "completed"
    assert procedure["performedPeriod"]["end"] == "2026-11-21T08:50:00+08:00"
    assert (await hub.only("ServiceRequest"))["status"] == "completed"


async def test_a_discontinued_step_leaves_its_order_active_with_the_reason(hub: Hub, order_id: str) -> None:
    reason = Code("110501", "DCM", "Equipment failure")
    others = [each["url"] for each in (await hub.only("ServiceRequest"))["extension"]]
    await tell(hub, orders=[order_id])
    await tell(hub, orders=[order_id], state="DISCONTINUED", reason=reason)
    procedure, ordered = await hub.only("Procedure"), await hub.only("ServiceRequest")
    assert procedure["status"] == "stopped"
    assert procedure["statusReason"]["coding"] == [
        {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "110501", "display": "Equipment failure"}
    ]
    assert ordered["status"] == "active"
    assert [each["text"] for each in reasons(ordered)] == ["Equipment failure"]
    ServiceRequest.model_validate(ordered)
    await tell(hub, uid="2.25.502", orders=[order_id])  # begun anew
    begun_anew = await hub.only("ServiceRequest")
    assert reasons(begun_anew) == []
    assert [each["url"] for each in begun_anew["extension"]] == others


async def test_a_step_that_has_ended_is_not_begun_again_by_an_older_notice(hub: Hub, order_id: str) -> None:
    await tell(hub, orders=[order_id], state="COMPLETED")
    await tell(hub, orders=[order_id])
    assert (await hub.only("Procedure"))["status"] == "completed"
    assert (await hub.only("ServiceRequest"))["status"] == "completed"


async def test_a_step_of_no_order_is_of_the_patient_whom_the_modality_names(hub: Hub) -> None:
    found = ManifestFinding("step-without-order", "No order of the facility has these numbers.")
    await tell(hub, findings=[found])
    procedure = await hub.only("Procedure")
    assert procedure["subject"]["identifier"]["value"] == "BS0001"
    assert "basedOn" not in procedure
    Procedure.model_validate(procedure)
    await tell(hub, findings=[found], state="COMPLETED")
    assert await hub.open_findings() == ["step-without-order"]  # told once of a step
    await tell(hub, uid="2.25.502", patient_id="", findings=[found])
    assert await hub.open_findings() == ["step-without-order"] * 2


async def test_a_step_of_a_cancelled_order_is_recorded_and_told(hub: Hub, order_id: str) -> None:
    await hub.send("baishi-his", order(accession="ACC1", control="CA", control_id="M2"))
    await hub.run()
    await tell(hub, orders=[order_id], state="COMPLETED")
    assert (await hub.only("ServiceRequest"))["status"] == "revoked"
    assert (await hub.only("Procedure"))["status"] == "completed"
    assert await hub.open_findings() == ["step-of-cancelled-order"]


async def test_the_objects_of_a_completed_step_are_linked_as_ever(hub: Hub, order_id: str) -> None:
    await tell(hub, orders=[order_id], state="COMPLETED")
    await hub.study(manifest("ACC1"))
    await hub.run()
    assert (await hub.only("ImagingStudy"))["basedOn"] == [{"reference": f"ServiceRequest/{order_id}"}]
    assert await hub.open_findings() == []


async def test_an_order_that_is_changed_while_it_is_performed_is_not_offered_again(hub: Hub, order_id: str) -> None:
    await hub.pool.execute("update worklist set performing = 'in-progress'")  # as the gateway does
    await hub.send("baishi-his", order(accession="ACC1", control="XO", control_id="M2", text="胸部正侧位DR"))
    await hub.run()
    row = await hub.pool.fetchrow("select state, performing, procedure_text from worklist")
    assert tuple(row) == ("scheduled", "in-progress", "胸部正侧位DR")


async def test_what_is_no_notice_is_held(hub: Hub) -> None:
    await hub.intake.accept_step(
        channel="imaging", facility="baishi", peer="DR_BAISHI", step_uid="2.25.1", patient_ids=[],
        payload=json.dumps({"uid": "2.25.1"}).encode(),
    )  # fmt: skip
    await hub.run()
    assert await hub.held() == 1
    assert await hub.open_findings() == ["step-unreadable"]
