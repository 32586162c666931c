"""One message of each further type, from its bytes to the record: not held, linked to its patient, found by him."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.store.tokens import of_reference, of_value
from tests.integration.engine.conftest import Hub

MAPPINGS = Path(__file__).parents[3] / "mappings" / "hl7v2"

CASES = [
    ("SIU/booked_gb18030.hl7", "Appointment", "F26040101", "actor"),
    ("MDM/original_gb18030.hl7", "DocumentReference", "D26040101", "subject"),
    ("REF/referral_gb18030.hl7", "ServiceRequest", "ZZ26040101", "subject"),
    ("RRI/accepted_gb18030.hl7", "ServiceRequest", "ZZ26040101", "subject"),
    ("RDE/new_prescription_gb18030.hl7", "MedicationRequest", "CF0001", "subject"),
    ("RDS/dispensed_gb18030.hl7", "MedicationDispense", "PH2604010001", "subject"),
    ("DFT/charged_gb18030.hl7", "ChargeItem", "T26040101", "subject"),
    ("VXU_V04/given_and_refused.hl7", "Immunization", "V0001", "subject"),
    ("RAS/given_gb18030.hl7", "MedicationAdministration", "PH2604010001", "subject"),
]


async def found(hub: Hub, kind: str, *tokens: str) -> list[Any]:
    rows = await hub.pool.fetch(
        "select id, version from resource where type = $1 and tokens @> $2::text[]", kind, list(tokens)
    )
    return [(row["id"], row["version"]) for row in rows]


@pytest.mark.parametrize(("file", "kind", "number", "link"), CASES, ids=[case[0] for case in CASES])
async def test_what_a_message_tells_of_is_found_by_its_number_and_its_patient(
    hub: Hub, file: str, kind: str, number: str, link: str
) -> None:
    await hub.send("baishi-his", (MAPPINGS / file).read_bytes())
    await hub.run()
    assert await hub.held() == 0
    (patient,) = [each for each in await hub.resources("Patient") if "managingOrganization" in each]
    assert len(await found(hub, kind, of_value("identifier", number))) >= 1
    assert len(await found(hub, kind, of_reference(link, f"Patient/{patient['id']}"))) >= 1


@pytest.mark.parametrize(("file", "kind", "number", "link"), CASES, ids=[case[0] for case in CASES])
async def test_the_same_said_again_under_another_control_id_changes_nothing(
    hub: Hub, file: str, kind: str, number: str, link: str
) -> None:
    payload = (MAPPINGS / file).read_bytes()
    await hub.send("baishi-his", payload)
    await hub.run()
    before = await found(hub, kind, of_value("identifier", number))
    header = payload.split(b"\r", 1)[0].split(b"|")
    header[9] = b"ANOTHER1"
    await hub.send("baishi-his", b"|".join(header) + b"\r" + payload.split(b"\r", 1)[1])
    await hub.run()
    assert await found(hub, kind, of_value("identifier", number)) == before
    assert await hub.pool.fetchval("select count(*) from resource_history") == 0


async def send(hub: Hub, folder: str, *files: str) -> None:
    for file in files:
        await hub.send("baishi-his", (MAPPINGS / folder / file).read_bytes())
        await hub.run()
    assert await hub.held() == 0


async def test_an_appointment_that_is_moved_and_then_missed_stays_one(hub: Hub) -> None:
    await send(hub, "SIU", "booked_gb18030.hl7", "rescheduled.hl7")
    moved = await hub.only("Appointment")
    assert (moved["status"], moved["start"]) == ("booked", "2026-04-05T14:00:00+08:00")
    await send(hub, "SIU", "missed.hl7")
    assert (await hub.only("Appointment"))["status"] == "noshow"


async def test_the_staff_and_the_places_of_a_facility_are_those_that_messages_name(hub: Hub) -> None:
    await send(hub, "SIU", "booked_gb18030.hl7")
    await send(hub, "MFN_M02", "added_gb18030.hl7", "left.hl7")
    (doctor,) = [
        each
        for each in await hub.resources("Practitioner")
        if "D01" in {number["value"] for number in each.get("identifier", ())}
    ]
    assert (doctor["active"], doctor["gender"]) == (False, "female")
    await send(hub, "MFN_M05", "places_gb18030.hl7")
    places = {each["name"]: each.get("status") for each in await hub.resources("Location")}
    assert (places["1床"], places["302"]) == ("active", "inactive")


async def test_a_document_keeps_its_content_when_only_its_state_is_told_of(hub: Hub) -> None:
    await send(hub, "MDM", "notification.hl7")
    assert "data" not in (await hub.only("DocumentReference"))["content"][0]["attachment"]
    await send(hub, "MDM", "original_gb18030.hl7", "obsolete.hl7")
    document = await hub.only("DocumentReference")
    assert document["status"] == "superseded"
    assert "data" in document["content"][0]["attachment"]


async def test_what_is_dispensed_never_changes_the_prescription(hub: Hub) -> None:
    await send(hub, "RDE", "new_prescription_gb18030.hl7")
    before = await hub.resources("MedicationRequest")
    await send(hub, "RDS", "dispensed_gb18030.hl7")
    assert await hub.resources("MedicationRequest") == before
    dispensed = await hub.only("MedicationDispense")
    named = [each["reference"] for each in dispensed["authorizingPrescription"]]
    assert named[0].removeprefix("MedicationRequest/") in {each["id"] for each in before}


async def test_a_prescription_that_is_cancelled_is_the_one_that_was_made(hub: Hub) -> None:
    await send(hub, "RDE", "new_prescription_gb18030.hl7", "cancelled.hl7")
    by_intent = {each["intent"]: each["status"] for each in await hub.resources("MedicationRequest")}
    assert by_intent == {"original-order": "active", "filler-order": "cancelled"}


async def test_a_credit_takes_back_the_charge_of_its_number(hub: Hub) -> None:
    await send(hub, "DFT", "charged_gb18030.hl7", "taken_back.hl7")
    by_number = {
        each["identifier"][0]["value"]: each["status"]
        for each in await hub.resources("ChargeItem")
        if "identifier" in each
    }
    assert by_number == {"T26040101": "aborted"}
