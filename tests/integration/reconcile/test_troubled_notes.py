"""A rejection note that cannot be read, opened or stored is in no other note's way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import BinaryIO

import pytest

from engine.errors import StorageError
from engine.store import rejection_notes
from engine.studies import study_id
from pacs_gateway.location import Objects, open_object
from pacs_gateway.rejections import noting
from pacs_gateway.scp.reception import Announced, Arriving
from tests.integration.engine.messages import order
from tests.integration.gateway.sending import until
from tests.integration.reconcile.conftest import Desk, Write
from tests.integration.reconcile.test_rejection_notes import carried_out, note_file, taken


@pytest.fixture(autouse=True)
def again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noting, "RETRY_SECS", 0.05)


async def test_an_odd_key_object_is_a_finding_and_the_note_behind_it_is_carried_out(
    desk: Desk, radiograph: Write, tmp_path: Path
) -> None:
    await desk.store(radiograph("1.2.3.1.1"), radiograph("1.2.3.1.2", InstanceNumber=2))
    odd = note_file(tmp_path, "113037", ["1.2.3.1.2"], own="1.2.3.9.1")
    content = odd.read_bytes()
    assert content.count(b"SH\x06\x00113037") == 1
    odd.write_bytes(content.replace(b"SH\x06\x00113037", b"UL\x06\x00113037"))  # six bytes of numbers of four
    await desk.store(odd)
    await desk.store(note_file(tmp_path, "113037", ["1.2.3.1.1"], own="1.2.3.9.2"))
    await carried_out(desk, 2)
    assert {sop for _, sop in await desk.uids("1.2.3")} == {"1.2.3.1.2", "1.2.3.9.1"}
    found = await desk.pool.fetch("select location, about from finding where code = 'note-unreadable'")
    about = f"ImagingStudy/{study_id('baishi', '1.2.3')}"
    assert [tuple(row) for row in found] == [("Instance/1.2.3.9.1", about)], "so it is listed on its study"
    audited = await desk.pool.fetch("select subject from audit where action = 'reconcile-reject'")
    assert [row["subject"] for row in audited] == [about]


async def test_a_note_that_cannot_be_opened_waits_and_others_do_not(
    desk: Desk, radiograph: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noting, "BATCH", 1)
    closed = {"1.2.3.9.1"}

    def refusing(objects: Objects, location: str) -> BinaryIO:
        file = open_object(objects, location)
        if any(uid.encode() in file.read() for uid in tuple(closed)):
            file.close()
            raise OSError(5, "Input/output error")
        file.seek(0)
        return file

    monkeypatch.setattr(noting, "open_object", refusing)
    await desk.store(radiograph("1.2.3.1.1"), radiograph("1.2.3.1.2", InstanceNumber=2))
    await desk.store(note_file(tmp_path, "113037", ["1.2.3.1.2"], own="1.2.3.9.1"))
    await desk.store(note_file(tmp_path, "113037", ["1.2.3.1.1"], own="1.2.3.9.2"))
    await carried_out(desk)
    assert {sop for _, sop in await desk.uids("1.2.3")} == {"1.2.3.1.2", "1.2.3.9.1"}
    closed.clear()
    await carried_out(desk, 2)
    assert await desk.uids("1.2.3") == set()


async def test_a_note_of_ours_that_cannot_be_stored_waits_and_others_do_not(
    desk: Desk, radiograph: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noting, "BATCH", 1)
    other = {"StudyInstanceUID": "1.2.4", "SeriesInstanceUID": "1.2.4.1"}
    await desk.store(radiograph("1.2.3.1.1"), radiograph("1.2.4.1.1", **other))
    for study in ("1.2.3", "1.2.4"):
        await taken(desk, study)
    reception = desk.gateway._keeping.reception
    begin, full = reception.begin, {"1.2.3"}

    def refusing(announced: Announced) -> Arriving:
        if announced.study_uid in full:
            raise StorageError("no room")
        return begin(announced)

    monkeypatch.setattr(reception, "begin", refusing)
    await desk.decide("1.2.3", "reject", title="quality", instances=["1.2.3.1.1"])
    await desk.decide("1.2.4", "reject", title="quality", instances=["1.2.4.1.1"])

    async def notes(*states: str) -> None:
        async def reached() -> bool:
            rows = await desk.pool.fetch("select note from study_statement order by id")
            return [row["note"] for row in rows] == list(states)

        await until(reached)

    await notes("owed", "made")
    full.clear()
    await notes("made", "made")


async def test_a_note_that_gets_another_number_is_not_carried_out_again(
    desk: Desk, radiograph: Write, tmp_path: Path
) -> None:
    await desk.order(order(accession="ACC1"))
    await desk.store(radiograph("1.2.3.1.1", AccessionNumber="ACC7"))
    await desk.store(note_file(tmp_path, "113001", ["1.2.3.1.1"]))
    await carried_out(desk)
    (line,) = (await desk.study("1.2.3"))["decisions"]
    await desk.undo(line["number"])
    await taken(desk, "1.2.3")
    await desk.decide("1.2.3", "assign", accession="ACC1")
    async with desk.pool.acquire() as connection:
        assert await rejection_notes.unread(connection, "imaging", 20) == []
    said = await desk.pool.fetch("select kind, said from study_statement order by id")
    assert [row["kind"] for row in said] == ["reject", "assign"]
    assert json.loads(said[1]["said"])["renumber"], "the note itself has another number now"
