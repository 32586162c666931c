"""Which resources of a message come too late to be recorded, and what is a person told of it?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from engine.finding import Finding, Severity
from engine.recording.precedence import Late, order_too_late, result_too_late

Resource = dict[str, Any]
Current = Callable[[str], Resource | None]
SaidAt = Callable[[str, str, str], str]
"""When the report was issued that last spoke of a result; asked with both, and with when the one on record was."""

_REPORT, _RESULT, _ORDER = "DiagnosticReport", "Observation", "ServiceRequest"
_LOCATIONS = {_REPORT: "OBR-25", _RESULT: "OBX-11", _ORDER: "ORC-5"}


@dataclass(frozen=True, slots=True)
class TooLate:
    """`reference` is not recorded. Its report's finding speaks for a result as well: then `finding` is None."""

    reference: str
    finding: Finding | None


def too_late(
    resources: Iterable[Resource], current: Current, said_at: SaidAt = lambda _result, _report, stands: stands
) -> Iterator[TooLate]:
    """What of one message comes too late after what is on record.

    current  gives what is on record before this message, by reference
    """
    late_reports: set[str] = set()
    stated = [
        (f"{kind}/{resource['id']}", kind, resource)
        for resource in resources
        if (kind := resource["resourceType"]) in _LOCATIONS
    ]
    again = [
        (reference, kind, resource, known)
        for reference, kind, resource in stated
        if (known := current(reference)) is not None
    ]
    if not again:
        return  # most messages speak of nothing that stands on record
    reported: dict[str, tuple[Resource | None, Resource]] = {}
    for reference, kind, resource in stated:
        if kind == _REPORT:
            known = current(reference)
            reported |= {str(each.get("reference")): (known, resource) for each in resource.get("result") or ()}
            if late := _late(known, resource, known, resource):
                late_reports.add(reference)
                yield TooLate(reference, _finding(late, kind))
    for reference, kind, resource, known in again:
        if kind == _REPORT:
            continue
        report_before, report = reported.get(reference, (None, None))
        if report is not None and report_before is not None:
            issued = said_at(reference, f"{_REPORT}/{report['id']}", report_before.get("issued") or "")
            report_before = {**report_before, "issued": issued}
        if late := _late(known, resource, report_before, report):
            told = report is not None and f"{_REPORT}/{report['id']}" in late_reports
            yield TooLate(reference, None if told else _finding(late, kind))


def _late(known: Resource | None, incoming: Resource, before: Resource | None, report: Resource | None) -> Late | None:
    """`before` and `report` say when: the report on record and the one that came."""
    if known is None:
        return None
    states = known.get("status") or "", incoming.get("status") or ""
    if incoming["resourceType"] == _ORDER:
        return order_too_late(*states, known.get("authoredOn") or "", incoming.get("authoredOn") or "")
    return result_too_late(*states, (before or {}).get("issued") or "", (report or {}).get("issued") or "")


def _finding(late: Late, kind: str) -> Finding:
    what = {_REPORT: "report", _RESULT: "result", _ORDER: "order"}[kind]
    if late is Late.PRELIMINARY:
        text = f"A {what} that is not final yet came after the final one; it was not recorded"
    else:
        text = f"An older version of this {what} came after a newer one; it was not recorded"
    text += ", nor were its results that something newer says; what nothing newer says was." if kind == _REPORT else "."
    return Finding(late, text, Severity.INFORMATION, _LOCATIONS[kind])
