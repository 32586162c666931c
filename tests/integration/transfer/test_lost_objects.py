"""An object that its own hub has lost keeps no other from the hub that is owed the study, and is told of."""

from __future__ import annotations

import json
from collections.abc import Sequence

import asyncpg
import pytest

from engine.store.statements import location_of
from pacs_gateway.location import open_object
from tests.integration.gateway.sending import settled
from tests.integration.transfer.conftest import Archive, BadLine, Hub, digests, performed


async def lose(archive: Archive, *numbers: int) -> set[str]:
    """What is left."""
    await settled(archive.objects.folder)
    for number in numbers:
        archive.objects.stored_file(archive.instances[number].location).unlink()
    return {one.sop_uid for number, one in enumerate(archive.instances) if number not in numbers}


async def taken(pool: asyncpg.Pool) -> set[str]:
    rows = await pool.fetch("select sop_uid from sent_instance where taken")
    return {row["sop_uid"] for row in rows}


@pytest.mark.parametrize("lost", [[5], [0, 4, 5, 12]])
async def test_what_is_not_lost_arrives_and_what_is_is_told_of(
    hub: Hub, archive: Archive, pool: asyncpg.Pool, lost: Sequence[int]
) -> None:
    left = await lose(archive, *lost)
    line = BadLine(hub)
    outcome = await performed(pool, archive, line)
    assert outcome.again is None
    why = "it cannot be read here: the object is not in the store (object-missing)"
    assert outcome.refused == f"{len(lost)} of 13 objects are refused: {why}"
    assert json.loads(outcome.said)["arrived"] == len(left)
    assert digests(await hub.rows()) == {
        uid: digest for uid, digest in digests(archive.instances).items() if uid in left
    }
    assert [method for method, _ in line.requests].count("PUT") == 2, "those that are gone are told of together"
    assert list(hub.folder.glob("*/*")) == []
    assert await taken(pool) == left


async def test_an_object_that_is_cut_short_keeps_no_other_back(hub: Hub, archive: Archive, pool: asyncpg.Pool) -> None:
    await settled(archive.objects.folder)
    short, garbled = (archive.objects.stored_file(archive.instances[number].location) for number in (3, 7))
    short.write_bytes(short.read_bytes()[:-1000])
    garbled.write_bytes(b"")
    outcome = await performed(pool, archive, BadLine(hub))
    assert outcome.again is None
    assert outcome.refused.startswith("2 of 13 objects are refused: ")
    assert {one.sop_uid for one in await hub.rows()} == {
        one.sop_uid for number, one in enumerate(archive.instances) if number not in (3, 7)
    }


async def test_a_study_of_which_everything_is_lost_is_refused(hub: Hub, archive: Archive, pool: asyncpg.Pool) -> None:
    await lose(archive, *range(13))
    outcome = await performed(pool, archive, BadLine(hub))
    assert outcome.refused.startswith("13 of 13 objects are refused: ")
    assert await hub.rows() == []
    assert await taken(pool) == set()


async def test_what_the_other_hub_has_already_is_not_missed(hub: Hub, archive: Archive, pool: asyncpg.Pool) -> None:
    await performed(pool, archive, BadLine(hub))
    await lose(archive, 5)
    outcome = await performed(pool, archive, BadLine(hub))
    assert (outcome.again, outcome.refused) == (None, "")
    assert len(await taken(pool)) == 13


async def test_what_is_lost_of_what_was_decided_keeps_no_other_back(
    hub: Hub, archive: Archive, pool: asyncpg.Pool
) -> None:
    """Such an object is measured before it is announced."""
    lost = archive.instances[5]
    restated = location_of(lost.location, {"patient_id": "P7"}, "ascii")
    await pool.execute("update instance set location = $1 where sop_uid = $2", restated, lost.sop_uid)
    with open_object(archive.objects, restated) as file:
        assert b"P7" in file.read(2000)
    left = await lose(archive, 5)
    outcome = await performed(pool, archive, BadLine(hub))
    assert outcome.refused.startswith("1 of 13 objects are refused: ")
    assert {one.sop_uid for one in await hub.rows()} == left
    assert await taken(pool) == left
