"""What becomes of an order that a modality performs? Its Procedure, and the order's own state (MPPS)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.finding import Finding
from engine.orders import is_cancelled
from engine.recording.merge import merge
from engine.recording.work import Work
from engine.steps import (
    COMPLETED,
    DISCONTINUED,
    IN_PROGRESS,
    UNLINKED,
    PerformedStep,
    findings_of,
    procedure_of,
    reason_of,
)
from engine.understanding import Understood

Resource = dict[str, Any]

_ENDED = ("completed", "stopped")
STATE_REASON = "http://hl7.org/fhir/StructureDefinition/request-statusReason"
"""Why an order that was begun is asked for still: FHIR R4 has an extension for it."""


async def perform_steps(work: Work, walks: Sequence[Understood]) -> None:
    """Records each step, and what it says of the orders it performs; a step that has ended is not begun again."""
    for walk in walks:
        assert walk.performed is not None
        await _perform(work, walk, walk.performed)


async def _perform(work: Work, walk: Understood, step: PerformedStep) -> None:
    references = [f"ServiceRequest/{order}" for order in step.orders]
    await work.book.load([step.reference, *references])
    current = work.book.get(step.reference)
    if current is not None and current.get("status") in _ENDED and step.state == IN_PROGRESS:
        return
    orders = [order for reference in references if (order := work.book.get(reference)) is not None]
    procedure = procedure_of(step)
    if orders:
        procedure["basedOn"] = [{"reference": f"ServiceRequest/{order['id']}"} for order in orders]
        procedure["subject"] = orders[0]["subject"]
    work.put(merge(current, procedure), walk)
    for order in orders:
        if is_cancelled(order):
            work.find(_cancelled(step), walk, step.reference)
        elif (changed := _after(order, step)) != order:
            work.put(changed, walk)
    for finding in findings_of(step):
        work.find(finding, walk, step.reference)
    if current is not None:
        _settle(work, step)


def _settle(work: Work, step: PerformedStep) -> None:
    """What was said of its order before, where that has come since."""
    said = {finding.code for finding in step.findings}
    left = said.intersection(UNLINKED)
    how = "The order came; what is wrong with it is said." if left else "The step was linked to its order."
    work.settled += [(code, step.reference, how) for code in UNLINKED if code not in said]


def _after(order: Resource, step: PerformedStep) -> Resource:
    """The order as the step leaves it. What was discontinued is asked for still, and says why it is not done."""
    others = [each for each in order.get("extension", ()) if each.get("url") != STATE_REASON]
    changed = {key: value for key, value in order.items() if key != "extension"}
    if step.state == COMPLETED:
        changed["status"] = "completed"
    elif step.state == DISCONTINUED and order.get("status") != "completed":
        others.append({"url": STATE_REASON, "valueCodeableConcept": reason_of(step)})
    return {**changed, "extension": others} if others else changed


def _cancelled(step: PerformedStep) -> Finding:
    return Finding(
        "step-of-cancelled-order",
        "The order that the modality performs is cancelled; it stays cancelled.",
        location="(0040,0270)",
        once=step.uid,
    )
