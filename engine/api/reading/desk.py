"""What lies on a reader's desk, and how does an action on it become durable? One transaction per action."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from engine.api.caller import Caller
from engine.api.reading.lines import study_uid
from engine.api.reading.returning import owe_report
from engine.api.services import Services
from engine.centres import request as requests
from engine.centres.case import Case
from engine.centres.people import Person, must_read_for
from engine.centres.report import observed_id
from engine.centres.states import Action
from engine.config import Centre, Community, Role
from engine.errors import NotFoundError
from engine.store import audit, records, study_states
from engine.store.database import Connection
from engine.store.records import Change, Stored, VersionConflict
from engine.store.wholeness import StudyState

Resource = dict[str, Any]

_ATTEMPTS = 3
"""Two actions of one person may both make that person's Practitioner; the second then only has to look again."""


@dataclass(frozen=True, slots=True)
class Docket:
    """A request with everything it refers to. `order`, `patient` and the report are empty or None when not recorded."""

    task: Stored
    order: Resource
    patient: Resource
    studies: list[Resource]
    report: Stored | None
    observation: Stored | None
    states: tuple[StudyState, ...] = ()
    """How much of its studies has come."""

    @property
    def case(self) -> Case:
        return Case(
            self.task.body,
            self.report.body if self.report else None,
            self.observation.body if self.observation else None,
        )

    @property
    def revision(self) -> int:
        """Grows with every change of the report or its 检查所见."""
        return sum(stored.version for stored in (self.report, self.observation) if stored is not None)

    def version_of(self, resource: Resource) -> int | None:
        """The version a changed resource was made from; None for one that is not of this docket."""
        reference = f"{resource['resourceType']}/{resource['id']}"
        for stored in (self.task, self.report, self.observation):
            if stored is not None and stored.reference == reference:
                return stored.version
        return None


Step = Callable[[Docket, Person, Centre, datetime], Case]


async def open_docket(connection: Connection, request_id: str, *, for_update: bool = False) -> Docket:
    """Raises NotFoundError. With for_update the request is locked: actions on it happen one after another."""
    reference = f"Task/{request_id}"
    found = await records.read_many(connection, [reference], for_update=for_update)
    if reference not in found:
        raise NotFoundError("no such request")
    return (await fill(connection, [found[reference]]))[0]


async def fill(connection: Connection, tasks: list[Stored]) -> list[Docket]:
    """The dockets of these requests, in the same order, read at once."""
    wanted = {reference for task in tasks for reference in _references(task.body)}
    found = await records.read_many(connection, wanted)
    dockets = [_docket(task, found) for task in tasks]
    states = await study_states.of_studies(connection, [study_uid(study) for one in dockets for study in one.studies])
    return [replace(docket, states=_states_of(docket, states)) for docket in dockets]


def centre_of(task: Resource, config: Community) -> Centre:
    """Raises NotFoundError `centre-not-configured` when the centre has gone from the configuration."""
    centre = config.centres.get(requests.centre_of(task))
    if centre is None:
        raise NotFoundError("the centre of this request is not configured any more", code="centre-not-configured")
    return centre


def person_of(caller: Caller) -> Person:
    return Person(caller.name, caller.display, caller.facility)


def must_see(caller: Caller, centre: Centre) -> None:
    """Raises AccessError unless the caller reads for this centre or administers the hub."""
    if not caller.may(Role.ADMIN):
        must_read_for(centre, person_of(caller))


async def act(hub: Services, caller: Caller, request_id: str, action: Action, step: Step) -> None:
    """Takes one step of a request; durable on return. What a signature owes is owed by the same transaction."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return await _act_once(hub, caller, request_id, action, step)
        except VersionConflict:
            if attempt == _ATTEMPTS:
                raise


async def _act_once(hub: Services, caller: Caller, request_id: str, action: Action, step: Step) -> None:
    at, person = hub.clock(), person_of(caller)
    async with hub.pool.acquire() as connection, connection.transaction():
        docket = await open_docket(connection, request_id, for_update=True)
        centre = centre_of(docket.task.body, hub.config)
        case = step(docket, person, centre, at)
        changes = [Change(r, actor=caller.name, expect_version=docket.version_of(r)) for r in case.resources()]
        await records.put_many(connection, [*changes, Change(person.practitioner, actor=caller.name)], at)
        if action is Action.SIGN:
            await owe_report(connection, hub, docket.order, docket.patient, docket.studies, case, at)
        await audit.write(
            connection,
            [audit.Audited(caller.name, action.value, f"Task/{request_id}", {"facility": caller.facility})],
            at,
        )


def _references(task: Resource) -> list[str]:
    report = requests.report_id(task)
    return [
        task["focus"]["reference"],
        task["for"]["reference"],
        *requests.study_references(task),
        f"DiagnosticReport/{report}",
        f"Observation/{observed_id({'id': report})}",
    ]


def _states_of(docket: Docket, states: Mapping[tuple[str, str], StudyState]) -> tuple[StudyState, ...]:
    facility = requests.facility_of(docket.task.body)
    named = ((study_uid(study), facility) for study in docket.studies)
    return tuple(states[name] for name in named if name in states)


def _docket(task: Stored, found: dict[str, Stored]) -> Docket:
    def body(reference: str) -> Resource:
        return found[reference].body if reference in found else {}

    order, patient, *studies, report, observation = _references(task.body)
    return Docket(
        task=task,
        order=body(order),
        patient=body(patient),
        studies=[found[reference].body for reference in studies if reference in found],
        report=found.get(report),
        observation=found.get(observation),
    )
