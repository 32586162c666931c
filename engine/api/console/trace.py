"""trace: everything known of a word, from the bytes that came in to the proof of what went out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel

from engine.api.caller import CurrentCaller
from engine.api.console import walk
from engine.api.console.deliveries import Delivery, shown
from engine.api.console.walk import EnvelopeWalk
from engine.api.services import Hub
from engine.errors import ParseError
from engine.store import audit, delivery_list, finding_list, reading, trace
from engine.store.finding_list import FindingLine
from engine.store.trace_lines import ResourceLine, StudyLine, VersionLine, WorklistLine

router = APIRouter(prefix="/api", tags=["console"])


class TracedResource(BaseModel):
    """A current resource without its content: that is read from /fhir. `because` says why it is in this answer."""

    reference: str
    type: str
    id: str
    version: int
    last_updated: datetime
    status: str | None
    envelope: UUID | None
    actor: str | None
    mapping: str | None
    because: list[str]


class Trace(BaseModel):
    """Everything known of a word. Empty lists: nothing is.

    envelopes     in the order they arrived, each with its walk
    resources     the last updated first
    deliveries    about these resources or named by the word; those that an envelope caused are told there
    findings      that say the word, or are about these resources; those of an envelope are told there
    version       the one that the word names (`Observation/…@2`), and who wrote it
    beginning_so  the word is the beginning of more than one envelope's id: the first few; otherwise empty
    more          there was too much: the newest of each is here
    """

    word: str
    envelopes: list[EnvelopeWalk]
    resources: list[TracedResource]
    deliveries: list[Delivery]
    findings: list[FindingLine]
    worklist: list[WorklistLine]
    studies: list[StudyLine]
    version: VersionLine | None
    beginning_so: list[UUID]
    more: bool


@router.get("/trace")
async def trace_word(
    word: Annotated[str, Query(min_length=1, max_length=400)], hub: Hub, caller: CurrentCaller
) -> Trace:
    """`word` is an envelope, delivery or resource id, `Type/id`, `Type/id@version`, a control id, an accession or order
    number, a UID, a patient's identifier, also as `system|value`, words of a finding, or the beginning of an envelope's
    id, eight digits of it at least."""
    asked = word.strip()
    if not asked or not asked.isprintable():
        raise ParseError("expected an id, a number or a UID", location="word", code="bad-parameter")
    at = hub.clock()
    async with reading.question(hub.pool) as connection:
        found = await trace.leads(connection, asked, list(hub.config.facilities))
        envelopes = await walk.told(connection, caller, hub.config, found.why_envelope, at)
        references = [line.reference for line in found.resources]
        deliveries = await delivery_list.caused_by(connection, [], references, found.deliveries)
        about = await finding_list.about(connection, [], [*references, *(study.uid for study in found.studies)])
        findings = list({finding.id: finding for finding in [*found.findings, *about]}.values())
        people = [line.reference for line in found.resources if line.type == "Patient"]
        subjects = people or [f"Envelope/{envelope.id}" for envelope in envelopes] or ["Trace"]
        await audit.write(connection, [audit.Audited(caller.name, "trace", subject) for subject in subjects], at)
    told_there = {delivery.id for envelope in envelopes for delivery in envelope.deliveries}
    return Trace(
        word=asked,
        envelopes=envelopes,
        resources=[_traced(line, found.why_resource[line.reference]) for line in found.resources],
        deliveries=[shown(line, caller) for line in deliveries if line.id not in told_there],
        findings=[finding for finding in findings if finding.envelope not in found.why_envelope],
        worklist=found.worklist,
        studies=found.studies,
        version=found.version,
        beginning_so=found.beginning_so,
        more=found.more,
    )


def _traced(line: ResourceLine, because: list[str]) -> TracedResource:
    return TracedResource(
        reference=line.reference,
        type=line.type,
        id=line.id,
        version=line.version,
        last_updated=line.last_updated,
        status=line.status,
        envelope=line.envelope,
        actor=line.actor,
        mapping=line.mapping,
        because=because,
    )
