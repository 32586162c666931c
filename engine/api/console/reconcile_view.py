"""What does a person see who decides whose a study is? Objects and order side by side, and who may be meant."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel

from engine.clock import CHINA
from engine.errors import NotFoundError
from engine.recording.propose_orders import WINDOW, Looked, Proposal, letters_of, propose
from engine.store import as_sent, reconcile_cases, restating, stating, worklist
from engine.store.as_sent import Stored
from engine.store.database import Connection
from engine.store.stating import Stated
from engine.store.worklist import Step
from engine.studies import study_id

_MOST_STEPS = 2_000
_MOST_INSTANCES = 2_000
"""Told one by one; of a series that is larger only the number."""
_MOST_APART = 100
_COMPARED = ("patient_name", "patient_id", "issuer", "birth_date", "sex", "accession")


class Difference(BaseModel):
    """One attribute: what the objects say, each value once, and what the order says; empty where it says nothing."""

    attribute: str
    objects: list[str]
    order: str
    agrees: bool


class OrderView(BaseModel):
    """An order of the facility's worklist."""

    accession: str
    patient_name: str
    patient_name_latin: str
    patient_id: str
    birth_date: str
    sex: str
    modality: str
    procedure: str
    requested_by: str
    scheduled_at: datetime
    state: str
    agrees: list[str]


class InstanceView(BaseModel):
    sop_uid: str
    number: int | None
    patient_id: str
    patient_name: str


class SeriesView(BaseModel):
    """A series as it is served; `instances` is empty where there are too many to tell."""

    uid: str
    modality: str
    description: str
    number: str
    count: int
    patients: list[str]
    instances: list[InstanceView]


class ContentView(BaseModel):
    """Another content that came under a used SOP Instance UID, or something else that is not served.

    waits  nobody has decided on it
    why    why it is not served
    """

    sop_uid: str
    study_uid: str
    series_uid: str
    sha256: str
    stored_at: datetime
    peer: str
    bytes: int
    tags: dict[str, str]
    waits: bool
    why: str
    first: dict[str, str]


class DecisionView(BaseModel):
    """Something that was decided. `note`: none, owed or made; with `undo-` in front where it was taken back.

    study_uid          the study that it was said of, as it was served then
    series, instances  how many of them it names; none where it is about the whole study
    """

    number: int
    kind: str
    actor: str
    reason: str
    at: datetime
    study_uid: str
    to_study: str
    series: int
    instances: int
    code: str
    undone_at: datetime | None
    undone_by: str | None
    undone_why: str | None
    note: str


class StudyView(BaseModel):
    """A study of a facility. `reference` is that of its ImagingStudy; `kinds` say why it waits, if it does."""

    facility: str
    study_uid: str
    reference: str
    revision: int
    channel: str
    peer: str
    last_stored_at: datetime
    kinds: list[str]
    attributes: dict[str, str]
    differences: list[Difference]
    order: OrderView | None
    proposals: list[OrderView]
    series: list[SeriesView]
    apart: list[ContentView]
    decisions: list[DecisionView]


async def view_of_study(connection: Connection, facility: str, study_uid: str) -> StudyView:
    """Raises NotFoundError."""
    study = (await restating.lock(connection, facility, [study_uid])).get(study_uid)
    if study is None:
        raise NotFoundError("there is no such study")
    stored = await as_sent.stored(connection, facility, [study_uid])
    served = [one for one in stored if not one.hidden and one.served_study_uid == study_uid and not one.served_conflict]
    attributes = await as_sent.attributes_of(connection, facility, study_uid)
    tags = [as_sent.tags_of(one) for one in served]
    accession = attributes.get("accession", "")
    step = await worklist.by_accession(connection, facility, accession) if accession else None
    looked = _looked(attributes, tags, served, study.last_stored_at)
    around = await worklist.around(connection, facility, looked.at - WINDOW, looked.at + WINDOW, _MOST_STEPS)
    proposals = [one for one in propose(looked, around) if step is None or one.step.accession != step.accession]
    apart = [one for one in stored if one.hidden or one.served_conflict]
    return StudyView(
        facility=facility,
        study_uid=study_uid,
        reference=f"ImagingStudy/{study_id(facility, study_uid)}",
        revision=study.revision,
        channel=study.channel,
        peer=study.peer,
        last_stored_at=study.last_stored_at,
        kinds=await reconcile_cases.of_study(connection, facility, study_uid),
        attributes=attributes,
        differences=_differences(tags, step),
        order=_order(Proposal(step, [])) if step is not None else None,
        proposals=[_order(one) for one in proposals],
        series=_series(served, tags),
        apart=[_content(one, await _first(connection, one)) for one in apart[:_MOST_APART]],
        decisions=[_decision(one) for one in await stating.about(connection, facility, study_uid)],
    )


def _looked(
    attributes: dict[str, str], tags: Sequence[dict[str, str]], served: Sequence[Stored], stored_at: datetime
) -> Looked:
    return Looked(
        patient_id=attributes.get("patient_id", ""),
        issuer=attributes.get("issuer", ""),
        names=sorted({name for tag in tags if (name := tag.get("patient_name", ""))}),
        birth_date=attributes.get("birth_date", ""),
        accession=attributes.get("accession", ""),
        modalities=sorted({one.sent.modality for one in served}),
        at=_made_at(attributes, stored_at),
    )


def _made_at(attributes: dict[str, str], stored_at: datetime) -> datetime:
    """When the study was made, as far as it says so and that can be; else when it came."""
    written = (attributes.get("study_date", "") + attributes.get("study_time", "000000")[:6].ljust(6, "0"))[:14]
    try:
        made = datetime.strptime(written, "%Y%m%d%H%M%S").replace(tzinfo=CHINA)
    except ValueError:
        return stored_at
    return made if abs(made - stored_at) < timedelta(days=3650) else stored_at


def _differences(tags: Sequence[dict[str, str]], step: Step | None) -> list[Difference]:
    told = []
    for attribute in _COMPARED:
        said = sorted({value for tag in tags if (value := tag.get(attribute, ""))})
        ordered = _ordered(attribute, step)
        told.append(Difference(attribute=attribute, objects=said, order=ordered, agrees=_agree(attribute, said, step)))
    return told


def _ordered(attribute: str, step: Step | None) -> str:
    if step is None:
        return ""
    match attribute:
        case "patient_name":
            return "=".join(dict.fromkeys(name for name in (step.patient_name_latin, step.patient_name) if name))
        case "birth_date":
            return f"{step.birth_on:%Y%m%d}" if step.birth_on else ""
    return str(getattr(step, attribute))


def _agree(attribute: str, said: Sequence[str], step: Step | None) -> bool:
    """What one side does not say contradicts nothing; two values within the study contradict each other."""
    ordered = _ordered(attribute, step)
    if attribute == "patient_name":
        groups = [set(letters_of(name)) for name in (*said, *([ordered] if ordered else []))]
        return all(not one.isdisjoint(other) for one in groups for other in groups)
    return len({*said, *([ordered] if ordered else [])}) <= 1


def _order(one: Proposal) -> OrderView:
    step = one.step
    return OrderView(
        accession=step.accession,
        patient_name=step.patient_name,
        patient_name_latin=step.patient_name_latin,
        patient_id=step.patient_id,
        birth_date=f"{step.birth_on:%Y%m%d}" if step.birth_on else "",
        sex=step.sex,
        modality=step.modality,
        procedure=step.procedure_text,
        requested_by=step.requested_by,
        scheduled_at=step.scheduled_at,
        state=step.state,
        agrees=one.agrees,
    )


def _series(served: Sequence[Stored], tags: Sequence[dict[str, str]]) -> list[SeriesView]:
    grouped: dict[str, list[tuple[Stored, dict[str, str]]]] = {}
    for one, tag in zip(served, tags, strict=True):
        grouped.setdefault(one.served_series_uid, []).append((one, tag))
    return [
        SeriesView(
            uid=uid,
            modality=members[0][0].sent.modality,
            description=members[0][1].get("series_description", ""),
            number=members[0][1].get("series_number", ""),
            count=len(members),
            patients=sorted({" ".join(filter(None, (t.get("patient_id"), t.get("patient_name")))) for _, t in members}),
            instances=[
                InstanceView(
                    sop_uid=one.served_sop_uid,
                    number=one.sent.number,
                    patient_id=tag.get("patient_id", ""),
                    patient_name=tag.get("patient_name", ""),
                )
                for one, tag in sorted(members, key=lambda m: (m[0].sent.number or 0, m[0].served_sop_uid))
            ]
            if len(members) <= _MOST_INSTANCES
            else [],
        )
        for uid, members in sorted(grouped.items())
    ]


async def _first(connection: Connection, other: Stored) -> dict[str, str]:
    """What the object says that is served under the UID of one that waits, in whatever study."""
    if other.hidden:
        return {}
    contents = await as_sent.contents_of(connection, other.sent.facility, other.sent.sop_uid)
    return next((as_sent.tags_of(one) for one in contents if not one.hidden and not one.served_conflict), {})


def _content(one: Stored, first: dict[str, str]) -> ContentView:
    return ContentView(
        sop_uid=one.sent.sop_uid,
        study_uid=one.served_study_uid,
        series_uid=one.served_series_uid,
        sha256=one.sent.sha256.hex(),
        stored_at=one.sent.stored_at,
        peer=one.sent.peer,
        bytes=one.sent.bytes,
        tags=json.loads(one.sent.tags),
        waits=not one.hidden,
        why=one.hidden,
        first=first,
    )


def _decision(one: Stated) -> DecisionView:
    return DecisionView(
        number=one.id,
        kind=one.kind,
        actor=one.actor,
        reason=one.reason,
        at=one.stated_at,
        study_uid=one.study_uid,
        to_study=one.said.to_study,
        series=len(one.said.series),
        instances=len(one.said.instances),
        code=one.said.code,
        undone_at=one.undone_at,
        undone_by=one.undone_by,
        undone_why=one.undone_why,
        note=one.note,
    )
