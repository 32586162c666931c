"""Which of the studies that an archive names are earlier ones of our patient, and which are worth fetching? Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from pydicom.dataset import Dataset

from engine.store.imaging_outbox import PriorsOwed
from engine.store.spellings import folded, syllables
from pacs_gateway.query.values import text_of

_WILD = frozenset("*?\\")
_SEXES = frozenset({"M", "F"})
KEYS = (
    "PatientID",
    "IssuerOfPatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "ModalitiesInStudy",
    "StudyDescription",
    "SOPClassesInStudy",
    "NumberOfStudyRelatedInstances",
)
"""What is asked of each study."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A study at the archive. `instances` is 0 where it does not say how many there are.

    modalities, parts  of its series; none where the archive does not say
    """

    study_uid: str
    patient_id: str
    on: str
    modalities: frozenset[str]
    description: str
    classes: tuple[str, ...]
    instances: int
    parts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Judged:
    """others   how many answers are of somebody else, by what differs
    renamed  how many have another name, and the date of birth is the same
    """

    candidates: list[Candidate]
    others: dict[str, int]
    renamed: int


def is_askable(patient_id: str) -> bool:
    """Whether an archive would take it for one number: a `*` would ask for everybody."""
    return bool(patient_id.strip()) and _WILD.isdisjoint(patient_id)


def question_for(patient_id: str, within_days: int, today: date) -> Dataset:
    """The identifier of a query at the level of studies."""
    question = Dataset()
    question.SpecificCharacterSet = "ISO_IR 192"
    question.QueryRetrieveLevel = "STUDY"
    for keyword in KEYS:
        setattr(question, keyword, "")
    question.PatientID = patient_id
    question.StudyDate = f"{today - timedelta(days=within_days):%Y%m%d}-"
    return question


def judge(answers: Iterable[tuple[str, Dataset]], owed: PriorsOwed) -> Judged:
    """Answers, each with the patient identifier that was asked for."""
    candidates: dict[str, Candidate] = {}
    others: dict[str, int] = {}
    renamed = 0
    for asked, answer in answers:
        if differs := _other(answer, asked, owed):
            others[differs] = others.get(differs, 0) + 1
            continue
        candidate = _candidate(answer, asked)
        if not candidate.study_uid or candidate.study_uid == owed.study_uid:
            continue
        renamed += _has_other_name(answer, owed.names)
        candidates.setdefault(candidate.study_uid, candidate)
    return Judged(list(candidates.values()), others, renamed)


def chosen(candidates: Sequence[Candidate], owed: PriorsOwed, most: int) -> list[Candidate]:
    """Those of the same modality first, and of the same part of the body before others; the newest of equals."""
    part = owed.body_part.strip().casefold()

    def rank(candidate: Candidate) -> tuple[bool, bool]:
        of_part = part in candidate.parts or part in candidate.description.casefold()
        return owed.modality not in candidate.modalities, bool(part) and not of_part

    return sorted(newest_first(candidates), key=rank)[:most]


def newest_first(candidates: Iterable[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda candidate: (candidate.on, candidate.study_uid), reverse=True)


def described(candidate: Candidate, series: Iterable[Dataset]) -> Candidate:
    """With what its series say of it."""
    listed = list(series)
    return replace(
        candidate,
        modalities=candidate.modalities | ({text_of(one, "Modality") for one in listed} - {""}),
        parts=frozenset(text_of(one, "BodyPartExamined").casefold() for one in listed) - {""},
    )


def _other(answer: Dataset, asked: str, owed: PriorsOwed) -> str:
    """By what an answer shows that it is of somebody else; empty when nothing does."""
    if text_of(answer, "PatientID") != asked:
        return "patient identifier"
    born = text_of(answer, "PatientBirthDate")
    born_alike = bool(owed.birth_date) and born == owed.birth_date
    if owed.birth_date and re.fullmatch(r"\d{8}", born) and not born_alike:
        return "date of birth"
    sex = text_of(answer, "PatientSex").upper()
    if owed.sex in _SEXES and sex in _SEXES and sex != owed.sex:
        return "sex"
    stated, known = _forms([text_of(answer, "PatientName")]), _forms(owed.names)
    named_alike = not stated.isdisjoint(known)
    if _has_other_issuer(answer, owed.issuers.get(asked, ())) and not (born_alike and named_alike):
        return "issuer of the identifier"
    if stated and known and not named_alike and not born_alike:
        return "name"
    return ""


def _has_other_issuer(answer: Dataset, issuers: Collection[str]) -> bool:
    stated = folded(text_of(answer, "IssuerOfPatientID"))
    return bool(stated and issuers) and stated not in map(folded, issuers)


def _has_other_name(answer: Dataset, names: Collection[str]) -> bool:
    stated, known = _forms([text_of(answer, "PatientName")]), _forms(names)
    return bool(stated and known) and stated.isdisjoint(known)


def _forms(names: Iterable[str]) -> set[str]:
    """What of names can be compared: as they are written, width, case and blanks apart, and as they may be read."""
    written = {folded(group) for name in names for group in name.split("=")} - {""}
    return written | {"".join(spoken) for name in written if not name.isascii() for spoken in syllables(name)}


def _candidate(answer: Dataset, asked: str) -> Candidate:
    counted = text_of(answer, "NumberOfStudyRelatedInstances")
    return Candidate(
        study_uid=text_of(answer, "StudyInstanceUID"),
        patient_id=asked,
        on=text_of(answer, "StudyDate"),
        modalities=frozenset(filter(None, text_of(answer, "ModalitiesInStudy").split("\\"))),
        description=text_of(answer, "StudyDescription"),
        classes=tuple(filter(None, text_of(answer, "SOPClassesInStudy").split("\\"))),
        instances=int(counted) if re.fullmatch(r"\d{1,7}", counted) else 0,
    )
