"""Whoever hears what is available hears too what is not any more, however it went."""

from __future__ import annotations

from pathlib import Path

from engine.store import as_sent, imaging, no_longer
from pacs_gateway.announcing import notice_of
from pacs_gateway.query.identifier import Gathered
from pacs_gateway.scp.availability import told_by
from pacs_gateway.transfer_syntaxes import IMPLICIT_VR_LITTLE_ENDIAN
from tests.integration.engine.messages import order
from tests.integration.reconcile.conftest import Desk, Write
from tests.integration.reconcile.test_rejection_notes import carried_out, made, note_file, taken


async def available(desk: Desk, study_uid: str = "1.2.3") -> dict[str, str]:
    """What another hub understands of a notice of the study."""
    async with desk.pool.acquire() as connection:
        served = await imaging.study_instances(connection, study_uid, "baishi")
        gone = await no_longer.gone(connection, study_uid, "baishi")
    sent = Gathered(IMPLICIT_VR_LITTLE_ENDIAN)
    sent.write([memoryview(notice_of(study_uid, served, gone, "HUTONG"))])
    return {one.sop_uid: one.availability for one in told_by(sent)}


async def test_what_was_rejected_is_unavailable_also_when_nothing_is_left(
    desk: Desk, radiograph: Write, tmp_path: Path
) -> None:
    await desk.store(radiograph("1.2.3.1.1"), radiograph("1.2.3.1.2", InstanceNumber=2))
    await desk.store(note_file(tmp_path, "113037", ["1.2.3.1.1"]))
    await carried_out(desk)
    gone = {"1.2.3.1.1": "UNAVAILABLE", "1.2.3.9.1": "UNAVAILABLE"}
    assert await available(desk) == {**gone, "1.2.3.1.2": "ONLINE"}
    await desk.decide("1.2.3", "reject", title="quality")
    assert await available(desk) == {**gone, "1.2.3.1.2": "UNAVAILABLE"}


async def test_what_moved_is_unavailable_where_it_was_and_after_undoing_where_it_went(
    desk: Desk, radiograph: Write
) -> None:
    await desk.store(radiograph("1.2.3.1.1"), radiograph("1.2.3.1.2", InstanceNumber=2))
    number = await desk.decide("1.2.3", "split", instances=["1.2.3.1.2"])
    new = (await desk.study("1.2.3"))["decisions"][0]["to_study"]
    assert await available(desk) == {"1.2.3.1.1": "ONLINE", "1.2.3.1.2": "UNAVAILABLE"}
    assert await available(desk, new) == {"1.2.3.1.2": "ONLINE"}
    await desk.undo(number)
    assert await available(desk) == {"1.2.3.1.1": "ONLINE", "1.2.3.1.2": "ONLINE"}
    assert await available(desk, new) == {"1.2.3.1.2": "UNAVAILABLE"}


async def test_numbers_that_others_are_told_to_forget_are_unavailable_and_our_note_is_not_spoken_of(
    desk: Desk, radiograph: Write
) -> None:
    await desk.order(order(accession="ACC1"))
    await desk.store(radiograph("1.2.3.1.1", AccessionNumber="ACC7"))
    await taken(desk, "1.2.3")
    await desk.decide("1.2.3", "assign", accession="ACC1")
    await made(desk, "made")
    ((_, corrected),) = await desk.uids("1.2.3")
    assert await available(desk) == {"1.2.3.1.1": "UNAVAILABLE", corrected: "ONLINE"}


async def test_of_a_study_that_nothing_was_said_of_nothing_is_gone(desk: Desk, radiograph: Write) -> None:
    await desk.store(radiograph("1.2.3.1.1"))
    assert await available(desk) == {"1.2.3.1.1": "ONLINE"}
    async with desk.pool.acquire() as connection:
        assert len(await as_sent.stored(connection, "baishi", ["1.2.3"])) == 1
        assert await no_longer.gone(connection, "1.2.3", "baishi") == []
