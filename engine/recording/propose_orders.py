"""Which order is a study probably of? Orders of its facility around its time that agree with it; proposed, never taken.

Pure: whoever asks brings the orders.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rapidfuzz.distance import OSA

from engine.store.worklist import Step
from engine.studies import is_of

WINDOW = timedelta(days=3)
"""Between when an examination was planned and when it was made; and how far a wrong clock may be off."""
LIMIT = 5
_WEIGHTS = {"patient-id": 4, "name": 3, "accession-alike": 3, "birth-date": 2, "modality": 2, "same-day": 1}
_ENOUGH = 5
"""Two things that agree, one of them about the person or the number."""
_NOISE = re.compile(r"[\s^]")


@dataclass(frozen=True, slots=True)
class Looked:
    """What of a study is compared."""

    patient_id: str
    issuer: str
    names: Sequence[str]
    birth_date: str
    accession: str
    modalities: Sequence[str]
    at: datetime


@dataclass(frozen=True, slots=True)
class Proposal:
    """An order and what of it agrees with the study."""

    step: Step
    agrees: list[str]


def propose(study: Looked, steps: Iterable[Step]) -> list[Proposal]:
    """The likely orders, the likeliest first."""
    found = [Proposal(step, _agrees(study, step)) for step in steps if step.state != "cancelled"]
    likely = [one for one in found if _weight(one) >= _ENOUGH]
    likely.sort(key=lambda one: (-_weight(one), one.step.state == "performed", abs(one.step.scheduled_at - study.at)))
    return likely[:LIMIT]


def _weight(one: Proposal) -> int:
    return sum(_WEIGHTS[agreed] for agreed in one.agrees)


def _agrees(study: Looked, step: Step) -> list[str]:
    names = {letters for name in study.names for letters in letters_of(name)}
    agreed = {
        "patient-id": is_of(step, study.patient_id, study.issuer),
        "name": not names.isdisjoint({*letters_of(step.patient_name), *letters_of(step.patient_name_latin)}),
        "accession-alike": bool(study.accession) and OSA.distance(study.accession, step.accession, score_cutoff=1) <= 1,
        "birth-date": step.birth_on is not None and study.birth_date == f"{step.birth_on:%Y%m%d}",
        "modality": step.modality in study.modalities,
        "same-day": abs(step.scheduled_at - study.at) <= timedelta(hours=24),
    }
    return [name for name, agrees in agreed.items() if agrees]


def letters_of(name: str) -> list[str]:
    """The component groups of a person name, for comparing: case, blanks and carets do not count."""
    return [letters for group in name.split("=") if (letters := _NOISE.sub("", group).casefold())]
