"""How does a request at a centre read as a workitem? Attributes of PS3.4 CC.2.5, in the DICOM JSON Model. Pure.

A workitem is a view of the request: there is no second state that could disagree with the reading room's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from engine.api.reading.desk import Docket
from engine.api.reading.lines import placer_of, study_uid
from engine.api.reading.models import RequestRow
from engine.centres import request as requests
from engine.centres.states import Action, RequestState
from engine.clock import CHINA
from engine.errors import NotFoundError

DataSet = dict[str, Any]
Resource = dict[str, Any]

SOP_CLASS = "1.2.840.10008.5.1.4.34.6.1"
SCHEDULED, IN_PROGRESS, COMPLETED, CANCELED = "SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED"
STATES: Mapping[RequestState, str] = {
    RequestState.AWAITING_STUDY: SCHEDULED,
    RequestState.WAITING: SCHEDULED,
    RequestState.CLAIMED: IN_PROGRESS,
    RequestState.PRELIMINARY: IN_PROGRESS,
    RequestState.REVIEWED: IN_PROGRESS,
    RequestState.SIGNED: COMPLETED,
    RequestState.RETURNED: COMPLETED,
    RequestState.CANCELLED: CANCELED,
}
TRANSACTION = "urn:hutong:ups-transaction"
"""Extension of a Task: the Transaction UID that a claim was made with, and which of its claims that was."""

ATTRIBUTES = frozenset(
    {(tag,) for tag in ("00080005", "00080016", "00080018", "00100010", "00100020", "00100030", "00100040", "0020000D")}
    | {(tag,) for tag in ("00404005", "00404041", "00741000", "00741200", "00741202", "00741204")}
    | {("00404018", tag) for tag in ("00080100", "00080102", "00080104")}
    | {("00404021", tag) for tag in ("0020000D", "0040E020")}
    | {("00404021", "0040E025", "00081190")}
    | {("0040A370", tag) for tag in ("0020000D", "00080050", "00321060", "00401001", "00402016")}
    | {("00741216", "00404035", "00404037")}
)
"""Everything but sequences that workitems tell, by paths of tags."""

_UID_OF_UUID = re.compile(r"2\.25\.([1-9][0-9]{0,38}|0)")
_PRIORITIES = {"stat": "HIGH", "asap": "HIGH", "urgent": "HIGH", "routine": "MEDIUM"}
_SEX = {"male": "M", "female": "F", "other": "O"}
_INTERPRETATION = {"00080100": ("SH", "110005"), "00080102": ("SH", "DCM"), "00080104": ("LO", "Interpretation")}


def uid_of(request_id: str) -> str:
    """The SOP Instance UID of a request: its id, a UUID, as PS3.5 annex B.2 writes one."""
    return f"2.25.{UUID(request_id).int}"


def request_of(uid: str) -> str:
    """Raises NotFoundError for a UID that is no request's."""
    match = _UID_OF_UUID.fullmatch(uid)
    if match is None or int(match[1]) >> 128:
        raise NotFoundError("no such workitem")
    return str(UUID(int=int(match[1])))


def data_set(docket: Docket, row: RequestRow, base: str) -> DataSet:
    """`base` is the address of the DICOMweb services."""
    state = RequestState(row.state)
    said: DataSet = {}
    _add(said, "00080005", "CS", "ISO_IR 192")
    _add(said, "00080016", "UI", SOP_CLASS)
    _add(said, "00080018", "UI", uid_of(row.id))
    _add(said, "00100010", "PN", _name(row.patient.name))
    _add(said, "00100020", "LO", row.patient.local_id)
    _add(said, "00100030", "DA", (row.patient.birth_on or "").replace("-", ""))
    _add(said, "00100040", "CS", _SEX.get(row.patient.sex, ""))
    _add(said, "0020000D", "UI", *map(study_uid, docket.studies[:1]))
    _add(said, "00404005", "DT", _moment(row.waiting_since or row.requested_at))
    _add(said, "00404018", "SQ", {tag: _element(vr, value) for tag, (vr, value) in _INTERPRETATION.items()})
    _add(said, "00404021", "SQ", *(_input(study, base) for study in docket.studies))
    _add(said, "00404041", "CS", "INCOMPLETE" if state is RequestState.AWAITING_STUDY else "READY")
    _add(said, "0040A370", "SQ", _request(docket, row))
    _add(said, "00741000", "CS", STATES[state])
    _add(said, "00741200", "CS", _PRIORITIES.get(row.priority, "LOW"))
    _add(said, "00741202", "LO", row.centre_display)
    _add(said, "00741204", "LO", row.procedure)
    if row.reader is not None and STATES[state] in (IN_PROGRESS, COMPLETED):
        performer: DataSet = {}
        _add(performer, "00404037", "PN", _name(row.reader.display))
        performed: DataSet = {}
        _add(performed, "00404035", "SQ", performer)
        _add(said, "00741216", "SQ", performed)
    return dict(sorted(said.items()))


def with_transaction(task: Resource, uid: str) -> Resource:
    """The request whose latest claim was made under this Transaction UID."""
    others = [entry for entry in task["extension"] if entry["url"] != TRANSACTION]
    parts = [{"url": "uid", "valueString": uid}, {"url": "claim", "valueInteger": _claims(task)}]
    return {**task, "extension": [*others, {"url": TRANSACTION, "extension": parts}]}


def transaction_of(task: Resource) -> str:
    """The Transaction UID of the claim that holds; empty when it was made in the reading room, or none holds."""
    for entry in task["extension"]:
        if entry["url"] == TRANSACTION and requests.reader_of(task) is not None:
            uid, claim = entry["extension"]
            return str(uid["valueString"]) if claim["valueInteger"] == _claims(task) else ""
    return ""


def _claims(task: Resource) -> int:
    return sum(step.action is Action.CLAIM for step in requests.transitions(task))


def values_of(said: DataSet, path: Iterable[str]) -> list[str]:
    """The values at a path of tags through sequences, as texts; a name as each of its groups."""
    found: list[Any] = [said]
    for tag in path:
        found = [value for item in found if isinstance(item, dict) for value in item.get(tag, {}).get("Value", ())]
    return [text for value in found for text in (value.values() if isinstance(value, dict) else (str(value),))]


def _input(study: Resource, base: str) -> DataSet:
    uid = study_uid(study)
    retrieval: DataSet = {}
    _add(retrieval, "00081190", "UR", f"{base}/studies/{uid}")
    said: DataSet = {}
    _add(said, "0020000D", "UI", uid)
    _add(said, "0040E020", "CS", "DICOM")
    _add(said, "0040E025", "SQ", retrieval)
    return said


def _request(docket: Docket, row: RequestRow) -> DataSet:
    said: DataSet = {}
    _add(said, "0020000D", "UI", *map(study_uid, docket.studies[:1]))
    _add(said, "00080050", "SH", row.accession)
    _add(said, "00321060", "LO", row.procedure)
    _add(said, "00401001", "SH", row.accession)
    _add(said, "00402016", "LO", placer_of(docket.order))
    return dict(sorted(said.items()))


def _add(said: DataSet, tag: str, vr: str, *values: Any) -> None:
    said[tag] = _element(vr, *values)


def _element(vr: str, *values: Any) -> DataSet:
    """Without a value where there is none."""
    return {"vr": vr, "Value": list(values)} if values and all(value != "" for value in values) else {"vr": vr}


def _name(name: str) -> Any:
    if not name:
        return ""
    return {"Alphabetic" if name.isascii() else "Ideographic": name}


def _moment(at: datetime) -> str:
    return at.astimezone(CHINA).strftime("%Y%m%d%H%M%S+0800")
