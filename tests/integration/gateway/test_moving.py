"""A workstation has stored objects sent to another, byte for byte, wherever the configuration says it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, AllStoragePresentationContexts, evt

from engine.config import AeEntry
from pacs_gateway.gateway import Gateway
from pacs_gateway.query.models import PATIENT_ROOT, STUDY_ROOT
from pacs_gateway.scu import requestor
from pacs_gateway.scu.peer import Peer, Proposal
from pacs_gateway.transfer_syntaxes import TRANSFER_SYNTAXES
from tests.integration.gateway.conftest import Run, Start, Write
from tests.integration.gateway.sending import (
    DATA_SET_MISMATCH,
    PATIENCE_SECS,
    SUCCESS,
    data_set_of,
    real,
    send_raw,
    stored,
)
from tests.integration.gateway.storescp import storescp
from tests.integration.gateway.test_getting import CR, PENDING, SOME_FAILED, UNABLE_TO_PERFORM, study
from tests.integration.gateway.test_querying import identifier
from tests.ports import free_port

DESTINATION_UNKNOWN = 0xA801


@dataclass
class Moved:
    """Every response, and the SOP Instance UIDs that did not get there."""

    responses: list[Dataset] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def status(self) -> int:
        return int(self.responses[-1].Status)

    @property
    def counts(self) -> tuple[int, int, int]:
        last = self.responses[-1]
        return (
            last.NumberOfCompletedSuboperations,
            last.NumberOfFailedSuboperations,
            last.NumberOfWarningSuboperations,
        )


@dataclass
class Received:
    """What a workstation was sent: data set bytes by SOP Instance UID, and on whose behalf."""

    objects: dict[str, bytes] = field(default_factory=dict)
    originators: set[tuple[str, int]] = field(default_factory=set)
    answer: int = SUCCESS
    before: Callable[[Any], None] = lambda event: None


def move(port: int, asked: Dataset, destination: str, model: str = STUDY_ROOT.move) -> Moved:
    entity = AE("DR_BAISHI")
    entity.add_requested_context(model)
    association = entity.associate("127.0.0.1", port)
    assert association.is_established
    moved = Moved()
    for status, found in association.send_c_move(asked, destination, model):
        moved.responses.append(status)
        if found is not None and "FailedSOPInstanceUIDList" in found:
            listed = found["FailedSOPInstanceUIDList"]
            moved.failed = [str(listed.value)] if listed.VM == 1 else list(map(str, listed.value))
    association.release()
    return moved


@pytest.fixture
def ports() -> list[int]:
    """Two ports of this machine that nobody listens on."""
    return [free_port(), free_port()]


@pytest.fixture
async def archive(start: Start, radiograph: Write, pool: asyncpg.Pool, objects: Path, ports: list[int]) -> Gateway:
    """Three objects of a study, and two entries that say where they listen."""
    gateway = await start(
        ae_entries=(
            AeEntry(ae_title="DR_BAISHI", facility="baishi"),
            AeEntry(ae_title="DR_QINGXI", facility="qingxi"),
            AeEntry(ae_title="VIEWER", facility="baishi", address="127.0.0.1", port=ports[0]),
            AeEntry(ae_title="NOBODY", facility="baishi", address="127.0.0.1", port=ports[1]),
        )
    )
    files = [
        radiograph(StudyInstanceUID="1.2.1", SeriesInstanceUID="1.2.1.1", SOPInstanceUID=f"1.2.1.1.{number}")
        for number in (1, 2, 3)
    ]
    assert set(await asyncio.to_thread(send_raw, gateway.port, files)) == {SUCCESS}
    elsewhere = radiograph(StudyInstanceUID="1.2.4", PatientID="P1", SOPInstanceUID="1.2.4.1.1")
    assert await asyncio.to_thread(send_raw, gateway.port, [elsewhere], "DR_QINGXI") == [SUCCESS]
    await stored(pool, objects)
    return gateway


@contextmanager
def viewer(port: int, syntaxes: list[str] | None = None) -> Iterator[Received]:
    """A workstation of pynetdicom."""
    received = Received()

    def keep(event: Any) -> int:
        received.before(event)
        received.objects[event.request.AffectedSOPInstanceUID] = event.request.DataSet.getvalue()
        received.originators.add(
            (event.request.MoveOriginatorApplicationEntityTitle, event.request.MoveOriginatorMessageID)
        )
        return received.answer

    entity = AE("VIEWER")
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(str(context.abstract_syntax), syntaxes or list(TRANSFER_SYNTAXES))
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
    assert server is not None
    try:
        yield received
    finally:
        server.shutdown()


async def test_the_bytes_that_came_are_the_bytes_that_go(
    archive: Gateway, pool: asyncpg.Pool, objects: Path, ports: list[int]
) -> None:
    files = [real("CT_small"), real("MR_small_implicit"), real("JPEG2000")]
    assert set(await asyncio.to_thread(send_raw, archive.port, files)) == {SUCCESS}
    rows = await stored(pool, objects)
    uids = sorted({row["study_uid"] for row in rows.values() if row["study_uid"] != "1.2.4"})
    with viewer(ports[0]) as received:
        moved = await asyncio.to_thread(move, archive.port, identifier("STUDY", StudyInstanceUID=uids), "VIEWER")
    assert (moved.status, moved.counts) == (SUCCESS, (6, 0, 0))
    assert [int(one.Status) for one in moved.responses[:-1]] == [PENDING] * 5
    assert {data_set_of(file) for file in files} <= set(received.objects.values())
    assert received.originators == {("DR_BAISHI", 1)}


async def test_what_is_named_at_a_level_is_sent_and_nothing_of_other_facilities(
    archive: Gateway, ports: list[int]
) -> None:
    image = identifier("IMAGE", StudyInstanceUID="1.2.1", SeriesInstanceUID="1.2.1.1", SOPInstanceUID="1.2.1.1.2")
    with viewer(ports[0]) as received:
        one = await asyncio.to_thread(move, archive.port, image, "VIEWER")
        nothing = await asyncio.to_thread(move, archive.port, study("1.2.4"), "VIEWER")
        assert (one.status, nothing.status, nothing.counts) == (SUCCESS, SUCCESS, (0, 0, 0))
        assert set(received.objects) == {"1.2.1.1.2"}
        patient = identifier("PATIENT", PatientID="P0001")
        every = await asyncio.to_thread(move, archive.port, patient, "VIEWER", PATIENT_ROOT.move)
        assert every.counts == (3, 0, 0)


async def test_a_destination_that_no_entry_places_is_unknown(archive: Gateway) -> None:
    for name in ("STRANGER", "DR_QINGXI", "DR_BAISHI"):
        assert (await asyncio.to_thread(move, archive.port, study("1.2.1"), name)).status == DESTINATION_UNKNOWN


async def test_a_destination_that_is_away_gets_nothing_and_every_object_is_named(archive: Gateway) -> None:
    moved = await asyncio.to_thread(move, archive.port, study("1.2.1"), "NOBODY")
    assert (moved.status, moved.counts) == (UNABLE_TO_PERFORM, (0, 3, 0))
    assert sorted(moved.failed) == ["1.2.1.1.1", "1.2.1.1.2", "1.2.1.1.3"]


async def test_what_the_destination_does_not_take_or_refuses_is_counted(archive: Gateway, ports: list[int]) -> None:
    with viewer(ports[0], ["1.2.840.10008.1.2.4.70"]):
        moved = await asyncio.to_thread(move, archive.port, study("1.2.1"), "VIEWER")
    assert (moved.status, moved.counts) == (UNABLE_TO_PERFORM, (0, 3, 0))
    with viewer(ports[0]) as received:
        received.answer = 0xB007
        moved = await asyncio.to_thread(move, archive.port, study("1.2.1"), "VIEWER")
    assert (moved.status, moved.counts) == (SOME_FAILED, (0, 0, 3))


async def test_a_destination_that_leaves_half_way_has_what_it_answered(archive: Gateway, ports: list[int]) -> None:
    with viewer(ports[0]) as received:

        def leave(event: Any) -> None:
            if received.objects:
                event.assoc.abort()

        received.before = leave
        moved = await asyncio.to_thread(move, archive.port, study("1.2.1"), "VIEWER")
    assert (moved.status, moved.counts) == (SOME_FAILED, (1, 2, 0))
    assert len(moved.failed) == 2


async def test_a_destination_that_says_nothing_is_given_up(
    start: Start, radiograph: Write, pool: asyncpg.Pool, objects: Path
) -> None:
    async with silent() as port:
        gateway = await start(
            stall_timeout_secs=2.0,
            ae_entries=(
                AeEntry(ae_title="DR_BAISHI", facility="baishi"),
                AeEntry(ae_title="VIEWER", facility="baishi", address="127.0.0.1", port=port),
            ),
        )
        file = radiograph(StudyInstanceUID="1.2.1")
        assert await asyncio.to_thread(send_raw, gateway.port, [file]) == [SUCCESS]
        await stored(pool, objects)
        moved = await asyncio.to_thread(move, gateway.port, study("1.2.1"), "VIEWER")
        assert (moved.status, moved.counts) == (UNABLE_TO_PERFORM, (0, 1, 0))


@asynccontextmanager
async def silent() -> AsyncIterator[int]:
    """Takes connections and never says a word."""
    over = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    server = await asyncio.start_server(wait, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        over.set()
        server.close()


async def test_a_request_that_names_nothing_is_refused(archive: Gateway) -> None:
    assert (await asyncio.to_thread(move, archive.port, study(""), "VIEWER")).status == DATA_SET_MISMATCH


async def test_a_destination_is_called_in_the_name_of_the_channel(archive: Gateway, ports: list[int]) -> None:
    seen: list[str] = []
    with viewer(ports[0]) as received:
        received.before = lambda event: seen.append(event.assoc.requestor.ae_title)
        peer = Peer("VIEWER", "127.0.0.1", ports[0], PATIENCE_SECS)
        async with requestor.opened(peer, "HUTONG", [Proposal(CR, (ExplicitVRLittleEndian,))]) as opened:
            assert opened.takes(CR, ExplicitVRLittleEndian)
            assert not opened.takes(CR, "1.2.840.10008.1.2")
        await asyncio.to_thread(move, archive.port, study("1.2.1"), "VIEWER")
    assert set(seen) == {"HUTONG"}


async def test_dcmtk_moves_a_study_to_dcmtk(archive: Gateway, ports: list[int], dcmtk: Run, tmp_path: Path) -> None:
    folder = tmp_path / "moved"
    async with storescp(folder, ports[0], "-aet", "VIEWER"):
        said = await dcmtk("movescu", "-S", "-aet", "DR_BAISHI", "-aem", "VIEWER", "-k", "QueryRetrieveLevel=STUDY",
                           "-k", "StudyInstanceUID=1.2.1", "127.0.0.1", archive.port)  # fmt: skip
        assert said.code == 0, said.output
        assert len(list(folder.iterdir())) == 3
