"""What does the reading room's API say? The shapes of its answers and of what it takes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

LONGEST_TEXT = 20_000
"""Characters of one part of a report: several times the longest that people write."""

_ALLOWED_CONTROLS = "\n\t"


def _readable(text: str) -> str:
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    if any(not c.isprintable() and c not in _ALLOWED_CONTROLS and ord(c) < 0xA0 for c in unified):
        raise ValueError("control characters are not allowed in a report")
    return unified


ReportText = Annotated[str, Field(max_length=LONGEST_TEXT), AfterValidator(_readable)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PatientLine(_Model):
    id: str
    name: str
    sex: Literal["male", "female", "other", "unknown"]
    birth_on: str | None
    age: str
    """As it is said at the bedside: 45岁, 7月, 12天; empty when the birth date is not known."""
    local_id: str


class FacilityLine(_Model):
    code: str
    name: str


class PersonLine(_Model):
    name: str
    display: str


class Completeness(_Model):
    """How much has come of the images; where there are several studies, of the one that lacks most.

    state         receiving, whole, short or late (some came after the study had counted as whole)
    missing_uids  the first of the missing instances that are known by name
    """

    state: str
    missing: int
    missing_uids: list[str]


class RequestRow(_Model):
    """One line of the worklist."""

    id: str
    state: str
    state_display: str
    centre: str
    centre_display: str
    priority: str
    patient: PatientLine
    facility: FacilityLine
    modality: str
    procedure: str
    body_part: str
    accession: str
    images: int
    completeness: Completeness | None
    """None while there are no images, and of those that the gateway has not received itself."""
    requested_at: datetime
    waiting_since: datetime | None
    """When there was something to read; None while the study is awaited."""
    changed_at: datetime
    reader: PersonLine | None
    writer: PersonLine | None


class Worklist(_Model):
    requests: list[RequestRow]
    counts: dict[str, int]
    """How many requests of the asked centres are in each open state."""


class InstanceLine(_Model):
    sop_uid: str
    sop_class: str
    number: int | None
    rendered: str
    """Path of the picture: PNG of an image, SVG of a waveform."""


class SeriesLine(_Model):
    uid: str
    modality: str
    number: int | None
    description: str
    instances: list[InstanceLine]


class StudyView(_Model):
    id: str
    uid: str
    started: str | None
    description: str
    series: list[SeriesLine]


class StepLine(_Model):
    action: str
    at: datetime
    person: str
    display: str
    facility: str
    comment: str


class ReturnLine(_Model):
    endpoint: str
    state: str
    attempts: int
    last_error: str | None
    created_at: datetime
    delivered_at: datetime | None


class PriorReport(_Model):
    """An earlier report of the same person, whichever facility made it."""

    id: str
    status: str
    procedure: str
    facility: FacilityLine
    observed_at: str | None
    issued_at: str | None
    observed: str
    conclusion: str
    studies: list[StudyView]


class ReportView(_Model):
    id: str | None
    status: str
    observed: str
    conclusion: str
    issued_at: str | None
    revision: int
    """Send it back with the next draft; another number means that somebody wrote in between."""
    interpreters: list[str]


class RequestView(_Model):
    """Everything a reader needs to write a report, and which actions are open to the one who asks."""

    request: RequestRow
    placer: str
    reason: str
    note: str
    """What the requester wrote beside the order."""
    allergies: list[str]
    """What is known of the person, whoever told it; what was refuted or entered in error is not among it."""
    requested_by: str
    two_person: bool
    studies: list[StudyView]
    report: ReportView
    steps: list[StepLine]
    priors: list[PriorReport]
    returns: list[ReturnLine]
    refused: dict[str, str]
    """Actions that are not open to the one who asks, each with the code of the reason. The others are."""


class Draft(_Model):
    observed: ReportText
    conclusion: ReportText
    revision: int | None = None
    """The revision the draft was written from; None overwrites whatever is there."""


class Review(_Model):
    decision: Literal["approve", "return"]
    comment: Annotated[str, Field(max_length=1000), AfterValidator(_readable)] = ""


class ReasonLine(_Model):
    code: str
    text: str
    against: bool


class RecognisedResult(_Model):
    """An earlier result and whether it may stand for the order."""

    report: str
    studies: list[str]
    study_uids: list[str]
    procedure: str
    observed_at: datetime
    age_days: int
    valid_days: int
    facility: FacilityLine
    verdict: Literal["allow", "deny"]
    reasons: list[ReasonLine]
    conclusion: str
    """Shown beside the data; it is not what is recognised."""


class RecognitionAnswer(_Model):
    recognisable: bool
    results: list[RecognisedResult]
