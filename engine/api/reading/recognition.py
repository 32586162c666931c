"""May an earlier result stand for what a doctor is about to order? GET /api/recognition."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query

from engine.api.caller import CurrentCaller
from engine.api.reading.items import codes_of
from engine.api.reading.lines import concept_text, facility_line, study_uid
from engine.api.reading.models import ReasonLine, RecognisedResult, RecognitionAnswer
from engine.api.services import Hub
from engine.centres.numbers import facility_that_numbered
from engine.clock import CHINA
from engine.config import Community
from engine.errors import NotFoundError
from engine.recognition import Asked, Earlier, Judgement, Rules, Verdict, judge
from engine.store import audit, records
from engine.store import centres as store
from engine.store.database import Connection
from engine.store.records import Stored

router = APIRouter(prefix="/api/recognition", tags=["recognition"])

Resource = dict[str, Any]

_SIGNED = frozenset({"final", "amended", "corrected", "appended"})

_PRINTABLE = r"^[^\x00-\x1f\x7f]{1,400}$"


@router.get("")
async def recognise(
    caller: CurrentCaller,
    hub: Hub,
    patient: Annotated[
        str, Query(description="A Patient id, golden or of one facility, or `system|value`", pattern=_PRINTABLE)
    ],
    code: Annotated[str, Query(description="The item: a recognition code or a local procedure code")],
    facility: Annotated[str | None, Query(description="Who asks; the caller's own facility when not given")] = None,
) -> RecognitionAnswer:
    """The signed results of other facilities for this item, each with a verdict and every reason for and against.

    What is recognised is the data. The conclusion is told beside it, for the doctor to agree with or not.
    """
    asking = facility or caller.facility
    if asking and asking not in hub.config.facilities:
        raise NotFoundError("no facility of that code is configured")
    at = hub.clock()
    async with hub.pool.acquire() as connection:
        people = await _people(connection, patient)
        asked = Asked(codes_of(code.rpartition("|")[2], asking), asking, at)
        results = await _results(connection, people, asked, hub.config)
        acts = [audit.Audited(caller.name, "recognise", f"Patient/{person}") for person in people]
        await audit.write(connection, acts, at)
    return RecognitionAnswer(recognisable=any(r.verdict == Verdict.ALLOW.value for r in results), results=results)


async def _people(connection: Connection, patient: str) -> list[str]:
    """Raises NotFoundError when nobody is known by this."""
    if "|" in patient:
        system, _, value = patient.rpartition("|")
        named = await store.patients_identified(connection, system, value)
    else:
        found = await records.read(connection, "Patient", patient.removeprefix("Patient/"))
        named = [found.id] if found else []
    if not named:
        raise NotFoundError("nobody is known by this identifier")
    return await store.same_person(connection, named)


async def _results(
    connection: Connection, people: list[str], asked: Asked, config: Community
) -> list[RecognisedResult]:
    signed = [r.body for r in await store.reports_of(connection, people) if r.body["status"] in _SIGNED]
    found = await records.read_many(connection, [reference for report in signed for reference in _linked(report)])
    rules = Rules(config.recognition.default_days, {item.code: item.days for item in config.recognition.items})
    results: list[RecognisedResult] = []
    for report in signed:
        earlier = _earlier(report, found)
        if earlier is None or earlier.facility == asked.facility or not earlier.codes & asked.codes:
            continue
        results.append(_told(report, found, earlier, judge(asked, earlier, rules), config))
    return sorted(results, key=lambda result: result.observed_at, reverse=True)


def _earlier(report: Resource, found: dict[str, Stored]) -> Earlier | None:
    """What the rules look at; None for a report that says neither when it was observed nor when it was issued."""
    observed = report.get("effectiveDateTime") or report.get("issued")
    if not observed:
        return None
    linked = [found[reference].body for reference in _linked(report) if reference in found]
    concepts = [
        report.get("code"),
        *(order.get("code") for order in linked if order["resourceType"] == "ServiceRequest"),
    ]
    studies = [f"ImagingStudy/{study['id']}" for study in linked if study["resourceType"] == "ImagingStudy"]
    return Earlier(
        report=f"DiagnosticReport/{report['id']}",
        codes=frozenset(coding["code"] for c in concepts if c for coding in c.get("coding") or () if "code" in coding),
        facility=next((f for f in map(facility_that_numbered, [*linked, report]) if f), ""),
        observed_at=_moment(observed),
        final=True,
        data=tuple(studies),
    )


def _told(
    report: Resource, found: dict[str, Stored], earlier: Earlier, judgement: Judgement, config: Community
) -> RecognisedResult:
    return RecognisedResult(
        report=earlier.report,
        studies=list(earlier.data),
        study_uids=[study_uid(found[reference].body) for reference in earlier.data],
        procedure=concept_text(report.get("code")),
        observed_at=earlier.observed_at,
        age_days=judgement.age_days,
        valid_days=judgement.valid_days,
        facility=facility_line(earlier.facility, config),
        verdict=judgement.verdict.value,
        reasons=[ReasonLine(code=r.code, text=r.text, against=r.against) for r in judgement.reasons],
        conclusion=report.get("conclusion") or "",
    )


def _linked(report: Resource) -> list[str]:
    """Orders first: the facility that numbered the order is the one that made the data."""
    entries = [*(report.get("basedOn") or ()), *(report.get("imagingStudy") or ())]
    return [entry["reference"] for entry in entries if "/" in entry.get("reference", "")]


def _moment(text: str) -> datetime:
    """A FHIR dateTime as a moment; without a zone it is China's, and a day without a time begins at midnight there."""
    padded = text + "-01-01"[len(text) - 4 :] if len(text) < len("2001-01-01") else text
    moment = datetime.fromisoformat(padded)
    return moment if moment.tzinfo else moment.replace(tzinfo=CHINA)
