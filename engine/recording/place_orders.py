"""What do orders set in motion? A number and a step for the modality, and a request at the centre that reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.clock import CHINA
from engine.config import Facility
from engine.finding import Finding, Severity
from engine.orders import (
    LIMIT_ACCESSION,
    LIMIT_TEXT,
    accessions_of,
    fits_worklist,
    is_cancelled,
    modality_of,
    numbered,
    performed,
    schedule,
    shortened,
    study_uid_for,
    study_uids_of,
)
from engine.recording.tell_centre import tell_centre
from engine.recording.waiting_studies import link_waiting_studies
from engine.recording.work import Work
from engine.store import records, worklist
from engine.store.tokens import of_reference
from engine.store.worklist import Step
from engine.understanding import Understood

Resource = dict[str, Any]

_ORDER_MESSAGES = ("ORM^", "OMI^", "OMG^", "OML^")


async def place_orders(work: Work, walks: Sequence[Understood]) -> None:
    """Acts on every imaging order these messages place, change or cancel.

    Facility by facility: the counters of accession numbers are locked in one order, so that two workers cannot wait
    for each other's.
    """
    placed = [
        (walk, f"ServiceRequest/{resource['id']}")
        for walk in sorted(walks, key=lambda walk: walk.envelope.facility)
        if walk.envelope.message_type.startswith(_ORDER_MESSAGES)
        for resource in walk.resources
        if resource["resourceType"] == "ServiceRequest"
    ]
    placed = [(w, reference) for w, reference in placed if work.book.changed(reference) or not work.replayed(w)]
    if not placed:
        return
    steps = await worklist.by_order(work.connection, [reference.split("/")[1] for _, reference in placed])
    for walk, reference in placed:
        order = work.book.get(reference)
        if order is not None and modality_of(order):
            await _place(work, walk, order, work.steps.get(order["id"]) or steps.get(order["id"]))


async def place_moved_orders(work: Work) -> None:
    """A step that stands on the worklist for one patient must not stay there when its order is another's."""
    if not work.moved_orders:
        return
    steps = await worklist.by_order(work.connection, [order for _, order in work.moved_orders])
    for walk, moved in work.moved_orders:
        order, known = work.book.get(f"ServiceRequest/{moved}"), work.steps.get(moved) or steps.get(moved)
        if order is not None and known is not None:
            await _place(work, walk, order, known)


async def _place(work: Work, walk: Understood, order: Resource, known: Step | None) -> None:
    facility = work.community.facilities[walk.envelope.facility]
    accession = await _accession(work, walk, order, facility, known)
    if not accession:
        return
    study_uid = await _study_uid(work, walk, order, facility, known)
    order = numbered(order, facility.code, accession, study_uid)
    work.put(order, walk)

    await work.book.load([order["subject"]["reference"]])
    patient = work.book.get(order["subject"]["reference"]) or {}
    step = schedule(order, patient, facility.code, accession, study_uid, walk.envelope.received_at)
    if not fits_worklist(step.patient_id, LIMIT_TEXT):
        work.find(_unfit_patient_id(), walk, f"ServiceRequest/{order['id']}")
        return
    step, cut = shortened(step)
    if cut and known is None:
        work.find(_shortened(cut), walk, f"ServiceRequest/{order['id']}")
    studies = await link_waiting_studies(work, walk, order, step)
    if step.state != "cancelled" and (studies or await _was_performed(work, order, known)):
        step = performed(step)
    work.steps[order["id"]] = step
    work.placed_orders.add(order["id"])
    if known is None and step.state != "cancelled":
        work.opened_orders.append((walk, order["id"]))
    if not studies:
        await tell_centre(work, walk, order, None, "ORC-1")
    for study in studies:
        await tell_centre(work, walk, order, study, "ORC-1")


async def _accession(work: Work, walk: Understood, order: Resource, facility: Facility, known: Step | None) -> str:
    """The number the order goes by; empty, with a finding that says why, when it can have none."""
    about = f"ServiceRequest/{order['id']}"
    before = accessions_of(work.book.stored(about) or {})
    for stated in accessions_of(order):
        if stated not in before and not fits_worklist(stated, LIMIT_ACCESSION):
            work.find(_unfit_accession(), walk, about)
        elif stated not in before and known is not None and stated != known.accession:
            work.find(_accession_changed(), walk, about)
    if known is not None:
        return known.accession
    usable = [stated for stated in accessions_of(order) if fits_worklist(stated, LIMIT_ACCESSION)]
    if usable:
        holder = await work.step_with(facility.code, usable[0])
        if holder is None or holder.service_request == order["id"]:
            return usable[0]
        work.find(_accession_in_use(), walk, about)
        return ""
    if is_cancelled(order):
        return ""  # An order that is cancelled before we knew it sets nothing in motion.
    if facility.has_ris:
        work.find(_no_accession(), walk, about)
        return ""
    return await _issued(work, facility.code)


async def _study_uid(work: Work, walk: Understood, order: Resource, facility: Facility, known: Step | None) -> str:
    """The UID that the order brings (IPC-3, ZDS-1), unless the worklist has handed out another; else one of our own."""
    about = f"ServiceRequest/{order['id']}"
    if known is not None:
        before = study_uids_of(work.book.stored(about) or {})
        if any(uid != known.study_uid and uid not in before for uid in study_uids_of(order)):
            work.find(_study_uid_changed(), walk, about)
        return known.study_uid
    for brought in study_uids_of(order)[:1]:
        holder = await work.step_of_study(brought)
        if holder is None or holder.service_request == order["id"]:
            return brought
        work.find(_study_uid_in_use(), walk, about)
    return study_uid_for(order, facility.code)


async def _issued(work: Work, facility: str) -> str:
    """The next number that the facility has not given out itself."""
    day = work.at.astimezone(CHINA).date()
    while True:
        accession = await worklist.issue_accession(work.connection, facility, day)
        if await work.step_with(facility, accession) is None:
            return accession


async def _was_performed(work: Work, order: Resource, known: Step | None) -> bool:
    """Whether the examination took place already, also where its order was cancelled since and now is wanted again."""
    if known is None or known.state not in ("performed", "cancelled"):
        return False
    if known.state == "performed":
        return True
    token = of_reference("based-on", f"ServiceRequest/{order['id']}")
    return bool(await records.find(work.connection, "ImagingStudy", token))


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


def _accession_changed() -> Finding:
    return Finding(
        "accession-changed",
        "The order came with another accession number than the worklist handed out; it goes on by the first one.",
        location="OBR-18",
    )


def _study_uid_in_use() -> Finding:
    return Finding(
        "study-uid-in-use",
        "Another order has this Study Instance UID already; this one goes by a UID of its own, and keeps the number.",
        location="IPC-3",
    )


def _study_uid_changed() -> Finding:
    return Finding(
        "study-uid-changed",
        "The order came with another Study Instance UID than the worklist handed out; it goes on by the first one.",
        location="IPC-3",
    )


def _unfit_accession() -> Finding:
    return Finding(
        "accession-unfit",
        "An accession number has at most 16 characters and no backslash (DICOM PS3.5 §6.2, SH); this one is not used.",
        location="OBR-18",
    )


def _unfit_patient_id() -> Finding:
    return Finding(
        "patient-id-unfit",
        "A modality cannot give this patient identifier back as it is (at most 64 characters, no backslash: DICOM "
        "PS3.5 §6.2, LO), so no study could be linked by it; the order is not on the worklist.",
        location="PID-3",
    )


def _shortened(columns: Sequence[str]) -> Finding:
    return Finding(
        "shortened-for-worklist",
        f"Too long for a worklist, and shortened there only: {', '.join(columns)}.",
        Severity.INFORMATION,
    )
