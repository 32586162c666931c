"""Rejection notes (IHE RAD, IOCM): what they name is found no more; who had what was decided on is sent one."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from engine.clock import now
from engine.store import imaging_outbox
from engine.store.imaging_outbox import StudyOwed, read_payload
from pacs_gateway.location import Objects, open_object
from pacs_gateway.rejections.note import KEY_OBJECT_SELECTION, Note, Rejected, encoded, note_in
from tests.integration.engine.messages import order
from tests.integration.gateway.sending import until
from tests.integration.reconcile.conftest import Desk, Write

DX = "1.2.840.10008.5.1.4.1.1.1.1"


def note_file(folder: Path, code: str, sop_uids: Sequence[str], own: str = "1.2.3.9.1", **changes: Any) -> Path:
    """A note as a modality or PACS sends one, in the study that it is about."""
    rejected = tuple(Rejected("1.2.3", "1.2.3.1", sop, DX) for sop in sop_uids)
    title = code if code in ("113001", "113037", "113038", "113039") else "113001"
    data = encoded(
        sop_uid=own, study_uid="1.2.3", attributes={"patient_id": "BS0001"}, note=Note(title, rejected), sender="DR",
        at=now(),
    )  # fmt: skip
    dataset = pydicom.dcmread(BytesIO(data), force=True)
    dataset.ConceptNameCodeSequence[0].CodeValue = code
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(ExplicitVRLittleEndian)
    file = folder / f"{own}-{code}.dcm"
    pydicom.dcmwrite(file, dataset, enforce_file_format=True)
    return file


async def carried_out(desk: Desk, count: int = 1) -> None:
    async def read() -> bool:
        return bool(await desk.pool.fetchval("select count(*) >= $1 from rejection_note_read", count))

    await until(read)
    await desk.told()


async def test_what_a_note_names_is_found_and_fetched_no_more(desk: Desk, radiograph: Write, tmp_path: Path) -> None:
    await desk.order(order(accession="ACC1"))
    await desk.store(radiograph("1.2.3.1.1"), radiograph("1.2.3.1.2", InstanceNumber=2))
    await desk.store(note_file(tmp_path, "113037", ["1.2.3.1.1", "1.2.3.1.7"]))
    await carried_out(desk)
    assert await desk.uids("1.2.3") == {("1.2.3.1", "1.2.3.1.2")}, "the note goes with what it rejects"
    gone = await desk.reader.get("/dicomweb/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1")
    assert gone.status_code == 404
    assert (await desk.imaging_study("1.2.3"))["numberOfInstances"] == 1

    # One that it named and that comes late is not served either; and what was rejected may be sent again.
    await desk.store(radiograph("1.2.3.1.7", InstanceNumber=7), radiograph("1.2.3.1.1"))
    assert await desk.uids("1.2.3") == {("1.2.3.1", "1.2.3.1.2")}

    (line,) = (await desk.study("1.2.3"))["decisions"]
    assert (line["kind"], line["actor"], line["code"]) == ("reject", "DR_BAISHI", "113037")
    await desk.undo(line["number"])
    assert {sop for _, sop in await desk.uids("1.2.3")} >= {"1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.7"}


async def test_a_note_for_quality_stays_to_be_seen(desk: Desk, radiograph: Write, tmp_path: Path) -> None:
    await desk.store(radiograph("1.2.3.1.1"), radiograph("1.2.3.1.2", InstanceNumber=2))
    await desk.store(note_file(tmp_path, "113001", ["1.2.3.1.1"]))
    await carried_out(desk)
    assert {sop for _, sop in await desk.uids("1.2.3")} == {"1.2.3.1.2", "1.2.3.9.1"}


@pytest.mark.parametrize("code", ["113001", "113037", "113038", "113039"])
async def test_who_had_what_a_note_rejects_is_sent_one_too(
    desk: Desk, radiograph: Write, tmp_path: Path, code: str
) -> None:
    await desk.store(radiograph("1.2.3.1.1"), radiograph("1.2.3.1.2", InstanceNumber=2))
    await taken(desk, "1.2.3")
    await desk.store(note_file(tmp_path, code, ["1.2.3.1.1"]))
    await made(desk, "made")
    endpoints = await desk.pool.fetch("select endpoint, route from delivery where route = 'rejection-note'")
    assert [row["endpoint"] for row in endpoints] == ["county-pacs"]
    async with desk.pool.acquire() as connection:
        offered = await imaging_outbox.unsent(connection, "county-pacs", StudyOwed("baishi", "1.2.3"))
    (ours,) = (one.content for one in offered if one.rejects)
    told = note_in(read_object(desk, ours.location))
    assert told is not None
    assert (told.code, "1.2.3.1.1" in {one.sop_uid for one in told.rejected}) == (code, True)

    # Taken back, what they were told to forget comes under a number of its own.
    await taken(desk, "1.2.3")
    (line,) = (await desk.study("1.2.3"))["decisions"]
    await desk.undo(line["number"])
    async with desk.pool.acquire() as connection:
        again = await imaging_outbox.unsent(connection, "county-pacs", StudyOwed("baishi", "1.2.3"))
    images = [one.content.sop_uid for one in again if one.content.sop_class == DX]
    assert len(images) == 1
    assert not {"1.2.3.1.1", "1.2.3.1.2"} & set(images)


async def test_what_a_note_rejects_that_is_rejected_already_is_told_no_further(
    desk: Desk, radiograph: Write, tmp_path: Path
) -> None:
    await desk.store(radiograph("1.2.3.1.1"), radiograph("1.2.3.1.2", InstanceNumber=2))
    await taken(desk, "1.2.3")
    await desk.store(note_file(tmp_path, "113037", ["1.2.3.1.1"]))
    await made(desk, "made")
    await desk.store(note_file(tmp_path, "113037", ["1.2.3.1.1"], own="1.2.3.9.2"))
    await carried_out(desk, 2)
    rows = await desk.pool.fetch("select note from study_statement order by id")
    assert [row["note"] for row in rows] == ["made", "none"]


async def test_a_note_that_comes_first_and_one_of_another_facility(
    desk: Desk, radiograph: Write, tmp_path: Path
) -> None:
    await desk.store(note_file(tmp_path, "113039", ["1.2.3.1.1"]))
    await carried_out(desk)
    await desk.store(radiograph("1.2.3.1.1"), radiograph("1.2.3.1.2"))
    assert await desk.uids("1.2.3") == {("1.2.3.1", "1.2.3.1.2")}
    await desk.store(note_file(tmp_path, "113039", ["1.2.3.1.2"], own="1.2.3.9.2"), calling="DR_QINGXI")
    await carried_out(desk, 2)
    assert ("1.2.3.1", "1.2.3.1.2") in await desk.uids("1.2.3")


async def test_other_key_objects_and_bad_notes_reject_nothing(desk: Desk, radiograph: Write, tmp_path: Path) -> None:
    await desk.store(radiograph("1.2.3.1.1"))
    broken = Dataset()
    broken.ReferencedSeriesSequence = [Dataset()]
    await desk.store(
        note_file(tmp_path, "113000", ["1.2.3.1.1"], own="1.2.3.9.1"),  # "of interest", no rejection
        note_file(tmp_path, "113037", [], own="1.2.3.9.2"),
        note_file(tmp_path, "113037", ["<img src=x onerror=alert(1)>", "../../etc"], own="1.2.3.9.3"),
        note_file(tmp_path, "113038", [], own="1.2.3.9.4", CurrentRequestedProcedureEvidenceSequence=[broken]),
        note_file(tmp_path, "113038", ["1.2.3.1.1"], own="1.2.3.9.5", ConceptNameCodeSequence=[]),
    )
    await carried_out(desk, 5)
    assert ("1.2.3.1", "1.2.3.1.1") in await desk.uids("1.2.3")


async def test_who_had_it_is_told_to_forget_it_and_sent_what_was_decided(
    desk: Desk, radiograph: Write, tmp_path: Path
) -> None:
    await desk.order(order(accession="ACC1"))
    await desk.store(radiograph("1.2.3.1.1", AccessionNumber="ACC7"))
    await taken(desk, "1.2.3")
    number = await desk.decide("1.2.3", "assign", accession="ACC1")
    ((_, corrected),) = await desk.uids("1.2.3")
    assert corrected != "1.2.3.1.1", "others are told to forget the number that it had"
    await made(desk, "made")
    (endpoint, payload) = await desk.pool.fetchrow("select endpoint, payload from delivery")
    assert (endpoint, read_payload(payload)) == ("county-pacs", StudyOwed("baishi", "1.2.3"))

    note, rest = await unsent(desk)
    assert [one["sop_uid"] for one in rest] == [corrected]
    assert note_in(note) == Note("113038", (Rejected("1.2.3", "1.2.3.1", "1.2.3.1.1", DX),))
    assert (note.StudyInstanceUID, note.AccessionNumber, note.Modality) == ("1.2.3", "ACC7", "KO")
    note.save_as(tmp_path / "note.dcm", enforce_file_format=True)
    code, dumped = await asyncio.to_thread(as_dcmtk_reads, tmp_path / "note.dcm")
    assert code == 0, dumped
    assert "Incorrect Modality Worklist Entry" in dumped

    # Taken back, the object is the first one again, under a number that nobody was told to forget.
    await taken(desk, "1.2.3")
    await desk.undo(number)
    await made(desk, "undo-made")
    ((_, again),) = await desk.uids("1.2.3")
    assert again not in ("1.2.3.1.1", corrected)
    assert (await desk.fetched("1.2.3", "1.2.3.1", again)).AccessionNumber == "ACC7"
    second, rest = await unsent(desk)
    assert note_in(second) == Note("113038", (Rejected("1.2.3", "1.2.3.1", corrected, DX),))
    assert [one["sop_uid"] for one in rest] == [again]


async def test_a_person_rejects_what_is_of_no_use(desk: Desk, radiograph: Write) -> None:
    await desk.store(radiograph("1.2.3.1.1"), radiograph("1.2.3.1.2", InstanceNumber=2))
    await taken(desk, "1.2.3")
    await desk.decide("1.2.3", "reject", title="quality", instances=["1.2.3.1.1"])
    assert await desk.uids("1.2.3") == {("1.2.3.1", "1.2.3.1.2")}
    await made(desk, "made")
    note, rest = await unsent(desk)
    assert note_in(note) == Note("113001", (Rejected("1.2.3", "1.2.3.1", "1.2.3.1.1", DX),))
    assert rest == []


async def test_nobody_is_told_who_never_had_it(desk: Desk, radiograph: Write) -> None:
    await desk.order(order(accession="ACC1"))
    await desk.store(radiograph("1.2.3.1.1", AccessionNumber="ACC7"))
    await desk.decide("1.2.3", "assign", accession="ACC1")
    assert await desk.pool.fetchval("select note from study_statement") == "none"
    assert await desk.uids("1.2.3") == {("1.2.3.1", "1.2.3.1.1")}


def as_dcmtk_reads(file: Path) -> tuple[int, str]:
    done = subprocess.run(["dsrdump", file], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


async def taken(desk: Desk, study_uid: str) -> None:
    """Everything of a study has been sent to a system, which took it."""
    await desk.pool.execute(
        """
        insert into sent_instance (endpoint, study_uid, facility, sop_uid, sha256, delivery, status, taken, note, at)
        select 'county-pacs', study_uid, facility, sop_uid, sha256, gen_random_uuid(), 0, true, '', now()
        from (select study_uid, facility, sop_uid, sha256 from instance
              union all select study_uid, facility, sop_uid, sha256 from instance_as_sent
              where hidden = 'rejection-note') one
        where study_uid = $1 on conflict do nothing
        """,
        study_uid,
    )
    await desk.pool.execute("delete from delivery")


async def made(desk: Desk, state: str) -> None:
    async def reached() -> bool:
        return bool(await desk.pool.fetchval("select note = $1 from study_statement", state))

    await until(reached)
    await desk.told()


async def unsent(desk: Desk) -> tuple[Dataset, list[dict[str, Any]]]:
    """The note that is to be sent, and what else is."""
    async with desk.pool.acquire() as connection:
        found = await imaging_outbox.unsent(connection, "county-pacs", StudyOwed("baishi", "1.2.3"))
    (note,) = (one.content for one in found if one.content.sop_class == KEY_OBJECT_SELECTION)
    rest = [one.content for one in found if one.content.sop_class != KEY_OBJECT_SELECTION]
    return read_object(desk, note.location), [{"sop_uid": one.sop_uid} for one in rest]


def read_object(desk: Desk, location: str) -> Dataset:
    with open_object(Objects(desk.objects), location) as file:
        return pydicom.dcmread(BytesIO(file.read()))
