"""What does its sender have of a study? Asked by C-FIND of the study root: its series, and of each its instances."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from itertools import count

from pydicom.dataset import Dataset

from engine.config import DicomChannel
from engine.errors import DeliveryError, ParseError
from engine.store.announcements import MOST_SAID, Announced
from pacs_gateway.normalized import UID
from pacs_gateway.query.identifier import decoded, encoded
from pacs_gateway.query.models import STUDY_ROOT
from pacs_gateway.query.values import text_of
from pacs_gateway.scu.peer import Peer, Proposal
from pacs_gateway.scu.requestor import Requestor, opened
from pacs_gateway.status import PENDING, SUCCESS
from pacs_gateway.upper_layer.commands import CommandField, CommandSet, Element

_PENDING = frozenset({PENDING, 0xFF01})
_MEDIUM = 0x0000
_REFUSED = "query-refused"


class QueryableSender:
    """An entry of the channel that says where it is asked. Implements `Sender`."""

    def __init__(self, peer: Peer, calling_ae: str) -> None:
        self._peer = peer
        self._calling_ae = calling_ae

    async def holds(self, study_uid: str) -> list[Announced]:
        """Instances by name where it tells them, else the numbers of series, else that of the study.

        Of a study that it does not have it says nothing. Raises DeliveryError when it refuses, or does not answer, and
        ParseError when its answer cannot be read.
        """
        async with opened(self._peer, self._calling_ae, [Proposal(STUDY_ROOT.find)]) as requestor:
            question = _Questions(requestor)
            said: list[Announced] = []
            async for series in question.ask("SERIES", StudyInstanceUID=study_uid, NumberOfSeriesRelatedInstances=""):
                said.append(_of_series(series, study_uid))
            named = await self._named(question, said)
            if named or said:
                return [*named, *(one for one in said if one.count is not None)]
            return [
                Announced(study_uid=study_uid, count=_number(study, "NumberOfStudyRelatedInstances"))
                async for study in question.ask("STUDY", StudyInstanceUID=study_uid, NumberOfStudyRelatedInstances="")
            ]

    async def _named(self, question: _Questions, told: list[Announced]) -> list[Announced]:
        """The instances of these series; none from one that does not answer at that level."""
        named: list[Announced] = []
        try:
            for series in told:
                keys = {"StudyInstanceUID": series.study_uid, "SeriesInstanceUID": series.series_uid}
                named += [
                    Announced(text_of(instance, "SOPInstanceUID"), series.series_uid, series.study_uid)
                    async for instance in question.ask("IMAGE", **keys, SOPInstanceUID="")
                ]
        except DeliveryError as error:
            if error.code != _REFUSED:
                raise
            return []
        return named


def senders_of(channel: DicomChannel, entities: Mapping[str, Peer]) -> dict[tuple[str, str], QueryableSender]:
    """Who is asked, by AE title and facility. `entities` are those that listen, by destination."""
    return {
        (entry.ae_title, entry.facility): QueryableSender(entities[channel.destination_of(entry)], channel.ae_title)
        for entry in channel.ae_entries
        if entry.queryable
    }


class _Questions:
    """Questions over one association, one after another."""

    def __init__(self, requestor: Requestor) -> None:
        self._requestor = requestor
        self._numbers = count(1)
        self._answers = 0

    async def ask(self, level: str, **keys: str) -> AsyncIterator[Dataset]:
        """The matches. Raises DeliveryError when it ends with another status than success, or tells too many."""
        identifier = Dataset()
        identifier.QueryRetrieveLevel = level
        for keyword, value in keys.items():
            setattr(identifier, keyword, value)
        command = CommandSet.of(
            CommandField.C_FIND_RQ,
            {
                Element.AFFECTED_SOP_CLASS_UID: STUDY_ROOT.find,
                Element.MESSAGE_ID: next(self._numbers) % 0x10000,
                Element.PRIORITY: _MEDIUM,
            },
            has_data_set=True,
        )
        (transfer_syntax, *_) = self._requestor.taken_as(STUDY_ROOT.find) or ("",)
        if not transfer_syntax:
            raise DeliveryError("it does not answer queries", code="sop-class-not-taken")
        data_set = encoded(identifier, transfer_syntax)
        async for response in self._requestor.ask_for_many(STUDY_ROOT.find, command, data_set):
            if response.status not in _PENDING:
                if response.status != SUCCESS:
                    raise DeliveryError(f"it refuses a query with status {response.status:04X}", code=_REFUSED)
                return
            self._answers += 1
            if self._answers > MOST_SAID:
                raise DeliveryError("it answers with too many instances", code="too-many-answers")
            yield decoded(response.data_set, response.transfer_syntax)


def _of_series(series: Dataset, study_uid: str) -> Announced:
    uid = text_of(series, "SeriesInstanceUID")
    if not UID.fullmatch(uid):
        raise ParseError("an answer names a series by what is no UID", code="query-malformed")
    return Announced(series_uid=uid, study_uid=study_uid, count=_number(series, "NumberOfSeriesRelatedInstances"))


def _number(data_set: Dataset, keyword: str) -> int | None:
    text = text_of(data_set, keyword).strip()
    return int(text) if text.isdecimal() and len(text) <= 9 else None
