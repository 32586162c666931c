"""What becomes of an order whose study is found to be another's? It waits for its own, and so does its centre."""

from __future__ import annotations

from dataclasses import replace

from engine import centres, routing
from engine.errors import RequestStateError
from engine.finding import Finding
from engine.identifiers import resource_id
from engine.orders import categories_of, modality_of
from engine.recording.work import Work
from engine.store import records, worklist
from engine.store.tokens import of_reference
from engine.understanding import Understood

_ORDER = "ServiceRequest/"


async def leave_order(work: Work, walk: Understood, study: str, now: str = "") -> None:
    """Takes a study away from the orders that it is linked to, except from the one that it is of now.

    Not for a study that is linked to none yet: of that nothing is read.
    """
    current = work.book.get(study)
    before = [str(each.get("reference", "")) for each in (current or {}).get("basedOn") or ()]
    for order in (reference.removeprefix(_ORDER) for reference in before if reference.startswith(_ORDER)):
        if order != now:
            await _leave(work, walk, study, order)


async def _leave(work: Work, walk: Understood, study: str, order: str) -> None:
    await work.book.load([f"{_ORDER}{order}"])
    await _schedule_again(work, study, order)
    resource = work.book.get(f"{_ORDER}{order}")
    target = resource and routing.order_placed(
        work.community,
        facility=walk.envelope.facility,
        modality=modality_of(resource),
        categories=categories_of(resource),
    )
    if not target:
        return
    reference = f"Task/{resource_id('Task', target.centre, order)}"
    await work.book.load([reference])
    task = work.book.get(reference)
    if task is None:
        return
    try:
        work.put(centres.study_left(task, study, work.at), walk)
    except RequestStateError as error:
        work.find(Finding(error.code, error.message, location="(0008,0050)"), walk, reference)


async def _schedule_again(work: Work, study: str, order: str) -> None:
    """The step was performed only where another study of the order is there."""
    token = of_reference("based-on", f"{_ORDER}{order}")
    others = [s.reference for s in await records.find(work.connection, "ImagingStudy", token) if s.reference != study]
    if others:
        return
    steps = await worklist.by_order(work.connection, [order])
    step = work.steps.get(order) or steps.get(order)
    if step is not None and step.state == "performed":
        work.steps[order] = replace(step, state="scheduled")
