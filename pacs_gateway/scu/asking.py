"""What does a person ask another system? Keys in words, made into an identifier, and its answers in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset

from engine.errors import ConfigurationError
from pacs_gateway.query.models import PATIENT_ROOT, STUDY_ROOT
from pacs_gateway.query.values import texts_of
from pacs_gateway.scu.find import WORKLIST, find
from pacs_gateway.scu.peer import Proposal
from pacs_gateway.scu.requestor import Requestor

_COLUMNS = {
    "patient": ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    "study": ("StudyDate", "PatientID", "PatientName", "ModalitiesInStudy", "AccessionNumber", "StudyDescription",
              "NumberOfStudyRelatedInstances", "StudyInstanceUID"),
    "series": ("Modality", "SeriesNumber", "SeriesDescription", "NumberOfSeriesRelatedInstances", "SeriesInstanceUID"),
    "image": ("InstanceNumber", "SOPClassUID", "SOPInstanceUID"),
    "worklist": ("ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime", "Modality",
                 "ScheduledStationAETitle", "PatientID", "PatientName", "AccessionNumber",
                 "RequestedProcedureDescription", "StudyInstanceUID"),
}  # fmt: skip
_OF_THE_STEP = frozenset(
    {
        "Modality",
        "ScheduledPerformingPhysicianName",
        "ScheduledProcedureStepDescription",
        "ScheduledProcedureStepID",
        "ScheduledProcedureStepStartDate",
        "ScheduledProcedureStepStartTime",
        "ScheduledStationAETitle",
        "ScheduledStationName",
    }
)
"""They stand within (0040,0100) of a worklist."""


@dataclass(frozen=True, slots=True)
class Question:
    """columns  the keywords that are asked for, in the order in which they are shown"""

    sop_class: str
    identifier: Dataset
    columns: tuple[str, ...]

    @property
    def proposals(self) -> list[Proposal]:
        return [Proposal(self.sop_class)]


def question_of(level: str, keys: Sequence[str]) -> Question:
    """A question at a level, with keys as KEYWORD=VALUE. Raises ConfigurationError for what is none."""
    if level not in _COLUMNS:
        raise ConfigurationError(f"--level {level}: expected one of {', '.join(_COLUMNS)}")
    asked = dict.fromkeys(_COLUMNS[level], "")
    for key in keys:
        keyword, equals, value = key.partition("=")
        tag = tag_for_keyword(keyword)
        if not equals or tag is None or dictionary_VR(tag) == "SQ":
            raise ConfigurationError(f"'{keyword}': expected KEYWORD=VALUE with a DICOM keyword, such as PatientID=P1")
        asked[keyword] = value
    identifier = Dataset()
    identifier.SpecificCharacterSet = "ISO_IR 192"
    step = Dataset()
    for keyword, value in asked.items():
        setattr(step if level == "worklist" and keyword in _OF_THE_STEP else identifier, keyword, value)
    if level == "worklist":
        identifier.ScheduledProcedureStepSequence = [step]
        return Question(WORKLIST, identifier, tuple(asked))
    identifier.QueryRetrieveLevel = level.upper()
    return Question((PATIENT_ROOT if level == "patient" else STUDY_ROOT).find, identifier, tuple(asked))


async def ask_for(requestor: Requestor, question: Question, limit: int) -> list[dict[str, str]]:
    """Values by keyword. Raises DeliveryError, and ParseError for an answer that cannot be read."""
    return [_words(answer) for answer in await find(requestor, question.sop_class, question.identifier, limit)]


def _words(answer: Dataset) -> dict[str, str]:
    words = {keyword_for_tag(tag): value for tag, value in texts_of(answer).items()}
    for step in answer.get("ScheduledProcedureStepSequence") or ():
        words |= {keyword_for_tag(tag): value for tag, value in texts_of(step).items()}
    return {keyword: value for keyword, value in words.items() if keyword}
