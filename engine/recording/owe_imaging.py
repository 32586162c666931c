"""Which imaging systems are owed something? Those that routes send a study to, and archives asked for earlier ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from engine import routing
from engine.clock import CHINA
from engine.config import StudyTag
from engine.envelope import EnvelopeIds
from engine.identifiers import facility_system
from engine.orders import categories_of
from engine.recording.work import Work
from engine.store import imaging_outbox, people, records
from engine.store.imaging_outbox import QUESTION, ROUTINE, URGENT, Prioritised, PriorsOwed, StudyOwed, payload_of
from engine.store.outbox import Owed
from engine.store.worklist import Step
from engine.studies import NO_ISSUER, Manifest
from engine.understanding import Understood

Resource = dict[str, Any]

_RANKS = {
    modality: rank
    for rank, modalities in enumerate(
        (("ECG", "HD", "EPS"), ("DX", "CR", "DR", "RF", "RG", "MG", "XA", "IO", "PX"), ("US", "IVUS"), ("CT",))
    )
    for modality in modalities
}
"""An ECG is read within minutes and is small; a CT is neither."""
_LAST_RANK = 4
_AT_ONCE = frozenset({"urgent", "asap", "stat"})
_MOST_IDS = 20
"""Of one patient at one archive: an identifier that a system gives to everybody is nobody's."""


async def owe_imaging(work: Work, walks: Sequence[Understood], ids: EnvelopeIds) -> None:
    """Owes what routes say because of these envelopes, in their transaction."""
    owing = {walk.envelope.id for walk in walks}
    owed = [one for walk in walks if walk.manifest is not None for one in _studies(work, walk, walk.manifest, ids)]
    for walk, order in work.opened_orders:
        if walk.envelope.id in owing:
            owed += await _questions(work, walk, work.book.get(f"ServiceRequest/{order}"), ids)
    await imaging_outbox.owe(work.connection, owed, work.at)


def _studies(work: Work, walk: Understood, manifest: Manifest, ids: EnvelopeIds) -> list[Prioritised]:
    targets = routing.study_stored(work.community, facts_of(manifest), work.at.astimezone(CHINA))
    if not targets:
        return []
    study = work.book.get(manifest.study_reference) or {}
    order = _order_of(work, study)
    payload = payload_of(StudyOwed(manifest.facility, manifest.study_uid))
    return [
        Prioritised(
            Owed(
                ids.next(work.at),
                target.endpoint,
                manifest.study_uid,
                payload,
                target.route,
                envelope=walk.envelope.id,
                about=manifest.study_reference,
            ),
            priority_of(order, manifest.written.modalities),
        )
        for target in targets
    ]


async def _questions(work: Work, walk: Understood, order: Resource | None, ids: EnvelopeIds) -> list[Prioritised]:
    step = work.steps.get(order["id"]) if order is not None else None
    if order is None or step is None:
        return []
    targets = routing.priors_wanted(
        work.community, facility=step.facility, modality=step.modality, categories=categories_of(order)
    )
    questions = []
    for target in targets:
        archive = work.community.dicom_endpoints[target.endpoint]
        facilities = archive.priors.patient_ids_of or (archive.facility,)
        known = await _identifiers_at(work, facilities, order["subject"]["reference"], step)
        if not known:
            continue  # whoever is not known there has nothing there
        owed = Owed(
            ids.next(work.at),
            target.endpoint,
            step.accession,
            payload_of(_question(step, known)),
            target.route,
            envelope=walk.envelope.id,
            about=f"ServiceRequest/{order['id']}",
        )
        questions.append(Prioritised(owed, QUESTION + priority_of(order, [step.modality])))
    return questions


def _question(step: Step, known: Mapping[str, Collection[str]]) -> PriorsOwed:
    return PriorsOwed(
        facility=step.facility,
        patient_ids=list(known),
        modality=step.modality,
        study_uid=step.study_uid,
        body_part=step.body_part,
        names=[name for name in (step.patient_name, step.patient_name_latin) if name],
        birth_date=f"{step.birth_on:%Y%m%d}" if step.birth_on else "",
        sex=step.sex,
        issuers={number: sorted(issuers) for number, issuers in known.items() if issuers},
    )


async def _identifiers_at(work: Work, facilities: Collection[str], patient: str, step: Step) -> dict[str, set[str]]:
    """The numbers that facilities gave to the person of a source Patient, as far as they are known, and by whom."""
    found: dict[str, set[str]] = {}
    if step.patient_id and step.facility in facilities:
        found[step.patient_id] = {step.issuer}
    if elsewhere := [facility for facility in facilities if facility != step.facility]:
        source = patient.removeprefix("Patient/")
        members = {source, *await people.members(work.connection, [source])}
        stored = await records.read_many(work.connection, [f"Patient/{member}" for member in members])
        prefixes = [f"{facility_system(facility, 'patient')}:" for facility in elsewhere]
        for record in stored.values():
            for identifier in record.body.get("identifier", ()):
                number, system = identifier.get("value"), f"{identifier.get('system', '')}:"
                for prefix in prefixes:
                    if number and system.startswith(prefix):
                        found.setdefault(number, set()).add(system.removeprefix(prefix).rstrip(":"))
    return {number: found[number] - {"", NO_ISSUER} for number in sorted(found)[:_MOST_IDS]}


def _order_of(work: Work, study: Resource) -> Resource | None:
    for reference in study.get("basedOn", ()):
        if (order := work.book.get(reference.get("reference", ""))) is not None:
            return order
    return None


def priority_of(order: Resource | None, modalities: Sequence[str]) -> int:
    """An urgent order before a routine one; of equals ECG, radiograph, ultrasound, CT, then the rest."""
    urgent = order is not None and order.get("priority") in _AT_ONCE
    rank = min((_RANKS.get(modality, _LAST_RANK) for modality in modalities), default=_LAST_RANK)
    return (URGENT if urgent else ROUTINE) + rank


def facts_of(manifest: Manifest) -> routing.StudyFacts:
    """What routes may ask of a study."""
    written = manifest.written
    tags = {
        StudyTag.ISSUER: {written.issuer},
        StudyTag.SEX: {written.sex},
        StudyTag.AGE: {written.age},
        StudyTag.DESCRIPTION: {written.description},
        StudyTag.SERIES_DESCRIPTION: {series.description for series in written.series},
        StudyTag.REFERRING: {written.referring},
        StudyTag.INSTITUTION: {written.institution},
        StudyTag.STATION: {written.station_name},
        StudyTag.MANUFACTURER: {written.manufacturer},
        StudyTag.MODEL: {written.model},
        StudyTag.SOURCE: {written.ae_title},
        StudyTag.SOP_CLASS: {one.sop_class for series in written.series for one in series.instances},
    }
    return routing.StudyFacts(
        facility=written.facility,
        ae_title=written.ae_title,
        modalities=frozenset(written.modalities),
        body_parts=frozenset({written.body_part, *(series.body_part for series in written.series)} - {""}),
        tags={tag: frozenset(values - {""}) for tag, values in tags.items()},
    )
