"""Which steps on the modality worklist follow what messages say that place no orders? The state of order and report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.orders import following
from engine.recording.work import Work
from engine.store import worklist
from engine.understanding import Understood

Resource = dict[str, Any]

_CALLED_OFF = "cancelled"


async def follow_orders(work: Work, walks: Sequence[Understood]) -> None:
    """A step leaves the worklist when its order, or the report on it, is called off; and comes back when that is.

    Orders that these messages placed, changed or cancelled themselves have their steps already.
    """
    reported = {order: report for walk in walks for order, report in _reported(work, walk)}
    changed = {resource["id"] for walk in walks for resource in walk.resources if _is_changed_order(work, resource)}
    asked = sorted((changed | reported.keys()) - work.steps.keys())
    if not asked:
        return
    known = await worklist.by_order(work.connection, asked)
    await work.book.load(f"ServiceRequest/{order}" for order in known)
    for number, step in known.items():
        order = work.book.get(f"ServiceRequest/{number}")
        if order is not None:
            followed = following(step, order, without_result=reported.get(number) == _CALLED_OFF)
            if followed != step:
                work.steps[number] = followed


def _is_changed_order(work: Work, resource: Resource) -> bool:
    kind = resource["resourceType"]
    return kind == "ServiceRequest" and work.book.changed(f"{kind}/{resource['id']}")


def _reported(work: Work, walk: Understood) -> list[tuple[str, str]]:
    """(order, state of the report) of every report that was called off now, or no longer is."""
    found = []
    for resource in walk.resources:
        if resource["resourceType"] != "DiagnosticReport":
            continue
        reference = f"DiagnosticReport/{resource['id']}"
        now, before = work.book.get(reference), work.book.stored(reference)
        states = ((before or {}).get("status", ""), (now or {}).get("status", ""))
        if now is None or states[0] == states[1] or _CALLED_OFF not in states:
            continue
        orders = (str(each.get("reference", "")) for each in now.get("basedOn") or ())
        found += [(order.removeprefix("ServiceRequest/"), states[1]) for order in orders]
    return found
