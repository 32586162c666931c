"""What does a reader see of one request?"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from engine.api.caller import Caller
from engine.api.reading.desk import Docket, centre_of, person_of
from engine.api.reading.lines import (
    concept_text,
    facility_line,
    placer_of,
    request_row,
    step_line,
    study_view,
)
from engine.api.reading.models import PriorReport, ReportView, RequestView, ReturnLine
from engine.centres import case as cases
from engine.centres.numbers import facility_that_numbered
from engine.centres.report import OBSERVED, observed_id, observed_text
from engine.centres.request import report_id, transitions
from engine.config import Community
from engine.store import centres as store
from engine.store import records
from engine.store.database import Connection
from engine.store.records import Stored

Resource = dict[str, Any]

_SIGNED = frozenset({"final", "amended", "corrected", "appended"})
_TAKEN_BACK = frozenset({"refuted", "entered-in-error"})
_MOST_PRIORS = 50


async def request_view(
    connection: Connection, docket: Docket, caller: Caller, config: Community, at: datetime
) -> RequestView:
    task, order = docket.task.body, docket.order
    centre = centre_of(task, config)
    row = request_row(task, order, docket.patient, docket.studies, docket.states, docket.task.last_updated, config, at)
    returns = await store.returns_of(connection, task["id"])
    return RequestView(
        request=row,
        placer=placer_of(order),
        reason="；".join(text for reason in order.get("reasonCode") or () if (text := concept_text(reason))),
        note="；".join(text for note in order.get("note") or () if (text := note.get("text", "").strip())),
        allergies=await _allergies(connection, row.patient.id),
        requested_by=(order.get("requester") or {}).get("display", ""),
        two_person=centre.two_person,
        studies=[study_view(study) for study in docket.studies],
        report=_report(docket),
        steps=[step_line(step, config) for step in transitions(task)],
        priors=await prior_reports(connection, row.patient.id, report_id(task), config),
        returns=[
            ReturnLine(
                endpoint=r.endpoint,
                state=r.state,
                attempts=r.attempts,
                last_error=r.last_error,
                created_at=r.created_at,
                delivered_at=r.delivered_at,
            )
            for r in returns
        ],
        refused={action.value: code for action, code in cases.refusals(task, person_of(caller), centre).items()},
    )


async def _allergies(connection: Connection, patient: str) -> list[str]:
    """Each once, in words."""
    same = await store.same_person(connection, [patient])
    known = [allergy.body for allergy in await store.allergies_of(connection, same)]
    told = [concept_text(each.get("code")) for each in known if not _taken_back(each)]
    return list(dict.fromkeys(filter(None, told)))


def _taken_back(allergy: Resource) -> bool:
    codings = (allergy.get("verificationStatus") or {}).get("coding") or ()
    return any(coding.get("code") in _TAKEN_BACK for coding in codings)


async def prior_reports(connection: Connection, patient: str, but: str, config: Community) -> list[PriorReport]:
    """The signed reports of the same person, whichever of their records they stand under, the latest first."""
    same = await store.same_person(connection, [patient])
    signed = [
        report
        for report in await store.reports_of(connection, same)
        if report.id != but and report.body["status"] in _SIGNED
    ][:_MOST_PRIORS]
    referred = [reference for report in signed for reference in _references(report.body)]
    found = await records.read_many(connection, referred)
    return [_prior(report.body, found, config) for report in signed]


def _report(docket: Docket) -> ReportView:
    if docket.report is None:
        return ReportView(
            id=None, status="none", observed="", conclusion="", issued_at=None, revision=0, interpreters=[]
        )
    report = docket.report.body
    return ReportView(
        id=docket.report.id,
        status=report["status"],
        observed=observed_text(docket.observation.body if docket.observation else None),
        conclusion=report.get("conclusion", ""),
        issued_at=report.get("issued"),
        revision=docket.revision,
        interpreters=[person["display"] for person in report.get("resultsInterpreter") or ()],
    )


def _prior(report: Resource, found: dict[str, Stored], config: Community) -> PriorReport:
    linked = {reference: found[reference].body for reference in _references(report) if reference in found}
    orders = [body for reference, body in linked.items() if reference.startswith("ServiceRequest/")]
    studies = [body for reference, body in linked.items() if reference.startswith("ImagingStudy/")]
    made_by = next((f for f in map(facility_that_numbered, [*orders, report]) if f), "")
    return PriorReport(
        id=report["id"],
        status=report["status"],
        procedure=concept_text(report.get("code")),
        facility=facility_line(made_by, config),
        observed_at=report.get("effectiveDateTime"),
        issued_at=report.get("issued"),
        observed="\n".join(
            observed_text(body)
            for reference, body in linked.items()
            if reference.startswith("Observation/") and _is_observed(reference, body, report)
        ),
        conclusion=report.get("conclusion") or "",
        studies=[study_view(study) for study in studies],
    )


def _is_observed(reference: str, observation: Resource, report: Resource) -> bool:
    """A report of ours names its 检查所见 by id; one of another system by its code."""
    if reference == f"Observation/{observed_id(report)}":
        return True
    return any(coding.get("code") == OBSERVED for coding in (observation.get("code") or {}).get("coding") or ())


def _references(report: Resource) -> list[str]:
    linked = [*(report.get("basedOn") or ()), *(report.get("imagingStudy") or ()), *(report.get("result") or ())]
    return [entry["reference"] for entry in linked if "/" in entry.get("reference", "")]
