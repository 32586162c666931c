"""A sender that answers queries is asked what it has of a study, whatever of the hierarchy it can tell."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]  # generated

from engine import clock
from engine.config import AeEntry, DicomChannel
from engine.errors import DeliveryError
from engine.store.announcements import Announced
from engine.store.wholeness import State
from pacs_gateway.gateway import Gateway
from pacs_gateway.scu.entities import called_of
from pacs_gateway.scu.peer import Peer
from pacs_gateway.whole.asking import QueryableSender, senders_of
from pacs_gateway.whole.watching import Watcher
from tests.integration.whole.conftest import CHANNEL, SERIES, STUDY, Scene, named, uid

Answer = Callable[[Dataset], list[dict[str, Any]] | int]
"""Matches as attributes, or the status of a refusal."""


@contextmanager
def station(answer: Answer) -> Iterator[QueryableSender]:
    """A modality of another maker that answers C-FIND."""

    def handle(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        found = answer(event.identifier)
        if isinstance(found, int):
            yield found, None
            return
        for attributes in found:
            match = Dataset()
            match.QueryRetrieveLevel = event.identifier.QueryRetrieveLevel
            for keyword, value in attributes.items():
                setattr(match, keyword, value)
            yield 0xFF00, match

    entity = AE("CT")
    entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, handle)])
    assert server is not None
    try:
        yield QueryableSender(Peer("CT", "127.0.0.1", server.server_address[1], 60.0), "HUTONG")
    finally:
        server.shutdown()


def of_three_levels(identifier: Dataset) -> list[dict[str, Any]]:
    if identifier.QueryRetrieveLevel == "SERIES":
        return [{"SeriesInstanceUID": SERIES, "NumberOfSeriesRelatedInstances": 2}]
    assert (identifier.StudyInstanceUID, identifier.SeriesInstanceUID) == (STUDY, SERIES)
    return [{"SOPInstanceUID": uid(number)} for number in (1, 2)]


def of_two_levels(identifier: Dataset) -> list[dict[str, Any]] | int:
    return 0xA900 if identifier.QueryRetrieveLevel == "IMAGE" else of_three_levels(identifier)


def of_the_study_only(identifier: Dataset) -> list[dict[str, Any]]:
    return [{"NumberOfStudyRelatedInstances": 7}] if identifier.QueryRetrieveLevel == "STUDY" else []


COUNTED = Announced(series_uid=SERIES, study_uid=STUDY, count=2)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (of_three_levels, [*named(1, 2), COUNTED]),
        (of_two_levels, [COUNTED]),
        (of_the_study_only, [Announced(study_uid=STUDY, count=7)]),
        (lambda _: [], []),
    ],
    ids=["every instance", "how many in each series", "how many in the study", "it does not have it"],
)
async def test_a_sender_tells_what_it_can(answer: Answer, said: list[Announced]) -> None:
    with station(answer) as sender:
        assert await sender.holds(STUDY) == said


async def test_a_sender_that_refuses_or_is_away_is_told_apart_from_one_that_has_nothing() -> None:
    with station(lambda _: 0xC001) as sender, pytest.raises(DeliveryError):
        await sender.holds(STUDY)
    with pytest.raises(DeliveryError):
        await sender.holds(STUDY)


@pytest.fixture
async def archive(pool: asyncpg.Pool, tmp_path: Path) -> AsyncIterator[Gateway]:
    """The sender, a gateway of ours that has the same index."""
    entries = (AeEntry(ae_title="HUTONG", facility="baishi"),)
    channel = DicomChannel(type="dicom", name="archive", ae_title="CT", port=0, ae_entries=entries)
    gateway = Gateway(channel, pool, _NoIntake(), tmp_path, clock.now)
    await gateway.start()
    yield gateway
    await gateway.close()


class _NoIntake:
    async def accept_manifest(self, **call: Any) -> Any:
        raise AssertionError("nothing falls quiet here")

    async def accept_step(self, **call: Any) -> Any:
        raise AssertionError("nothing falls quiet here")


async def test_a_gateway_of_ours_is_asked_too(scene: Scene, archive: Gateway) -> None:
    await scene.store(1, 2)
    entry = AeEntry(ae_title="CT", facility="baishi", address="127.0.0.1", port=archive.port, queryable=True)
    channel = CHANNEL.model_copy(update={"ae_entries": (entry,)})
    (sender,) = senders_of(channel, called_of(channel, {})).values()
    assert await sender.holds(STUDY) == [*named(1, 2), COUNTED]
    watcher = Watcher(scene.pool, CHANNEL, {("CT", "baishi"): sender}, lambda: scene.now)
    scene.after(60)
    await watcher.look()
    await watcher.settled()
    scene.after(240)
    assert await scene.judged(watcher) is State.WHOLE
    state = await scene.state()
    assert state is not None
    assert (state.announced, state.sources) == (2, ("query",))
