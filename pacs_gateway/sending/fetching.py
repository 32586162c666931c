"""How does one earlier study come from an archive? Compared with what is here, retrieved, and looked for again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydicom.dataset import Dataset

from engine.config import DicomEndpoint
from engine.errors import DeliveryError, Disposition
from engine.store import imaging_outbox
from pacs_gateway.query.models import STUDY_ROOT
from pacs_gateway.query.values import text_of
from pacs_gateway.scp.reception import Reception
from pacs_gateway.scu.find import find
from pacs_gateway.scu.peer import Peer, Proposal
from pacs_gateway.scu.requestor import Requestor, opened
from pacs_gateway.scu.retrieve import Retrieved, get, get_proposals, move
from pacs_gateway.sending.candidates import Candidate
from pacs_gateway.sending.outcome import Turns
from pacs_gateway.sending.taking import KeepingTaker

MOST_INSTANCES = 20_000
_UIDS_AT_ONCE = 500
"""In one request: a list of UIDs has at most 64 KB."""
RETRIEVE_TIMEOUT_SECS = 600.0
"""Between two answers of a retrieval: some archives say nothing until all of it was moved."""
ARRIVING_SECS = 10.0
"""Rows follow our answers by a second, and by more where much arrives; some archives still send after their answer."""
_LOOK_AGAIN_SECS = 0.2


@dataclass(frozen=True, slots=True)
class Came:
    """What came of a study: `wanted` objects were missing here, 0 when none was, and so many of them arrived."""

    wanted: int
    arrived: int


@dataclass(frozen=True, slots=True)
class _Instance:
    """An object at the archive; `sop_class` is empty where it does not say."""

    series_uid: str
    sop_uid: str
    sop_class: str


class Fetching:
    """From one archive.

    reception  keeps what comes back over our own association (C-GET); None where it cannot
    """

    def __init__(self, endpoint: DicomEndpoint, peer: Peer, reception: Reception | None) -> None:
        self._endpoint = endpoint
        self._peer = peer
        self._reception = reception

    async def fetch(self, candidate: Candidate, turns: Turns) -> Came:
        """Raises DeliveryError when the archive does not send it, and what the database raises."""
        held = await _held(candidate, turns)
        listed = await self._instances(candidate) if held or self._must_know_classes(candidate) else []
        missing = [one for one in dict.fromkeys(listed) if one.sop_uid not in held]
        if listed and not missing:
            return Came(0, 0)
        classes = candidate.classes or tuple(dict.fromkeys(one.sop_class for one in missing))
        said = 0
        async with self._retrieving(classes) as requestor:
            for identifier in (_single(candidate, missing) if held else []) or [whole(candidate)]:
                retrieved = await self._retrieve(requestor, identifier)
                said += retrieved.completed + retrieved.warning
        wanted = len(missing) or candidate.instances or said or 1
        new = await self._arrivals(candidate, turns, held, wanted)
        if missing:
            return Came(wanted, sum(one.sop_uid in new for one in missing))
        return Came(wanted, wanted) if len(new) >= wanted else await self._compared(candidate, turns, wanted)

    def _must_know_classes(self, candidate: Candidate) -> bool:
        """An association has no room for all, and what is not proposed cannot come over it."""
        return self._endpoint.priors.retrieve == "get" and not candidate.classes

    async def _compared(self, candidate: Candidate, turns: Turns, counted: int) -> Came:
        """Object by object: archives miscount."""
        listed = await self._instances(candidate)
        held = await _held(candidate, turns)
        if listed:
            return Came(len(listed), sum(one.sop_uid in held for one in listed))
        return Came(counted, min(len(held), counted))

    async def _arrivals(self, candidate: Candidate, turns: Turns, before: set[str], wanted: int) -> set[str]:
        """What is here and was not before, once it is as much as wanted, or nothing more has come for long."""
        loop = asyncio.get_running_loop()
        until, new = loop.time() + ARRIVING_SECS, set[str]()
        while True:
            seen, new = len(new), await _held(candidate, turns) - before
            if len(new) > seen:
                until = loop.time() + ARRIVING_SECS
            if len(new) >= wanted or loop.time() >= until:
                return new
            await asyncio.sleep(_LOOK_AGAIN_SECS)

    @asynccontextmanager
    async def _retrieving(self, classes: tuple[str, ...]) -> AsyncIterator[Requestor]:
        gets = self._endpoint.priors.retrieve == "get"
        proposals = get_proposals(STUDY_ROOT.get, classes) if gets else [Proposal(STUDY_ROOT.move)]
        async with opened(self._peer, self._endpoint.calling_ae_title, proposals) as requestor:
            requestor.wait_longer(RETRIEVE_TIMEOUT_SECS)
            yield requestor

    async def _retrieve(self, requestor: Requestor, identifier: Dataset) -> Retrieved:
        if self._endpoint.priors.retrieve == "move":
            return await move(requestor, STUDY_ROOT.move, identifier, self._endpoint.calling_ae_title)
        if self._reception is None:
            raise DeliveryError(
                "nothing here keeps objects: a DICOM channel is needed", disposition=Disposition.HOLD, code="no-channel"
            )
        return await get(requestor, STUDY_ROOT.get, identifier, KeepingTaker(self._reception, self._endpoint))

    async def _instances(self, candidate: Candidate) -> list[_Instance]:
        """Everything that the archive has of a study."""
        proposals = [Proposal(STUDY_ROOT.find)]
        async with opened(self._peer, self._endpoint.calling_ae_title, proposals) as requestor:
            series = await find(requestor, STUDY_ROOT.find, below(candidate, "SERIES"), MOST_INSTANCES)
            found: list[_Instance] = []
            for uid in [text_of(one, "SeriesInstanceUID") for one in series]:
                images = await find(requestor, STUDY_ROOT.find, below(candidate, "IMAGE", uid), MOST_INSTANCES)
                found += [_Instance(uid, text_of(one, "SOPInstanceUID"), text_of(one, "SOPClassUID")) for one in images]
        return found


async def _held(candidate: Candidate, turns: Turns) -> set[str]:
    async with turns.transaction() as connection:
        return await imaging_outbox.held(connection, candidate.study_uid)


def whole(candidate: Candidate) -> Dataset:
    """The identifier of a study."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = candidate.study_uid
    return identifier


def below(candidate: Candidate, level: str, series_uid: str = "") -> Dataset:
    """The identifier of a query for its series, or for the objects of one of them."""
    identifier = whole(candidate)
    identifier.QueryRetrieveLevel = level
    identifier.SeriesInstanceUID = series_uid
    if level == "IMAGE":
        identifier.SOPInstanceUID = identifier.SOPClassUID = ""
    return identifier


def _single(candidate: Candidate, missing: Sequence[_Instance]) -> list[Dataset]:
    """Requests for these objects, by series."""
    by_series: dict[str, list[str]] = {}
    for one in missing:
        by_series.setdefault(one.series_uid, []).append(one.sop_uid)
    requests = []
    for series_uid, uids in by_series.items():
        for at in range(0, len(uids), _UIDS_AT_ONCE):
            identifier = below(candidate, "SERIES", series_uid)
            identifier.QueryRetrieveLevel = "IMAGE"
            identifier.SOPInstanceUID = uids[at : at + _UIDS_AT_ONCE]
            requests.append(identifier)
    return requests
