"""How do earlier studies of a patient come from an archive? Asked for, compared with ours, the missing ones fetched."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pydicom.dataset import Dataset

from engine.clock import CHINA, Clock
from engine.config import DicomEndpoint
from engine.errors import DeliveryError, Disposition, HutongError, ParseError
from engine.finding import Finding, Severity
from engine.store import outbox
from engine.store.findings import Raised
from engine.store.imaging_outbox import PriorsOwed
from engine.store.outbox import Due
from pacs_gateway.query.models import STUDY_ROOT
from pacs_gateway.scp.reception import Reception
from pacs_gateway.scu.find import find
from pacs_gateway.scu.peer import Peer, Proposal
from pacs_gateway.scu.requestor import Requestor, opened
from pacs_gateway.sending.candidates import (
    Candidate,
    Judged,
    chosen,
    described,
    is_askable,
    judge,
    newest_first,
    question_for,
)
from pacs_gateway.sending.fetching import MOST_INSTANCES, Fetching, below
from pacs_gateway.sending.outcome import Outcome, Turns

MOST_STUDIES = 500
"""Of one patient number. A number with more is nobody's."""
MOST_DESCRIBED = 50
REFUSALS = 8
"""Rounds in which a study did not come before it is given up; an archive that is away is asked for ever."""
_NOT_FETCHED = "priors-not-fetched"
_OF_ONE_QUESTION = frozenset({"query-refused", "unreadable"})
_AWAY = frozenset({"unreachable", "rejected"})
_OF_THE_ARCHIVE = _AWAY | {"no-answer", "destination-unknown", "sop-class-not-taken", "no-channel"}
"""Codes of errors that the next study would meet too."""


@dataclass(slots=True)
class _Tally:
    """What came of the studies of one round.

    short    those of which not everything came, although the archive says so
    failing  why each of the others did not come, and may come later
    refused  why it never will
    away     why the archive cannot be asked for anything now
    """

    fetched: int = 0
    already_here: int = 0
    short: list[str] = field(default_factory=list)
    failing: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    away: DeliveryError | None = None


class PriorsErrand:
    """Asks one archive.

    reception  keeps what comes back over our own association (C-GET); None where it cannot
    """

    def __init__(self, endpoint: DicomEndpoint, peer: Peer, reception: Reception | None, clock: Clock) -> None:
        self._endpoint = endpoint
        self._peer = peer
        self._fetching = Fetching(endpoint, peer, reception)
        self._clock = clock

    async def perform(self, due: Due, owed: PriorsOwed, turns: Turns) -> Outcome:
        """One attempt. Raises what the database raises; everything else is in the outcome."""
        tally = _Tally()
        judged = Judged([], {}, 0)
        try:
            judged = await self._asked(owed)
        except HutongError as error:
            _note(tally, error)
        wanted = chosen(judged.candidates, owed, self._endpoint.priors.most)
        await self._fetch(_another_first(wanted, due.attempts), turns, tally)
        again = await self._again(due, turns, tally)
        return Outcome(
            said=json.dumps(
                {"studies": len(judged.candidates), "fetched": tally.fetched, "already_here": tally.already_here}
            ),
            refused="; ".join([*tally.refused, *tally.failing]),
            again=again,
            progress=tally.fetched > 0,
            raised=[] if again is not None else list(_findings(self._endpoint.name, judged, tally.short, due)),
        )

    async def _fetch(self, candidates: Sequence[Candidate], turns: Turns, tally: _Tally) -> None:
        """What is wrong with one study keeps no other from coming; what is wrong with the archive does, for now."""
        for candidate in candidates:
            try:
                came = await self._fetching.fetch(candidate, turns)
            except HutongError as error:
                _note(tally, error, candidate.study_uid)
                if error.code in _OF_THE_ARCHIVE:
                    return
                continue
            if not came.wanted:
                tally.already_here += 1
            elif came.arrived < came.wanted:
                tally.short.append(f"{candidate.study_uid} ({came.arrived} of {came.wanted} objects)")
            else:
                tally.fetched += 1

    async def _again(self, due: Due, turns: Turns, tally: _Tally) -> DeliveryError | None:
        """Why another round is needed; None once nothing is left that may come, or after so many in vain."""
        if tally.away is not None or not tally.failing:
            return tally.away
        async with turns.transaction() as connection:
            before = await outbox.attempts_with(connection, due.id, _NOT_FETCHED)
        if before + 1 >= REFUSALS:
            return None
        return DeliveryError("; ".join(tally.failing), code=_NOT_FETCHED)

    async def _asked(self, owed: PriorsOwed) -> Judged:
        today = self._clock().astimezone(CHINA).date()
        answers: list[tuple[str, Dataset]] = []
        proposals = [Proposal(STUDY_ROOT.find)]
        async with opened(self._peer, self._endpoint.calling_ae_title, proposals) as requestor:
            for patient_id in filter(is_askable, owed.patient_ids):
                question = question_for(patient_id, self._endpoint.priors.within_days, today)
                found = await find(requestor, STUDY_ROOT.find, question, MOST_STUDIES)
                answers += [(patient_id, answer) for answer in found]
            try:
                judged = judge(answers, owed)
                if len(judged.candidates) <= self._endpoint.priors.most:
                    return judged
                return replace(judged, candidates=await _described(requestor, judged.candidates))
            except ParseError as error:
                raise DeliveryError(
                    f"an answer cannot be read: {error.message}", disposition=Disposition.HOLD, code="unreadable"
                ) from error


async def _described(requestor: Requestor, candidates: Sequence[Candidate]) -> list[Candidate]:
    """What the series of the newest say: of a study itself many archives tell neither modality nor part of the body.

    A study of which an archive cannot say it is chosen, or not, by what is known of it.
    """
    described_ones = []
    for candidate in newest_first(candidates)[:MOST_DESCRIBED]:
        question = below(candidate, "SERIES")
        question.Modality = question.BodyPartExamined = ""
        try:
            series = await find(requestor, STUDY_ROOT.find, question, MOST_INSTANCES)
        except DeliveryError as error:
            if error.code not in _OF_ONE_QUESTION:
                raise
            series = []
        described_ones.append(described(candidate, series))
    return described_ones


def _note(tally: _Tally, error: HutongError, study_uid: str = "") -> None:
    """Why a study did not come, or why no question was answered."""
    retried = error.disposition is Disposition.RETRY or not isinstance(error, DeliveryError)
    why = f"the earlier study {study_uid} did not come: {error.message}" if study_uid else error.message
    if not retried:
        tally.refused.append(why)
    elif error.code in _OF_ONE_QUESTION or (study_uid and error.code not in _AWAY):
        tally.failing.append(why)
    else:
        tally.away = DeliveryError(why, code=error.code)


def _another_first(candidates: Sequence[Candidate], attempts: int) -> list[Candidate]:
    """Every round begins with another one: after what an archive does not answer nothing else is asked for."""
    first = attempts % len(candidates) if candidates else 0
    return [*candidates[first:], *candidates[:first]]


def _findings(endpoint: str, judged: Judged, short: Sequence[str], due: Due) -> list[Raised]:
    raised = []
    if short:
        text = (
            f"{endpoint} says that it has sent earlier studies of which not everything is here: {', '.join(short)}. "
            "Look there whether all of it can still be read, and whether it sends to us."
        )
        raised.append(Raised(Finding("prior-incomplete", text, Severity.WARNING), about=due.about))
    if judged.others:
        by = ", ".join(f"{number} by {what}" for what, number in sorted(judged.others.items()))
        text = (
            f"Asked for earlier studies of one patient, {endpoint} also answers with studies of somebody else, as they "
            f"show: {by}. They were not fetched. Compare the two patients."
        )
        raised.append(Raised(Finding("prior-of-another-patient", text, Severity.WARNING), about=due.about))
    if judged.renamed:
        text = (
            f"{judged.renamed} earlier studies at {endpoint} have the patient's number and date of birth, and another "
            "name. They were fetched as far as they were wanted. Compare the two."
        )
        raised.append(Raised(Finding("prior-name-differs", text, Severity.WARNING), about=due.about))
    return raised
