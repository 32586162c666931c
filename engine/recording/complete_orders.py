"""Which orders do results complete? Those on which every report is settled, whichever message came first.

A result merely mentions its order, so nothing else of the order changes. One that was cancelled stays so; one that is
completed is opened again by nobody who only tells of it anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from engine.recording.work import Work
from engine.store import records
from engine.store.tokens import of_reference
from engine.understanding import Understood

Resource = dict[str, Any]

_ORDER, _REPORT = "ServiceRequest", "DiagnosticReport"
_OPEN = frozenset({"draft", "active", "on-hold", "unknown"})
_COMPLETED = "completed"
_SETTLED = frozenset({"final", "amended", "corrected", "appended"})
_NO_RESULT = frozenset({"cancelled", "entered-in-error"})
"""Reports that neither complete an order nor keep it open; on any other one somebody is still at work."""


async def complete_orders(work: Work, walks: Sequence[Understood]) -> None:
    """Orders that these messages report on, or tell of again after they were completed."""
    asked = {order: walk for walk in walks for order in _to_be_completed(work, walk)}
    if not asked:
        return
    found = await records.carrying(work.connection, [of_reference("based-on", order) for order in asked])
    here = (_reference(resource) for walk in walks for resource in walk.resources)
    reports = {reference for reference in (*found, *here) if reference.startswith(f"{_REPORT}/")}
    await work.book.load(reports)
    states: dict[str, set[str]] = {}
    for reference in reports:
        report = work.book.get(reference) or {}
        for order in _orders_of(report):
            states.setdefault(order, set()).add(report.get("status", ""))
    for order, walk in asked.items():
        told = states.get(order, set())
        current = work.book.get(order)
        if current is not None and told & _SETTLED and told <= _SETTLED | _NO_RESULT and _may_say(work, walk, order):
            work.put({**current, "status": _COMPLETED}, walk)


def _to_be_completed(work: Work, walk: Understood) -> Iterator[str]:
    """Orders on record that are open: mentioned as completed by this message, or completed until it told of them.

    What a message says of an order that nobody knew stands as it is.
    """
    for resource in walk.resources:
        if resource["resourceType"] != _ORDER:
            continue
        reference = _reference(resource)
        before, now = work.book.stored(reference), work.book.get(reference)
        if before is None or now is None or now.get("status") not in _OPEN:
            continue
        says = resource if reference in walk.only_if_missing else before
        if says.get("status") == _COMPLETED:
            yield reference


def _may_say(work: Work, walk: Understood, order: str) -> bool:
    """A message that is late says nothing of a state that something newer has changed."""
    late = work.late.get(walk.envelope.id)
    return late is None or "status" not in work.history.changed_since(late, order)


def _orders_of(report: Resource) -> Iterable[str]:
    return (str(each.get("reference", "")) for each in report.get("basedOn") or ())


def _reference(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"
