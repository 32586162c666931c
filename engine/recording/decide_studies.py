"""How does a person decide whose a stored study is? A statement for each decision; everything follows from it.

Each is made in the caller's transaction, with its audit, and can be taken back. The objects stay as they were sent;
the gateway tells the pipeline of the study anew, so that it is linked, routed and shown as what it is now.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from engine.config import Community
from engine.errors import NotFoundError, RequestStateError
from engine.identifiers import facility_system
from engine.orders import dicom_name, latin_name
from engine.recording.fitting import check_fits
from engine.store import as_sent, audit, records, restating, stating, worklist
from engine.store.database import Connection
from engine.store.imaging_index import PATIENT_TAGS, STUDY_TAGS
from engine.store.restating import Locked
from engine.store.statements import Kind, Said, derived_uid, studies_of
from engine.store.stating import New
from engine.store.tokens import of_value
from engine.store.worklist import Step
from engine.studies import NO_ISSUER, is_of, study_id

Attributes = dict[str, str]


class Title(StrEnum):
    """Why instances are rejected: codes of DICOM PS3.16, CID 7011, as IHE RAD (IOCM) uses them."""

    QUALITY = "113001"
    PATIENT_SAFETY = "113037"
    WRONG_WORKLIST_ENTRY = "113038"
    RETENTION_EXPIRED = "113039"


@dataclass(frozen=True, slots=True)
class Target:
    """Whose a study is: of the order with an accession number, or else of the patient with a number."""

    accession: str = ""
    patient_id: str = ""
    issuer: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be decided.

    revision   of the study as the person who decides has seen it
    target     whose the study is, or the part that leaves it
    series     series that leave it, or are rejected
    instances  SOP Instance UIDs, likewise; the one whose content is decided on
    into       the study that it is part of
    sha256     of the other content, in hex
    title      why it is rejected
    """

    facility: str
    study_uid: str
    revision: int
    kind: Kind
    target: Target | None = None
    series: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()
    into: str = ""
    sha256: str = ""
    title: Title | None = None


@dataclass(frozen=True, slots=True)
class _What:
    said: Said
    others: Collection[str] = field(default_factory=tuple)
    """Further studies that it touches."""


async def decide(
    connection: Connection, community: Community, decision: Decision, actor: str, why: str, at: datetime
) -> int:
    """Makes the statement; its number.

    Raises NotFoundError, and RequestStateError: `study-changed` when something came or was decided since, and
    `study-receiving` while objects of it arrive.
    """
    facility, study_uid = decision.facility, decision.study_uid
    locked = await restating.lock(connection, facility, {study_uid, decision.into} - {""})
    if study_uid not in locked:
        raise NotFoundError("there is no such study")
    _refuse_unsettled(community, locked[study_uid], decision.revision, at)
    what = await _said(connection, decision, locked, at)
    touched = studies_of(decision.kind, study_uid, what.said, what.others)
    tells = decision.kind not in (Kind.KEEP, Kind.LEAVE) and await as_sent.was_sent(
        connection, facility, {study_uid, *what.others}
    )
    number = await stating.state(
        connection,
        New(facility, decision.kind, study_uid, touched, _renumbering(what.said, tells), actor, why, owes_note=tells),
        at,
    )
    await _audit(connection, f"reconcile-{decision.kind}", decision.facility, study_uid, number, actor, why, at)
    return number


async def undo(connection: Connection, number: int, actor: str, why: str, at: datetime) -> stating.Stated:
    """Takes a decision back. Raises as `stating.take_back` does."""
    one = await stating.take_back(connection, number, actor, why, at)
    await _audit(connection, "reconcile-undo", one.facility, one.study_uid, number, actor, why, at)
    return one


def order_attributes(step: Step, current: Mapping[str, str]) -> Attributes:
    """What objects of an order say; nothing of another person stays."""
    written, latin = step.patient_name, step.patient_name_latin
    name = f"{latin}={written}" if latin and written and latin != written else written or latin
    told = {
        "accession": step.accession,
        "patient_id": step.patient_id,
        "issuer": step.issuer,
        "patient_name": name,
        "birth_date": f"{step.birth_on:%Y%m%d}" if step.birth_on else "",
        "sex": step.sex,
    }
    return told | _without_the_other_person(current, step.patient_id)


async def _said(connection: Connection, decision: Decision, locked: Mapping[str, Locked], at: datetime) -> _What:
    facility, study_uid = decision.facility, decision.study_uid
    match decision.kind:
        case Kind.ASSIGN:
            return _What(await _of_target(connection, decision))
        case Kind.SPLIT:
            await _chosen(connection, decision, must_leave_some=True)
            said = await _of_target(connection, decision) if decision.target else Said()
            parts = sorted((*decision.series, *decision.instances))
            to_study = derived_uid("split", facility, study_uid, at.isoformat(), *parts)
            return _What(
                Said(
                    to_study=to_study,
                    series=decision.series,
                    instances=decision.instances,
                    attributes=said.attributes,
                    order=said.order,
                )
            )
        case Kind.MERGE:
            return _What(await _into(connection, decision, locked))
        case Kind.REJECT:
            chosen = await _chosen(connection, decision)
            assert decision.title is not None
            return _What(Said(instances=tuple(sorted(chosen)), code=decision.title.value))
        case Kind.KEEP | Kind.REPLACE | Kind.LEAVE:
            return await _of_content(connection, decision)


async def _of_target(connection: Connection, decision: Decision) -> Said:
    target, facility = decision.target, decision.facility
    assert target is not None
    current = await as_sent.attributes_of(connection, facility, decision.study_uid)
    if target.accession:
        step = await worklist.by_accession(connection, facility, target.accession)
        if step is None:
            raise NotFoundError("no order of the facility has this accession number", code="no-such-order")
        said = Said(attributes=order_attributes(step, current), order=step.service_request)
    else:
        said = Said(attributes=await _patient_attributes(connection, facility, target, current))
    check_fits(said.attributes)
    return said


async def _patient_attributes(
    connection: Connection, facility: str, target: Target, current: Mapping[str, str]
) -> Attributes:
    prefix = facility_system(facility, "patient")
    wanted = {facility_system(facility, "patient", target.issuer)} if target.issuer else set[str]()
    named = {
        identifier["system"]: one.body
        for one in await records.find(connection, "Patient", of_value("identifier", target.patient_id))
        for identifier in one.body.get("identifier", ())
        if identifier.get("value") == target.patient_id
        and f"{identifier.get('system', '')}:".startswith(f"{prefix}:")
        and (not wanted or identifier.get("system") in wanted)
    }
    # What objects alone say of a person is a Patient too; whom the facility has registered goes before it.
    registered = [body for system, body in named.items() if system != f"{prefix}:{NO_ISSUER}"]
    found = registered or list(named.values())
    if not found:
        raise NotFoundError("no patient of the facility has this number", code="no-such-patient")
    if len({patient["id"] for patient in found}) > 1:
        raise RequestStateError("several patients have this number: say whose it is (issuer)", code="several-patients")
    patient = found[0]
    name: Attributes = next(iter(patient.get("name", ())), {})
    written, latin = dicom_name(name), latin_name(name)
    told = {
        "patient_id": target.patient_id,
        "issuer": target.issuer,
        "patient_name": f"{latin}={written}" if latin and latin != written else written,
        "birth_date": patient.get("birthDate", "").replace("-", "") if len(patient.get("birthDate", "")) == 10 else "",
        "sex": {"male": "M", "female": "F", "other": "O"}.get(patient.get("gender", ""), ""),
    }
    # A number of another patient's order would only lead to the next conflict.
    accession = current.get("accession", "")
    step = await worklist.by_accession(connection, facility, accession) if accession else None
    if step is not None and not is_of(step, target.patient_id, target.issuer):
        told["accession"] = ""
    return told | _without_the_other_person(current, target.patient_id)


def _without_the_other_person(current: Mapping[str, str], patient_id: str) -> Attributes:
    """The age of one person says nothing of another."""
    return {"age": ""} if current.get("age") and current.get("patient_id", "") != patient_id else {}


async def _chosen(connection: Connection, decision: Decision, *, must_leave_some: bool = False) -> set[str]:
    """The instances that are named, by themselves or with their series. Raises NotFoundError, RequestStateError."""
    served = [
        one
        for one in await as_sent.stored(connection, decision.facility, [decision.study_uid])
        if not one.hidden and one.served_study_uid == decision.study_uid
    ]
    series, instances = {one.served_series_uid for one in served}, {one.served_sop_uid for one in served}
    if not set(decision.series) <= series or not set(decision.instances) <= instances:
        raise NotFoundError("the study has no such series or instance", code="no-such-part")
    whole = decision.kind is Kind.REJECT and not decision.series and not decision.instances
    chosen = {
        one.served_sop_uid
        for one in served
        if whole or one.served_series_uid in decision.series or one.served_sop_uid in decision.instances
    }
    if not chosen:
        raise RequestStateError("say which series or instances", code="nothing-chosen")
    if must_leave_some and chosen == instances:
        raise RequestStateError("nothing of the study would stay: assign it instead", code="nothing-left")
    return chosen


async def _into(connection: Connection, decision: Decision, locked: Mapping[str, Locked]) -> Said:
    if decision.into == decision.study_uid:
        raise RequestStateError("a study is part of itself already", code="same-study")
    told = await as_sent.attributes_of(connection, decision.facility, decision.into)
    if decision.into not in locked or not told:
        raise NotFoundError("nothing of the other study is served", code="no-such-study")
    return Said(to_study=decision.into, attributes={name: told.get(name, "") for name in (*PATIENT_TAGS, *STUDY_TAGS)})


async def _of_content(connection: Connection, decision: Decision) -> _What:
    """Raises NotFoundError where no other content waits under this SOP Instance UID."""
    uids = await as_sent.contents_of(connection, decision.facility, decision.instances[0])
    waiting = [one for one in uids if one.sent.sha256.hex() == decision.sha256 and one.served_conflict]
    if not waiting:
        raise NotFoundError("no other content waits under this SOP Instance UID", code="no-such-content")
    studies = {study for one in uids for study in (one.sent.study_uid, one.served_study_uid)}
    return _What(Said(instances=decision.instances, sha256=decision.sha256), studies)


def _renumbering(said: Said, tells: bool) -> Said:
    return replace(said, renumber=True) if tells else said


def _refuse_unsettled(community: Community, study: Locked, revision: int, at: datetime) -> None:
    if study.revision != revision:
        raise RequestStateError("the study has changed since you looked at it: look again", code="study-changed")
    channel = next((one for one in community.dicom_channels if one.name == study.channel), None)
    if channel is not None and study.last_stored_at + timedelta(seconds=channel.quiet_secs) > at:
        raise RequestStateError("objects of this study still arrive: wait until it is quiet", code="study-receiving")


async def _audit(
    connection: Connection, action: str, facility: str, study_uid: str, number: int, actor: str, why: str, at: datetime
) -> None:
    detail: dict[str, str | int | bool | None] = {"reason": why, "number": number, "study": study_uid}
    subject = f"ImagingStudy/{study_id(facility, study_uid)}"
    await audit.write(connection, [audit.Audited(actor, action, subject, detail)], at)
