"""How do earlier studies of a patient come from an archive? Asked for, compared with ours, the missing ones fetched."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from pydicom.dataset import Dataset

from engine.clock import CHINA, Clock
from engine.config import DicomEndpoint
from engine.errors import DeliveryError, Disposition, HutongError, ParseError
from engine.finding import Finding, Severity
from engine.store import imaging_outbox
from engine.store.findings import Raised
from engine.store.imaging_outbox import PriorsOwed
from engine.store.outbox import Due
from pacs_gateway.query.models import STUDY_ROOT
from pacs_gateway.query.values import text_of
from pacs_gateway.scp.reception import Reception
from pacs_gateway.scu.find import find
from pacs_gateway.scu.peer import Peer, Proposal
from pacs_gateway.scu.requestor import Requestor, opened
from pacs_gateway.scu.retrieve import get, get_proposals, move
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
from pacs_gateway.sending.outcome import Outcome, Turns
from pacs_gateway.sending.taking import KeepingTaker

MOST_STUDIES = 500
"""Of one patient number. A number with more is nobody's."""
MOST_DESCRIBED = 50
MOST_INSTANCES = 20_000
_UIDS_AT_ONCE = 500
"""In one request: a list of UIDs has at most 64 KB."""
RETRIEVE_TIMEOUT_SECS = 600.0
"""Between two answers of a retrieval: some archives say nothing until all of it was moved."""


@dataclass(slots=True)
class _Tally:
    fetched: int = 0
    already_here: int = 0
    refused: list[str] = field(default_factory=list)


class PriorsErrand:
    """Asks one archive.

    reception  keeps what comes back over our own association (C-GET); None where it cannot
    """

    def __init__(self, endpoint: DicomEndpoint, peer: Peer, reception: Reception | None, clock: Clock) -> None:
        self._endpoint = endpoint
        self._peer = peer
        self._reception = reception
        self._clock = clock

    async def perform(self, due: Due, owed: PriorsOwed, turns: Turns) -> Outcome:
        """One attempt. Raises what the database raises; everything else is in the outcome."""
        tally = _Tally()
        judged = Judged([], {}, 0)
        again: DeliveryError | None = None
        try:
            judged = await self._asked(owed)
            for candidate in chosen(judged.candidates, owed, self._endpoint.priors.most):
                await self._fetch(candidate, turns, tally)
        except HutongError as error:
            again = error if isinstance(error, DeliveryError) else DeliveryError(error.message, code=error.code)
            if again.disposition is not Disposition.RETRY:
                tally.refused.append(again.message)
                again = None
        return Outcome(
            said=json.dumps(
                {"studies": len(judged.candidates), "fetched": tally.fetched, "already_here": tally.already_here}
            ),
            refused="; ".join(tally.refused),
            again=again,
            progress=tally.fetched > 0,
            raised=[] if again is not None else list(_findings(self._endpoint.name, judged, due)),
        )

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

    async def _fetch(self, candidate: Candidate, turns: Turns, tally: _Tally) -> None:
        async with turns.transaction() as connection:
            held = await imaging_outbox.held(connection, candidate.study_uid)
        if held and len(held) >= candidate.instances > 0:
            tally.already_here += 1
            return
        wanted = [_whole(candidate)]
        if held:
            missing = [one for one in await self._instances(candidate) if one[1] not in held]
            if not missing:
                tally.already_here += 1
                return
            wanted = list(_single(candidate, missing))
        async with self._retrieving(candidate) as requestor:
            for identifier in wanted:
                await self._retrieve(requestor, identifier)
        tally.fetched += 1

    @asynccontextmanager
    async def _retrieving(self, candidate: Candidate) -> AsyncIterator[Requestor]:
        gets = self._endpoint.priors.retrieve == "get"
        proposals = get_proposals(STUDY_ROOT.get, candidate.classes) if gets else [Proposal(STUDY_ROOT.move)]
        patient = replace(self._peer, answer_timeout_secs=max(self._peer.answer_timeout_secs, RETRIEVE_TIMEOUT_SECS))
        async with opened(patient, self._endpoint.calling_ae_title, proposals) as requestor:
            yield requestor

    async def _retrieve(self, requestor: Requestor, identifier: Dataset) -> None:
        if self._endpoint.priors.retrieve == "move":
            await move(requestor, STUDY_ROOT.move, identifier, self._endpoint.calling_ae_title)
            return
        if self._reception is None:
            raise DeliveryError(
                "nothing here keeps objects: a DICOM channel is needed", disposition=Disposition.HOLD, code="no-channel"
            )
        await get(requestor, STUDY_ROOT.get, identifier, KeepingTaker(self._reception, self._endpoint))

    async def _instances(self, candidate: Candidate) -> list[tuple[str, str]]:
        """Series and SOP Instance UID of everything that the archive has of a study."""
        proposals = [Proposal(STUDY_ROOT.find)]
        async with opened(self._peer, self._endpoint.calling_ae_title, proposals) as requestor:
            series = await find(requestor, STUDY_ROOT.find, _below(candidate, "SERIES"), MOST_INSTANCES)
            found = []
            for uid in [text_of(one, "SeriesInstanceUID") for one in series]:
                images = await find(requestor, STUDY_ROOT.find, _below(candidate, "IMAGE", uid), MOST_INSTANCES)
                found += [(uid, text_of(one, "SOPInstanceUID")) for one in images]
        return found


async def _described(requestor: Requestor, candidates: Sequence[Candidate]) -> list[Candidate]:
    """What the series of the newest say: of a study itself many archives tell neither modality nor part of the body."""
    described_ones = []
    for candidate in newest_first(candidates)[:MOST_DESCRIBED]:
        question = _below(candidate, "SERIES")
        question.Modality = question.BodyPartExamined = ""
        described_ones.append(described(candidate, await find(requestor, STUDY_ROOT.find, question, MOST_INSTANCES)))
    return described_ones


def _whole(candidate: Candidate) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = candidate.study_uid
    return identifier


def _below(candidate: Candidate, level: str, series_uid: str = "") -> Dataset:
    identifier = _whole(candidate)
    identifier.QueryRetrieveLevel = level
    identifier.SeriesInstanceUID = series_uid
    if level == "IMAGE":
        identifier.SOPInstanceUID = ""
    return identifier


def _single(candidate: Candidate, missing: Sequence[tuple[str, str]]) -> list[Dataset]:
    """Requests for these objects, by series."""
    by_series: dict[str, list[str]] = {}
    for series_uid, sop_uid in missing:
        by_series.setdefault(series_uid, []).append(sop_uid)
    requests = []
    for series_uid, uids in by_series.items():
        for at in range(0, len(uids), _UIDS_AT_ONCE):
            identifier = _below(candidate, "IMAGE", series_uid)
            identifier.SOPInstanceUID = uids[at : at + _UIDS_AT_ONCE]
            requests.append(identifier)
    return requests


def _findings(endpoint: str, judged: Judged, due: Due) -> list[Raised]:
    raised = []
    if judged.others:
        by = ", ".join(f"{number} by {what}" for what, number in sorted(judged.others.items()))
        text = (
            f"Asked for earlier studies of one patient, {endpoint} also answers with studies of somebody else, as they "
            f"show: {by}. They were not fetched. Compare the two patients."
        )
        raised.append(Raised(Finding("prior-of-another-patient", text, Severity.WARNING), about=due.about))
    if judged.renamed:
        text = (
            f"{judged.renamed} earlier studies at {endpoint} have the patient's number, and another name. They were "
            "fetched as far as they were wanted. Compare the two."
        )
        raised.append(Raised(Finding("prior-name-differs", text, Severity.WARNING), about=due.about))
    return raised
