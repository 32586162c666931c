"""Whose examination is a study? Linked to its order when facility, accession and patient identifier agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine import centres, routing
from engine.errors import RequestStateError
from engine.finding import Finding
from engine.identifiers import resource_id
from engine.orders import modality_of, performed
from engine.recording.merge import merge
from engine.recording.work import Work
from engine.store.worklist import Step
from engine.studies import Manifest, linked
from engine.understanding import Understood

Resource = dict[str, Any]


async def link_studies(work: Work, walks: Sequence[Understood]) -> None:
    """Records each study, linked to its order or with the finding that says why it is not."""
    for walk in walks:
        assert walk.manifest is not None
        await _link(work, walk, walk.manifest)


async def _link(work: Work, walk: Understood, manifest: Manifest) -> None:
    step = await work.step_with(manifest.facility, manifest.accession)
    await work.book.load(
        [f"{resource['resourceType']}/{resource['id']}" for resource in walk.resources]
        + ([f"ServiceRequest/{step.service_request}"] if step else [])
    )
    study = next(resource for resource in walk.resources if resource["resourceType"] == "ImagingStudy")
    order = work.book.get(f"ServiceRequest/{step.service_request}") if step else None
    disagreement = manifest.disagreement(step)
    if disagreement is not None or step is None or order is None:
        _keep_unlinked(work, walk, disagreement)
        return
    if differs := manifest.differs_in_name(step):
        work.find(differs, walk, manifest.study_reference)
    study = linked(merge(work.book.get(manifest.study_reference), study), order)
    work.put(study, walk)
    await _tell_centre(work, walk, order, study, step)


def _keep_unlinked(work: Work, walk: Understood, disagreement: Finding | None) -> None:
    """Recorded under the patient that its objects name; a link that a person made stays."""
    for resource in walk.resources:
        reference = f"{resource['resourceType']}/{resource['id']}"
        current = work.book.get(reference)
        if current is not None and current.get("basedOn"):
            work.put({**merge(current, resource), "subject": current["subject"]}, walk)
            return
    for resource in walk.resources:
        work.put(merge(work.book.get(f"{resource['resourceType']}/{resource['id']}"), resource), walk)
    if disagreement is not None and walk.manifest is not None:
        work.find(disagreement, walk, walk.manifest.study_reference)


async def _tell_centre(work: Work, walk: Understood, order: Resource, study: Resource, step: Step) -> None:
    if step.state == "scheduled":
        work.steps[step.service_request] = performed(step)
    target = routing.order_placed(work.community, facility=walk.envelope.facility, modality=modality_of(order))
    if target is None:
        return
    centre = work.community.centres[target.centre]
    reference = f"Task/{resource_id('Task', centre.name, order['id'])}"
    await work.book.load([reference])
    task = work.book.get(reference)
    try:
        if task is None:
            work.put(centres.open_request(order, centre, study, work.at), walk)
        else:
            work.put(centres.study_arrived(task, study, work.at), walk)
    except RequestStateError as error:
        work.find(Finding(error.code, error.message, location="(0008,0050)"), walk, reference)
