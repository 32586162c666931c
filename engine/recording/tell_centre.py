"""What does the diagnostic centre learn of an order and its study? A request is opened, changed or cancelled."""

from __future__ import annotations

from typing import Any

from engine import centres, routing
from engine.centres.states import RequestState
from engine.config import Centre
from engine.errors import RequestStateError
from engine.finding import Finding
from engine.identifiers import resource_id
from engine.orders import categories_of, is_cancelled, modality_of
from engine.recording.work import Work
from engine.understanding import Understood

Resource = dict[str, Any]


async def tell_centre(work: Work, walk: Understood, order: Resource, study: Resource | None, location: str) -> None:
    """Tells the centre that a route names, if any, how an order stands and which study has come for it.

    location  the field that the finding names when the request does not allow it now
    """
    target = routing.order_placed(
        work.community,
        facility=walk.envelope.facility,
        modality=modality_of(order),
        categories=categories_of(order),
    )
    if target is None:
        return
    centre = work.community.centres[target.centre]
    reference = f"Task/{resource_id('Task', centre.name, order['id'])}"
    await work.book.load([reference])
    try:
        _tell(work, walk, order, study, centre, work.book.get(reference))
    except RequestStateError as error:
        work.find(Finding(error.code, error.message, location=location), walk, reference)


def _tell(
    work: Work, walk: Understood, order: Resource, study: Resource | None, centre: Centre, task: Resource | None
) -> None:
    if is_cancelled(order):
        if task is not None:
            work.put(centres.order_cancelled(task, work.at), walk)
    elif task is None:
        work.put(centres.open_request(order, centre, study, work.at), walk)
    elif walk.manifest is None and centres.state_of(task) is RequestState.CANCELLED:
        work.find(_came_back(), walk, f"Task/{task['id']}")
    else:
        if walk.manifest is None:  # a study says nothing new of its order
            task = centres.order_changed(task, order, work.at)
        elif walk.manifest.late and study is not None and not work.replayed(walk):
            task = centres.study_grew(task, study, len(walk.manifest.late), work.at)
            if centres.state_of(task) in (RequestState.SIGNED, RequestState.RETURNED):
                work.find(_after_the_report(), walk, f"Task/{task['id']}")
        work.put(centres.study_arrived(task, study, work.at) if study else task, walk)


def _after_the_report() -> Finding:
    return Finding(
        "study-late-after-report",
        "Instances came after the report was signed. Look at them, and amend the report if they say more.",
    )


def _came_back() -> Finding:
    return Finding(
        "order-after-cancellation",
        "The order was cancelled before and is asked for again; its request at the centre stays cancelled.",
        location="ORC-1",
    )
