"""Which orders do results complete? Those on which every report is settled, whichever message came first.

A result merely mentions its order, so nothing else of the order changes. One that was cancelled stays so; one that is
completed is opened again by nobody who only tells of it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

from engine.recording.late import History, Late
from engine.recording.work import Work
from engine.store import records
from engine.store.database import Connection
from engine.store.tokens import of_reference
from engine.understanding import Understood

Resource = dict[str, Any]
Get = Callable[[str], Resource | None]

_ORDER, _REPORT = "ServiceRequest", "DiagnosticReport"
_OPEN = frozenset({"draft", "active", "on-hold", "unknown"})
_COMPLETED = "completed"
_SETTLED = frozenset({"final", "amended", "corrected", "appended"})
_NO_RESULT = frozenset({"cancelled", "entered-in-error"})
"""Reports that neither complete an order nor keep it open; on any other one somebody is still at work."""


async def complete_orders(work: Work, walks: Sequence[Understood]) -> None:
    """Orders that these messages report on, or tell of again after they were completed."""
    asked = {order: walk for walk in walks for order in to_be_completed(walk, work.book.stored, work.book.get)}
    if not asked:
        return
    found = await reports_on(work.connection, asked)
    here = (_reference(resource) for walk in walks for resource in walk.resources)
    reports = {reference for reference in (*found, *here) if reference.startswith(f"{_REPORT}/")}
    await work.book.load(reports)
    states = states_of(work.book.get(reference) or {} for reference in reports)
    for order, walk in asked.items():
        current, late = work.book.get(order), work.late.get(walk.envelope.id)
        if (
            current is not None
            and is_completed_by(states.get(order, set()))
            and may_complete(late, work.history, order)
        ):
            work.put(completed(current), walk)


async def reports_on(connection: Connection, orders: Iterable[str]) -> set[str]:
    """References of the reports on record that are based on one of these orders."""
    found = await records.carrying(connection, [of_reference("based-on", order) for order in orders])
    return {reference for reference in found if reference.startswith(f"{_REPORT}/")}


def to_be_completed(walk: Understood, before: Get, now: Get) -> Iterator[str]:
    """Orders on record that are open: mentioned as completed by this message, or completed until it told of them.

    What a message says of an order that nobody knew stands as it is. `before` gives what stood before it, `now` what
    stands with what it says.
    """
    for resource in walk.resources:
        if resource["resourceType"] != _ORDER:
            continue
        reference = _reference(resource)
        had, has = before(reference), now(reference)
        if had is None or has is None or has.get("status") not in _OPEN:
            continue
        says = resource if reference in walk.only_if_missing else had
        if says.get("status") == _COMPLETED:
            yield reference


def states_of(reports: Iterable[Resource]) -> dict[str, set[str]]:
    """By order, in which states the reports on it are."""
    states: dict[str, set[str]] = {}
    for report in reports:
        for each in report.get("basedOn") or ():
            states.setdefault(str(each.get("reference", "")), set()).add(report.get("status", ""))
    return states


def is_completed_by(states: Collection[str]) -> bool:
    """Whether the reports on an order that are in these states complete it."""
    told = set(states)
    return bool(told & _SETTLED) and told <= _SETTLED | _NO_RESULT


def may_complete(late: Late | None, history: History, order: str) -> bool:
    """A message that is late says nothing of a state that something newer has changed."""
    return late is None or "status" not in history.changed_since(late, order)


def completed(order: Resource) -> Resource:
    return {**order, "status": _COMPLETED}


def _reference(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"
