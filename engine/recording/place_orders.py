"""What do orders set in motion? A number and a step for the modality, and a request at the centre that reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine import centres, routing
from engine.clock import CHINA
from engine.errors import RequestStateError
from engine.finding import Finding
from engine.identifiers import facility_system, resource_id
from engine.orders import accession_of, modality_of, numbered, performed, schedule, study_uid_for
from engine.recording.work import Work
from engine.store import records, worklist
from engine.store.tokens import of_system_and_value
from engine.store.worklist import Step
from engine.studies import linked
from engine.understanding import Understood

Resource = dict[str, Any]

_ORDER_MESSAGES = ("ORM^", "OMI^", "OMG^", "OML^")


async def place_orders(work: Work, walks: Sequence[Understood]) -> None:
    """Acts on every imaging order these messages place, change or cancel."""
    placed = [
        (walk, f"ServiceRequest/{resource['id']}")
        for walk in walks
        if walk.envelope.message_type.startswith(_ORDER_MESSAGES)
        for resource in walk.resources
        if resource["resourceType"] == "ServiceRequest"
    ]
    if not placed:
        return
    steps = await worklist.by_order(work.connection, [reference.split("/")[1] for _, reference in placed])
    for walk, reference in placed:
        order = work.book.get(reference)
        if order is not None and modality_of(order):
            await _place(work, walk, order, steps.get(order["id"]))


async def _place(work: Work, walk: Understood, order: Resource, known: Step | None) -> None:
    facility = work.community.facilities[walk.envelope.facility]
    accession = accession_of(order)
    if not accession and known is not None:
        accession = known.accession
    if not accession and facility.has_ris:
        work.find(_no_accession(), walk, f"ServiceRequest/{order['id']}")
        return
    if accession:
        holder = await work.step_with(facility.code, accession)
        if holder is not None and holder.service_request != order["id"]:
            work.find(_accession_in_use(), walk, f"ServiceRequest/{order['id']}")
            return
    else:
        day = work.at.astimezone(CHINA).date()
        accession = await worklist.issue_accession(work.connection, facility.code, day)
    study_uid = known.study_uid if known else study_uid_for(order, facility.code)
    order = numbered(order, facility.code, accession, study_uid)
    work.put(order, walk)

    await work.book.load([order["subject"]["reference"]])
    patient = work.book.get(order["subject"]["reference"]) or {}
    step = schedule(order, patient, facility.code, accession, study_uid, walk.envelope.received_at)
    study = await _study_that_came_first(work, walk, order, step)
    if study is not None or (known is not None and known.state == "performed" and step.state == "scheduled"):
        step = performed(step)
    work.steps[order["id"]] = step
    await _ask_centre(work, walk, order, study)


async def _study_that_came_first(work: Work, walk: Understood, order: Resource, step: Step) -> Resource | None:
    """A study of this facility and accession that waited unlinked, linked now if its patient identifier agrees."""
    token = of_system_and_value("identifier", facility_system(step.facility, "accession"), step.accession)
    for stored in await records.find(work.connection, "ImagingStudy", token):
        await work.book.load([stored.reference, stored.body["subject"].get("reference", "Patient/unknown")])
        study = work.book.get(stored.reference)
        if study is None or study.get("basedOn"):
            continue
        patient = work.book.get(study["subject"].get("reference", "Patient/unknown")) or {}
        if step.patient_id in {identifier.get("value") for identifier in patient.get("identifier", ())}:
            study = linked(study, order)
            work.put(study, walk)
            return study
    return None


async def _ask_centre(work: Work, walk: Understood, order: Resource, study: Resource | None) -> None:
    target = routing.order_placed(work.community, facility=walk.envelope.facility, modality=modality_of(order))
    if target is None:
        return
    centre = work.community.centres[target.centre]
    reference = f"Task/{resource_id('Task', centre.name, order['id'])}"
    await work.book.load([reference])
    task = work.book.get(reference)
    try:
        if order.get("status") in ("revoked", "entered-in-error"):
            if task is not None:
                work.put(centres.order_cancelled(task, work.at), walk)
            return
        if task is None:
            work.put(centres.open_request(order, centre, study, work.at), walk)
            return
        task = centres.order_changed(task, order, work.at)
        work.put(centres.study_arrived(task, study, work.at) if study else task, walk)
    except RequestStateError as error:
        work.find(Finding(error.code, error.message, location="ORC-1"), walk, reference)


def _no_accession() -> Finding:
    return Finding(
        "order-without-accession",
        "The facility has a RIS of its own, but the order carries no accession number; it is not on the worklist.",
        location="OBR-18",
    )


def _accession_in_use() -> Finding:
    return Finding(
        "accession-in-use",
        "Another order of the facility has this accession number already; this one is not on the worklist.",
        location="OBR-18",
    )
