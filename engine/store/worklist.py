"""Which procedure steps are scheduled? Written where orders are recorded; the modality worklist answers from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import date, datetime

from asyncpg import UniqueViolationError

from engine.errors import Disposition, RecordError
from engine.store.database import Connection

_ACCESSION_DAY = "%y%m%d"


@dataclass(frozen=True, slots=True)
class Step:
    """One scheduled procedure step, as the worklist hands it out."""

    service_request: str
    facility: str
    accession: str
    study_uid: str
    patient_id: str
    issuer: str
    patient_name: str
    patient_name_latin: str
    birth_on: date | None
    sex: str
    modality: str
    station_ae: str
    procedure_code: str
    procedure_text: str
    body_part: str
    requested_by: str
    placer: str
    scheduled_at: datetime
    state: str


_COLUMNS = [field.name for field in fields(Step)]
_UPSERT = f"""
insert into worklist ({", ".join(_COLUMNS)}) values ({", ".join(f"${n + 1}" for n in range(len(_COLUMNS)))})
on conflict (service_request) do update set {", ".join(f"{c} = excluded.{c}" for c in _COLUMNS[1:])}
"""


class NumberTaken(RecordError):
    """Another transaction gave the accession number to its order meanwhile; tried again, this one sees it."""

    disposition = Disposition.RETRY
    code = "accession-taken"


async def put(connection: Connection, steps: Sequence[Step]) -> None:
    """Schedules, changes or cancels steps, in the transaction of the orders they belong to. Raises NumberTaken.

    Written in one order, so that two transactions cannot wait for each other.
    """
    if not steps:
        return
    try:
        await connection.executemany(_UPSERT, [astuple(s) for s in sorted(steps, key=lambda s: s.service_request)])
    except UniqueViolationError as error:
        raise NumberTaken("an accession number was given to another order meanwhile") from error


async def by_order(connection: Connection, service_requests: Iterable[str]) -> dict[str, Step]:
    """The step of each order that has one."""
    rows = await connection.fetch(
        f"select {', '.join(_COLUMNS)} from worklist where service_request = any($1)", sorted(set(service_requests))
    )
    return {row["service_request"]: Step(**row) for row in rows}


async def by_accession(connection: Connection, facility: str, accession: str) -> Step | None:
    """The step of an accession number at one facility: the same number at another one is another examination."""
    row = await connection.fetchrow(
        f"select {', '.join(_COLUMNS)} from worklist where facility = $1 and accession = $2", facility, accession
    )
    return Step(**row) if row else None


async def by_study(connection: Connection, study_uid: str) -> Step | None:
    """The step that hands out a Study Instance UID; there is one, whatever the facility."""
    row = await connection.fetchrow(f"select {', '.join(_COLUMNS)} from worklist where study_uid = $1", study_uid)
    return Step(**row) if row else None


async def issue_accession(connection: Connection, facility: str, day: date) -> str:
    """The next accession number of a facility: 6 digits of the day and 5 of a counter, unique per facility.

    An accession number has at most 16 characters (DICOM PS3.5 §6.2, VR SH); a rolled back transaction gives its
    number back, and two transactions of one facility wait for each other.
    """
    issued: int = await connection.fetchval(
        """
        insert into accession_counter (facility, day, issued) values ($1, $2, 1)
        on conflict (facility, day) do update set issued = accession_counter.issued + 1
        returning issued
        """,
        facility,
        day,
    )
    return f"{day.strftime(_ACCESSION_DAY)}{issued:05d}"


async def around(connection: Connection, facility: str, since: datetime, before: datetime, limit: int) -> list[Step]:
    """The steps of a facility that were scheduled between two moments, cancelled ones left out."""
    rows = await connection.fetch(
        f"""
        select {", ".join(_COLUMNS)} from worklist
        where facility = $1 and scheduled_at between $2 and $3 and state <> 'cancelled'
        order by scheduled_at desc limit $4
        """,
        facility,
        since,
        before,
        limit,
    )
    return [Step(**row) for row in rows]
