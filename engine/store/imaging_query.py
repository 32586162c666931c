"""What may be asked of patients, studies, series and instances, and what is told of them?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from engine.store import imaging_index

_ATTRIBUTES_REMEMBERED = 1000
"""Texts that need not be taken apart again; lists are asked for by many, and again every few seconds."""


class Level(StrEnum):
    """Query/retrieve levels of PS3.4 C.3, in the spelling of (0008,0052)."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


@dataclass(frozen=True, slots=True)
class Range:
    """Both ends belong to it; an empty one is open."""

    first: str = ""
    last: str = ""

    def __bool__(self) -> bool:
        return bool(self.first or self.last)


@dataclass(frozen=True, slots=True)
class ImagingQuery:
    """What is asked of one level. What is empty matches everything (PS3.4 C.2.2.2.3).

    facility      whose studies; None for everybody's
    patient_name  a pattern; case, width and punctuation do not count, pinyin and initials find Chinese (C.2.2.2.1)
    dates, times  YYYYMMDD and HHMMSS of the study
    together      date and time are one range from first to last, not one for each (C.2.2.2.5.3)
    modalities    patterns, of which the study at PATIENT and STUDY, the series below, has at least one
    texts         patterns by attribute of `ATTRIBUTES`, of its level or one above; one pattern of each must match
    ranges        of other dates and times, by attribute likewise, in digits as DICOM writes them; an end that says less
                  than a value means all of what it says
    """

    level: Level
    facility: str | None
    study_uids: tuple[str, ...] = ()
    series_uids: tuple[str, ...] = ()
    sop_uids: tuple[str, ...] = ()
    sop_classes: tuple[str, ...] = ()
    patient_name: str = ""
    dates: Range = Range()
    times: Range = Range()
    together: bool = False
    modalities: tuple[str, ...] = ()
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Key:
    """One match. A patient is named by the newest of the matching studies; UIDs below the level are empty."""

    facility: str
    study_uid: str
    series_uid: str = ""
    sop_uid: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """Where an instance is; of a patient, a study and a series the first that was stored.

    charset  JSON: declared, used, doubtful
    """

    sop_uid: str
    sop_class: str
    transfer_syntax: str
    location: str
    charset: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a match: attributes of its level and those above, and how much hangs below.

    A count is of what the caller may see. `content` is what else could be asked is read from.

    tags  of study, series and instance as the index has them: JSON, empty above the level
    """

    level: Level
    key: Key
    tags: tuple[str, str, str]
    content: Content
    modalities: tuple[str, ...] = ()
    studies: int = 0
    series: int = 0
    instances: int = 0

    @property
    def attributes(self) -> Mapping[str, str]:
        """By the names of `ATTRIBUTES`, and of what is only told; shared by all who ask."""
        return _attributes(self.level, self.tags)


ATTRIBUTES: Mapping[str, Level] = {
    **dict.fromkeys(imaging_index.PATIENT_TAGS, Level.PATIENT),
    **dict.fromkeys(imaging_index.STUDY_TAGS, Level.STUDY),
    **dict.fromkeys(imaging_index.SERIES_TAGS, Level.SERIES),
    **dict.fromkeys(imaging_index.INSTANCE_TAGS, Level.IMAGE),
}
"""What is indexed, and at which level it stands; the names are those of `tags`."""

_LEVEL_OF: Mapping[str, Level] = {
    **ATTRIBUTES,
    **dict.fromkeys(imaging_index.SERIES_TOLD, Level.SERIES),
    **dict.fromkeys(imaging_index.INSTANCE_TOLD, Level.IMAGE),
}
_OF_INSTANCE = (*imaging_index.INSTANCE_TAGS, *imaging_index.INSTANCE_TOLD)

LEVELS = (Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE)


@lru_cache(_ATTRIBUTES_REMEMBERED)
def _attributes(level: Level, tags: tuple[str, str, str]) -> Mapping[str, str]:
    """Of an instance only what is its own: patient and study are told as the index has them, for all alike."""
    of_study, of_series, of_instance = (json.loads(text) if text else {} for text in tags)
    own = {name: of_instance[name] for name in _OF_INSTANCE if name in of_instance}
    return {name: value for name, value in {**of_study, **of_series, **own}.items() if _is_of(name, level)}


def _is_of(name: str, level: Level) -> bool:
    return LEVELS.index(_LEVEL_OF[name]) <= LEVELS.index(level)
