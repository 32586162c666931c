"""Others hear that a study is available here, and we hear what is available elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pynetdicom import AE, evt

from engine.store import availability
from engine.store.availability import Available
from pacs_gateway import announcing, notifying
from pacs_gateway.gateway import Gateway
from tests.integration.gateway.conftest import Start, Write
from tests.integration.gateway.owing import ENDPOINT, endpoint
from tests.integration.gateway.performing import named
from tests.integration.gateway.sending import SUCCESS, send_raw, until

NOTIFICATION = "1.2.840.10008.5.1.4.33"
CR = "1.2.840.10008.5.1.4.1.1.1"
STUDY = "1.2.1"
OUT_OF_RESOURCES = 0x0213


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "IDLE_SECS", 0.05)
    monkeypatch.setattr(announcing, "IDLE_SECS", 0.05)


def notice(*instances: Dataset, **changes: Any) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = "1.2.1.1"
    series.ReferencedSOPSequence = Items(instances)
    said = Dataset()
    said.ReferencedPerformedProcedureStepSequence = Items()
    said.StudyInstanceUID = STUDY
    said.ReferencedSeriesSequence = Items([series])
    for keyword, value in changes.items():
        setattr(said, keyword, value)
    return said


def available(sop_uid: str, state: str = "ONLINE", retrieve_ae: str = "ARCHIVE") -> Dataset:
    item = named(sop_uid, CR)
    item.InstanceAvailability, item.RetrieveAETitle = state, retrieve_ae
    return item


def tell(port: int, *notices: Dataset) -> list[int]:
    entity = AE("DR_BAISHI")
    entity.add_requested_context(NOTIFICATION)
    association = entity.associate("127.0.0.1", port, ae_title="HUTONG")
    assert association.is_established
    answers = [
        int(association.send_n_create(said, NOTIFICATION, f"1.2.9.{number}")[0].Status)
        for number, said in enumerate(notices)
    ]
    association.release()
    return answers


async def test_what_is_available_elsewhere_is_kept_the_newest_word_of_each(
    gateway: Gateway, pool: asyncpg.Pool
) -> None:
    first = notice(available("1.2.1.1.1"), available("1.2.1.1.2"))
    then = notice(available("1.2.1.1.2", "OFFLINE", "TAPES"))
    assert await asyncio.to_thread(tell, gateway.port, first, then) == [SUCCESS] * 2
    async with pool.acquire() as connection:
        assert await availability.of_study(connection, STUDY, "baishi") == [
            ("DR_BAISHI", Available(STUDY, "1.2.1.1", "1.2.1.1.1", CR, "ONLINE", "ARCHIVE")),
            ("DR_BAISHI", Available(STUDY, "1.2.1.1", "1.2.1.1.2", CR, "OFFLINE", "TAPES")),
        ]
        assert await availability.of_study(connection, STUDY, "qingxi") == []


async def test_what_is_no_notice_is_refused(gateway: Gateway, pool: asyncpg.Pool) -> None:
    nameless = notice(available("1.2.1.1.1"))
    del nameless.StudyInstanceUID
    said = [nameless, notice(), notice(available("1.2.1.1.1", "SOMEWHERE")), notice(available("a/b"))]
    assert await asyncio.to_thread(tell, gateway.port, *said) == [0x0120, 0x0120, 0x0106, 0x0106]
    assert await pool.fetchval("select count(*) from available_instance") == 0


async def test_an_endpoint_hears_that_a_study_is_available_and_again_when_it_has_grown(
    start: Start, radiograph: Write, pool: asyncpg.Pool, free_port: int
) -> None:
    heard: list[Dataset] = []
    answers = [OUT_OF_RESOURCES, SUCCESS, SUCCESS]

    def take(event: Any) -> tuple[int, Dataset]:
        heard.append(event.attribute_list)
        return answers[len(heard) - 1], Dataset()

    ris = AE("PACS")
    ris.add_supported_context(NOTIFICATION)
    server: Any = ris.start_server(("127.0.0.1", free_port), block=False, evt_handlers=[(evt.EVT_N_CREATE, take)])
    try:
        gateway = await start(endpoints={ENDPOINT: endpoint(free_port, availability_of=("baishi",))})
        elsewhere = radiograph(StudyInstanceUID="1.2.2")
        assert await asyncio.to_thread(send_raw, gateway.port, [elsewhere], "DR_QINGXI") == [SUCCESS]
        files = [radiograph(StudyInstanceUID=STUDY, SeriesInstanceUID="1.2.1.1") for _ in range(2)]
        for number, file in enumerate(files, 2):
            assert await asyncio.to_thread(send_raw, gateway.port, [file]) == [SUCCESS]
            await _is_long(heard, number)
    finally:
        server.shutdown()
    uids = [str(pydicom.dcmread(file).SOPInstanceUID) for file in files]
    assert [sorted(_named(said)) for said in heard] == [uids[:1], uids[:1], sorted(uids)]
    (series,) = heard[2].ReferencedSeriesSequence
    assert {str(item.RetrieveAETitle) for item in series.ReferencedSOPSequence} == {"HUTONG"}
    assert {str(item.InstanceAvailability) for item in series.ReferencedSOPSequence} == {"ONLINE"}
    assert {said.StudyInstanceUID for said in heard} == {STUDY}


def _named(said: Dataset) -> list[str]:
    return [str(item.ReferencedSOPInstanceUID) for one in said.ReferencedSeriesSequence
            for item in one.ReferencedSOPSequence]  # fmt: skip


async def _is_long(heard: list[Dataset], length: int) -> None:
    async def long() -> bool:
        return len(heard) >= length

    await until(long)
