"""An archive that answers as it is told: what it lists, what it moves, and with which status."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ComputedRadiographyImageStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # it makes them while it is imported
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from pacs_gateway.query.identifier import IDENTIFIER_LIMIT
from pacs_gateway.transfer_syntaxes import TRANSFER_SYNTAXES
from tests.integration.gateway.archives import ARCHIVE

PENDING, CANNOT_UNDERSTAND = 0xFF00, 0xC000


@dataclass
class OddArchive:
    """ours      the port on which it finds HUTONG
    answers   by Study Instance UID the status of every retrieval; else the objects are moved
    silent    studies of which it moves nothing, and says that all is well
    unlisted  studies of which it cannot say what series they have
    garbled   studies of whose series it says more than anybody reads
    moves     Study Instance UIDs of the retrievals that it was asked for

    counted_too_many  how many objects too many it says that each study has
    before_the_end    called when everything was moved, before the last answer
    """

    port: int
    ours: int
    objects: list[Dataset]
    answers: dict[str, int] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    unlisted: set[str] = field(default_factory=set)
    garbled: set[str] = field(default_factory=set)
    moves: list[str] = field(default_factory=list)
    counted_too_many: int = 0
    before_the_end: Callable[[], object] = bool

    def find(self, event: Any) -> Iterator[tuple[int, Dataset]]:
        asked = event.identifier
        key = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
        keyword = key[asked.QueryRetrieveLevel]
        if asked.QueryRetrieveLevel != "STUDY" and asked.StudyInstanceUID in self.unlisted:
            yield CANNOT_UNDERSTAND, Dataset()
            return
        within = [one for one in self.objects if _is_below(one, asked, "StudyInstanceUID", "SeriesInstanceUID")]
        for uid in dict.fromkeys(one[keyword].value for one in within):
            members = [one for one in within if one[keyword].value == uid]
            answer = Dataset()
            answer.QueryRetrieveLevel = asked.QueryRetrieveLevel
            for wanted in asked:
                if wanted.keyword in members[0]:
                    answer[wanted.keyword] = members[0][wanted.keyword]
            if "NumberOfStudyRelatedInstances" in asked:
                answer.NumberOfStudyRelatedInstances = len(members) + self.counted_too_many
            if asked.get("StudyInstanceUID") in self.garbled:
                answer.ImageComments = "x" * IDENTIFIER_LIMIT
            yield PENDING, answer

    def move(self, event: Any) -> Iterator[Any]:
        asked = event.identifier
        study_uid = str(asked.StudyInstanceUID)
        self.moves.append(study_uid)
        yield "127.0.0.1", self.ours
        if study_uid in self.answers:
            yield 1
            yield self.answers[study_uid], Dataset()
            return
        chosen = [] if study_uid in self.silent else [one for one in self.objects if _is_wanted(one, asked)]
        yield len(chosen)
        for one in chosen:
            yield PENDING, one
        self.before_the_end()

    def get(self, event: Any) -> Iterator[Any]:
        chosen = [one for one in self.objects if _is_wanted(one, event.identifier)]
        yield len(chosen)
        for one in chosen:
            yield PENDING, one


def _is_below(one: Dataset, asked: Dataset, *keywords: str) -> bool:
    return all(not asked.get(keyword) or asked[keyword].value == one[keyword].value for keyword in keywords)


def _is_wanted(one: Dataset, asked: Dataset) -> bool:
    uids = asked.get("SOPInstanceUID") or []
    named = [uids] if isinstance(uids, str) else list(uids)
    return _is_below(one, asked, "StudyInstanceUID", "SeriesInstanceUID") and (
        not named or str(one.SOPInstanceUID) in named
    )


@contextmanager
def odd_archive(port: int, ours: int, files: Sequence[Path]) -> Iterator[OddArchive]:
    archive = OddArchive(port, ours, [pydicom.dcmread(file) for file in files])
    entity = AE(ARCHIVE)
    entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    entity.add_supported_context(StudyRootQueryRetrieveInformationModelMove)
    entity.add_requested_context(ComputedRadiographyImageStorage)
    entity.add_supported_context(StudyRootQueryRetrieveInformationModelGet)
    for sop_class in sorted({one.SOPClassUID for one in archive.objects}):
        entity.add_supported_context(sop_class, list(TRANSFER_SYNTAXES), scu_role=True, scp_role=True)
    handlers: list[Any] = [
        (evt.EVT_C_FIND, archive.find),
        (evt.EVT_C_MOVE, archive.move),
        (evt.EVT_C_GET, archive.get),
    ]
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    assert server is not None
    try:
        yield archive
    finally:
        server.shutdown()
