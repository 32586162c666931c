"""Whose examination is a study? Linked to its order when facility, accession and patient identifier agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.finding import Finding
from engine.orders import is_cancelled, performed
from engine.recording.leave_order import leave_order
from engine.recording.merge import merge
from engine.recording.tell_centre import tell_centre
from engine.recording.work import Work
from engine.store.reconcile_cases import StudyKey
from engine.store.worklist import Step
from engine.studies import PATIENT_CONFLICT, Manifest, linked
from engine.understanding import Understood

Resource = dict[str, Any]


async def link_studies(work: Work, walks: Sequence[Understood]) -> None:
    """Records each study, linked to its order or with the finding that says why it is not."""
    for walk in walks:
        assert walk.manifest is not None
        await _link(work, walk, walk.manifest)


async def _link(work: Work, walk: Understood, manifest: Manifest) -> None:
    step = None if manifest.is_empty else await work.step_with(manifest.facility, manifest.accession)
    await work.book.load(
        [f"{resource['resourceType']}/{resource['id']}" for resource in walk.resources]
        + ([f"ServiceRequest/{step.service_request}"] if step else [])
    )
    study = next(resource for resource in walk.resources if resource["resourceType"] == "ImagingStudy")
    order = work.book.get(f"ServiceRequest/{step.service_request}") if step else None
    disagreement = None if manifest.is_empty else manifest.disagreement(step)
    if manifest.is_empty or disagreement is not None or step is None or order is None:
        await _keep_unlinked(work, walk, manifest, disagreement)
        return
    differences = [d for d in (manifest.differs_in_name(step), manifest.differs_in_birth_date(step)) if d is not None]
    for differs in differences:
        work.find(differs, walk, manifest.study_reference)
    _keep_case(work, manifest, {differs.code for differs in differences})
    await leave_order(work, walk, manifest.study_reference, order["id"])
    study = linked(merge(work.book.get(manifest.study_reference), study), order)
    work.put(study, walk)
    work.linked_studies.append(manifest.study_reference)
    await _hand_over(work, walk, order, study, step)


async def _keep_unlinked(work: Work, walk: Understood, manifest: Manifest, disagreement: Finding | None) -> None:
    """Recorded under the patient that its objects name; a link that was made before stays, unless people decided.

    Objects that now name another patient than the order they are linked to are told of all the same.
    """
    current = work.book.get(manifest.study_reference)
    stays = current is not None and bool(current.get("basedOn")) and not manifest.is_decided_on
    for resource in walk.resources:
        known = work.book.get(f"{resource['resourceType']}/{resource['id']}")
        if resource["resourceType"] == "Patient":
            # What the registration says of its own patient stands; the objects only repeat it, in pinyin perhaps.
            if not stays and (known is None or not manifest.issuer):
                work.put(merge(known, resource), walk)
        elif known is not None and stays:
            work.put({**merge(known, resource), "subject": known["subject"]}, walk)
        else:
            await leave_order(work, walk, manifest.study_reference)
            work.put(merge(known, {**resource, "basedOn": None}), walk)
    told = disagreement is not None and (not stays or disagreement.code == PATIENT_CONFLICT)
    if disagreement is not None and told:
        work.find(disagreement, walk, manifest.study_reference)
    _keep_case(work, manifest, {disagreement.code} if disagreement is not None and told else set())


def _keep_case(work: Work, manifest: Manifest, codes: set[str]) -> None:
    key = StudyKey(manifest.facility, manifest.study_uid, manifest.study_reference)
    work.cases[key] = codes | manifest.doubts()
    if manifest.is_decided_on:
        work.decided.append(key)


async def _hand_over(work: Work, walk: Understood, order: Resource, study: Resource, step: Step) -> None:
    if is_cancelled(order):
        work.find(_cancelled(), walk, f"ImagingStudy/{study['id']}")
        return
    if step.state != "performed":
        work.steps[step.service_request] = performed(step)
    await tell_centre(work, walk, order, study, "(0008,0050)")


def _cancelled() -> Finding:
    return Finding(
        "study-of-cancelled-order",
        "The order of this study is cancelled, so nobody was asked to read it.",
        location="(0008,0050)",
    )
