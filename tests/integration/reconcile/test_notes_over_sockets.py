"""A rejection note reaches who has what it rejects: DCMTK, another gateway; who does not take it is a finding."""

from __future__ import annotations

import asyncio
import threading
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom import dcmread

from engine.clock import now
from engine.store import delivery_list, imaging_outbox
from engine.store.delivery_list import Choice
from pacs_gateway.gateway import Gateway
from pacs_gateway.location import Objects
from pacs_gateway.query.objects import StoredDataSet
from pacs_gateway.rejections.note import KEY_OBJECT_SELECTION, Note, Rejected, note_in
from pacs_gateway.scu.peer import Peer
from pacs_gateway.sending.encoding import Encoder
from pacs_gateway.sending.errands import Errands
from pacs_gateway.sending.outcome import Turns
from tests.integration.engine.messages import order
from tests.integration.gateway import owing
from tests.integration.gateway.conftest import channel
from tests.integration.gateway.owing import sending, system
from tests.integration.gateway.sending import PATIENCE_SECS, SUCCESS, send_raw, settled, until
from tests.integration.gateway.storescp import storescp
from tests.integration.reconcile.conftest import Desk, Write
from tests.integration.reconcile.test_rejection_notes import DX, as_dcmtk_reads, carried_out, made, taken

STUDY, REJECTED = "1.2.3", "1.2.3.1.1"
NOTE = Note("113001", (Rejected(STUDY, "1.2.3.1", REJECTED, DX),))


@pytest.fixture
async def owed(desk: Desk, radiograph: Write) -> Desk:
    """A study that a system has, of which a person rejected one object: the system is owed the note."""
    await desk.store(radiograph(REJECTED), radiograph("1.2.3.1.2", InstanceNumber=2))
    await rejected(desk)
    return desk


async def rejected(desk: Desk) -> None:
    await taken(desk, STUDY)
    await desk.decide(STUDY, "reject", title="quality", instances=[REJECTED])
    await made(desk, "made")
    await desk.pool.execute("update delivery set endpoint = $1", owing.ENDPOINT)
    await desk.pool.execute("update sent_instance set endpoint = $1", owing.ENDPOINT)


async def in_state(desk: Desk, state: str) -> None:
    async def reached() -> bool:
        return bool(await desk.pool.fetchval("select state = $1 from delivery", state))

    await until(reached)


async def open_findings(desk: Desk) -> list[str]:
    rows = await desk.pool.fetch(
        "select code from finding where settled_at is null and code like '%-refused' order by code"
    )
    return [row["code"] for row in rows]


async def test_dcmtk_takes_the_note_when_it_is_back(
    owed: Desk, database_url: str, free_port: int, tmp_path: Path
) -> None:
    async with sending(database_url, owed.objects, owing.endpoint(free_port)):

        async def tried() -> bool:
            return bool(await owed.pool.fetchval("select count(*) from delivery_attempt where outcome = 'unreachable'"))

        await until(tried)
        async with storescp(tmp_path / "archive", free_port):
            await in_state(owed, "delivered")
    (file,) = (tmp_path / "archive").iterdir()
    arrived = pydicom.dcmread(file)
    assert (arrived.SOPClassUID, arrived.StudyInstanceUID) == (KEY_OBJECT_SELECTION, STUDY)
    assert note_in(arrived) == NOTE
    code, dumped = await asyncio.to_thread(as_dcmtk_reads, file)
    assert code == 0, dumped


async def test_another_gateway_hides_what_the_note_rejects(
    desk: Desk, radiograph: Write, database_url: str, tmp_path: Path
) -> None:
    elsewhere = channel(name="elsewhere", ae_title="PACS", ae_entries=(), default_facility="qingxi")
    other = Gateway(elsewhere, desk.pool, desk.intake, tmp_path / "elsewhere", now)
    await other.start()
    try:
        files = [radiograph(REJECTED), radiograph("1.2.3.1.2", InstanceNumber=2)]
        await desk.store(*files)
        assert set(await asyncio.to_thread(send_raw, other.port, files)) == {SUCCESS}
        await settled(tmp_path / "elsewhere")
        assert await there(desk) == [REJECTED, "1.2.3.1.2"]
        await rejected(desk)
        async with sending(database_url, desk.objects, owing.endpoint(other.port)):
            await in_state(desk, "delivered")
        await carried_out(desk)
        assert [uid for uid in await there(desk) if uid.startswith("1.2.3.1.")] == ["1.2.3.1.2"]
    finally:
        await other.close()


async def there(desk: Desk) -> list[str]:
    """What the other gateway serves."""
    rows = await desk.pool.fetch("select sop_uid from instance where facility = 'qingxi' order by sop_uid")
    return [row["sop_uid"] for row in rows]


async def test_a_system_that_does_not_take_notes_is_a_finding_until_it_does(
    owed: Desk, database_url: str, free_port: int
) -> None:
    async with sending(database_url, owed.objects, owing.endpoint(free_port)):
        with system(free_port, classes=[DX]) as pacs:
            await in_state(owed, "refused")
        assert pacs.offered == []
        assert await open_findings(owed) == ["delivery-refused", "rejection-note-refused"]
        about = await owed.pool.fetchval("select about from finding where code = 'rejection-note-refused'")
        assert about.startswith("ImagingStudy/")
        outcomes = await owed.pool.fetch("select outcome, detail from delivery_attempt")
        assert [row["outcome"] for row in outcomes] == ["objects-refused"]
        assert "Key Object Selection" in outcomes[0]["detail"]

        await again(owed)
        with system(free_port, classes=[DX]):
            await in_state(owed, "refused")
        assert await open_findings(owed) == ["delivery-refused", "rejection-note-refused"]

        await again(owed)
        with system(free_port) as mended:
            await in_state(owed, "delivered")
    assert len(mended.held) == 1
    assert await open_findings(owed) == []


async def test_a_note_that_was_not_offered_before_the_window_closed_has_not_arrived(
    owed: Desk, database_url: str, free_port: int
) -> None:
    to = owing.endpoint(free_port)
    with system(free_port, classes=[DX]) as pacs:
        async with sending(database_url, owed.objects, to):
            await in_state(owed, "refused")
        await again(owed)
        stored = Objects(owed.objects)
        encoder = Encoder(lambda content: StoredDataSet(stored, content))
        errands = Errands(to, Peer.at(to, None), encoder, None, now)
        async with owed.pool.acquire() as connection:
            due = await imaging_outbox.due(connection, to.name, now(), apart_from=(), priorities=imaging_outbox.STUDIES)
            assert due is not None
            what = imaging_outbox.read_payload(due.payload)
            outcome = await errands.perform(due, what, Turns(connection), urgent=False, may_go_on=lambda: False)
        await encoder.close()
    assert outcome.paused
    assert pacs.offered == []
    assert "rejection-note-refused" in await open_findings(owed)


async def again(desk: Desk) -> None:
    async with desk.pool.acquire() as connection, connection.transaction():
        assert await delivery_list.retry(connection, Choice(state="refused"), "admin", "mended", now()) == 1


@pytest.mark.parametrize("undone", [False, True], ids=["decided", "undone"])
async def test_what_is_decided_while_objects_are_on_the_line_is_told_and_sent_again(
    desk: Desk, radiograph: Write, database_url: str, free_port: int, undone: bool
) -> None:
    await desk.order(order(accession="ACC1"))
    await desk.store(
        radiograph("1.2.3.1.1", AccessionNumber="ACC7"),
        radiograph("1.2.3.1.2", AccessionNumber="ACC7", InstanceNumber=2),
    )
    number = await desk.decide(STUDY, "assign", accession="ACC1") if undone else 0
    begun, let_go = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        begun.set()
        let_go.wait(PATIENCE_SECS)

    with system(free_port) as pacs:
        pacs.before = hold
        await owing.owe_study(desk.pool, STUDY)
        async with sending(database_url, desk.objects, owing.endpoint(free_port)):
            try:
                assert await asyncio.to_thread(begun.wait, PATIENCE_SECS)
                if undone:
                    await desk.undo(number)
                else:
                    await desk.decide(STUDY, "assign", accession="ACC1")
            finally:
                let_go.set()
            await made(desk, "undo-made" if undone else "made")

            async def all_told() -> bool:
                return not await desk.pool.fetchval("select exists (select from delivery where state = 'owed')")

            await until(all_told)
    named, corrected = set[str](), set[str]()
    for uid, content in pacs.held.items():
        dataset = dcmread(BytesIO(content), force=True)
        note = note_in(dataset)
        if note is not None:
            named |= {one.sop_uid for one in note.rejected}
        elif dataset.AccessionNumber == ("ACC7" if undone else "ACC1"):
            corrected.add(uid)
    assert named == {"1.2.3.1.1", "1.2.3.1.2"}
    assert len(corrected) == 2
    assert not corrected & named
