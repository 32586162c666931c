"""What was sent as a person had decided is told of when he takes that back, whether it was told of before or not."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

from engine.errors import StorageError
from engine.store import imaging_outbox
from engine.store.imaging_outbox import StudyOwed
from pacs_gateway.rejections import noting
from pacs_gateway.rejections.note import KEY_OBJECT_SELECTION, note_in
from pacs_gateway.scp.reception import Announced
from tests.integration.engine.messages import order
from tests.integration.gateway.sending import until
from tests.integration.reconcile.conftest import Desk, Write
from tests.integration.reconcile.test_contents import arrived_twice
from tests.integration.reconcile.test_rejection_notes import carried_out, note_file, read_object, taken


@pytest.fixture(autouse=True)
def again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noting, "RETRY_SECS", 0.05)


async def told(desk: Desk, *states: str) -> None:
    async def reached() -> bool:
        rows = await desk.pool.fetch("select note from study_statement order by id")
        return [row["note"] for row in rows] == list(states)

    await until(reached)
    await desk.told()


async def offered(desk: Desk) -> tuple[set[str], set[str]]:
    """What notes that are to be sent name, and the other objects that are."""
    async with desk.pool.acquire() as connection:
        found = await imaging_outbox.unsent(connection, "county-pacs", StudyOwed("baishi", "1.2.3"))
    notes = [note_in(read_object(desk, one.content.location)) for one in found if one.rejects]
    named = {one.sop_uid for note in notes if note is not None for one in note.rejected}
    return named, {one.content.sop_uid for one in found if one.content.sop_class != KEY_OBJECT_SELECTION}


async def test_a_decision_made_before_sending_and_taken_back_after_it_is_told(desk: Desk, radiograph: Write) -> None:
    await desk.order(order(accession="ACC1"))
    await desk.store(radiograph("1.2.3.1.1", AccessionNumber="ACC7"))
    number = await desk.decide("1.2.3", "assign", accession="ACC1")
    await taken(desk, "1.2.3")
    await desk.undo(number)
    await told(desk, "undo-made")
    ((_, again),) = await desk.uids("1.2.3")
    assert again != "1.2.3.1.1", "others are told to forget that number"
    assert await offered(desk) == ({"1.2.3.1.1"}, {again})
    assert (await desk.fetched("1.2.3", "1.2.3.1", again)).AccessionNumber == "ACC7"


async def test_of_another_content_that_was_kept_only_the_extra_object_is_told_of(desk: Desk, radiograph: Write) -> None:
    number = await desk.decide("1.2.3", "content", choice="keep", **await arrived_twice(desk, radiograph))
    ((_, extra),) = (await desk.uids("1.2.3")) - {("1.2.3.1", "1.2.3.1.1")}
    await taken(desk, "1.2.3")
    await desk.undo(number)
    await told(desk, "undo-made")
    assert await desk.uids("1.2.3") == {("1.2.3.1", "1.2.3.1.1")}
    assert await offered(desk) == ({extra}, set())


async def test_a_content_that_was_replaced_comes_back_under_a_number_of_its_own(desk: Desk, radiograph: Write) -> None:
    number = await desk.decide("1.2.3", "content", choice="replace", **await arrived_twice(desk, radiograph))
    await taken(desk, "1.2.3")
    await desk.undo(number)
    await told(desk, "undo-made")
    ((_, again),) = await desk.uids("1.2.3")
    assert again != "1.2.3.1.1"
    assert await offered(desk) == ({"1.2.3.1.1"}, {again})


async def test_whoever_took_the_note_of_a_modality_gets_what_it_rejected_under_another_number(
    desk: Desk, radiograph: Write, tmp_path: Path
) -> None:
    await desk.store(note_file(tmp_path, "113001", ["1.2.3.1.1"]))
    await carried_out(desk)
    await desk.store(radiograph("1.2.3.1.1"), radiograph("1.2.3.1.2", InstanceNumber=2))
    await taken(desk, "1.2.3")  # the note among it, which is to be seen
    (line,) = (await desk.study("1.2.3"))["decisions"]
    await desk.undo(line["number"])
    await told(desk, "undo-made")
    assert "1.2.3.1.1" not in {sop for _, sop in await desk.uids("1.2.3")}
    named, rest = await offered(desk)
    assert (named, len(rest)) == (set(), 1)


async def test_a_decision_of_which_others_are_still_to_be_told_is_taken_back_after_that(
    desk: Desk, radiograph: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.order(order(accession="ACC1"))
    await desk.store(radiograph("1.2.3.1.1", AccessionNumber="ACC7"))
    await taken(desk, "1.2.3")
    with monkeypatch.context() as full:

        def refuse(announced: Announced) -> NoReturn:
            raise StorageError("no room")

        full.setattr(desk.gateway._keeping.reception, "begin", refuse)
        number = await desk.decide("1.2.3", "assign", accession="ACC1")
        await taken(desk, "1.2.3")  # the corrected one, before anybody was told of the other
        refused = await desk.undo(number)
        assert (refused.status_code, refused.json()["code"]) == (409, "note-owed")
    await told(desk, "made")
    assert (await desk.undo(number)).status_code == 200
    await told(desk, "undo-made")


async def test_what_nobody_had_comes_back_as_it_was(desk: Desk, radiograph: Write) -> None:
    await desk.store(radiograph("1.2.3.1.1"), radiograph("1.2.3.1.2", InstanceNumber=2))
    number = await desk.decide("1.2.3", "reject", title="quality", instances=["1.2.3.1.1"])
    await taken(desk, "1.2.3")
    await desk.undo(number)
    await told(desk, "none")
    assert await offered(desk) == (set(), {"1.2.3.1.1"})


async def test_decisions_that_are_taken_back_one_after_the_other_are_told_by_the_numbers_that_others_know(
    desk: Desk, radiograph: Write
) -> None:
    await desk.order(order(accession="ACC1"))
    await desk.order(order("O2", accession="ACC2", control_id="M2"))
    await desk.store(radiograph("1.2.3.1.1", AccessionNumber="ACC7"))
    numbers, states = [], list[str]()
    for accession in ("ACC1", "ACC2"):
        await taken(desk, "1.2.3")
        numbers.append(await desk.decide("1.2.3", "assign", accession=accession))
        states.append("made")
        await told(desk, *states)
    for place, number in ((1, numbers[1]), (0, numbers[0])):
        await taken(desk, "1.2.3")
        ((_, known),) = await desk.uids("1.2.3")
        await desk.undo(number)
        states[place] = "undo-made"
        await told(desk, *states)
        ((_, again),) = await desk.uids("1.2.3")
        assert again != known
        assert await offered(desk) == ({known}, {again})
