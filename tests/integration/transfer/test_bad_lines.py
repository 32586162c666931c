"""However the line breaks, a study arrives whole, once, and nothing that arrived is sent twice."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable

import asyncpg
import httpx
import pytest

from engine.errors import DeliveryError
from engine.store import study_states
from engine.store.wholeness import State
from pacs_gateway.location import Objects, open_object
from pacs_gateway.transfer import incoming, outgoing
from tests.integration.transfer.conftest import RECEIVES, Archive, BadLine, Hub, digests


async def whole_and_once(hub: Hub, archive: Archive) -> None:
    """Every object is there exactly once, with the very bytes, and nothing is left of the transfer."""
    rows = await hub.rows()
    assert len(rows) == len(archive.instances)
    assert digests(rows) == digests(archive.instances)
    sent = {one.sop_uid: one for one in archive.instances}
    for row in rows:
        there = open_object(archive.objects, sent[row.sop_uid].location)
        with open_object(Objects(hub.objects), row.location) as here, there:
            assert here.read()[-row.bytes :] == there.read()[-row.bytes :]
    assert list(hub.folder.glob("*/*")) == []


async def test_a_study_arrives_whole(hub: Hub, archive: Archive, pool: asyncpg.Pool) -> None:
    line = BadLine(hub)
    assert (await archive.send(line)).whole
    await whole_and_once(hub, archive)
    size = sum(one.bytes for one in archive.instances)
    assert sum(length for method, length in line.requests if method == "PATCH") < size, "what may be compressed is"
    assert sum(method == "PATCH" for method, _ in line.requests) < len(archive.instances), "small objects share pieces"
    assert [method for method, _ in line.requests][:1] == ["PUT"]
    transfer = await pool.fetchrow("select * from study_transfer where direction = 'in'")
    assert (transfer["state"], transfer["objects"]) == ("whole", 13)


async def test_what_is_there_is_not_sent_again(hub: Hub, archive: Archive) -> None:
    await archive.send(BadLine(hub))
    line = BadLine(hub)
    assert (await archive.send(line)).whole
    assert [method for method, _ in line.requests] == ["PUT"]
    await whole_and_once(hub, archive)


@pytest.mark.parametrize("where", ["before", "after"])
async def test_a_line_that_is_cut_again_and_again(hub: Hub, archive: Archive, where: str) -> None:
    """Every second request is lost, or its answer is."""
    fates = iter([where, None] * 500)
    line = BadLine(hub, lambda _: next(fates))
    sent = await archive.send(line)
    assert sent.whole
    assert sent.moved_bytes == sum(one.bytes for one in archive.instances)
    await whole_and_once(hub, archive)


@pytest.mark.parametrize("seed", range(4))
async def test_both_ends_end_at_a_random_moment(hub: Hub, archive: Archive, seed: int) -> None:
    """Again and again: the sender gives up and begins anew, the receiver starts on what its disk has."""
    chance = random.Random(seed)
    attempts = 0
    done = False
    while not done:
        attempts += 1
        budget = chance.randint(1, 12)
        line = BadLine(hub, _after(budget, chance))
        try:
            done = (await archive.send(line)).whole
        except DeliveryError:
            await hub.again()
        assert attempts < 200
    await whole_and_once(hub, archive)


def _after(budget: int, chance: random.Random) -> Callable[[httpx.Request], str | None]:
    left = budget

    def fate(request: httpx.Request) -> str | None:
        nonlocal left
        left -= 1
        return None if left >= 0 else chance.choice(("before", "after"))

    return fate


async def test_an_attempt_that_was_cut_goes_on_where_it_was(hub: Hub, archive: Archive) -> None:
    allowed = iter([True] * 4 + [False] * 100)
    first = await archive.send(BadLine(hub), may_go_on=lambda: next(allowed))
    assert first.paused
    assert first.moved_bytes > 0
    await hub.again()
    second = await archive.send(BadLine(hub))
    assert second.whole
    assert first.moved_bytes + second.moved_bytes == sum(one.bytes for one in archive.instances)
    await whole_and_once(hub, archive)


async def test_an_attempt_ends_when_the_line_stays_away(hub: Hub, archive: Archive) -> None:
    line = BadLine(hub, lambda _: "before")
    with pytest.raises(DeliveryError) as refused:
        await archive.send(line)
    assert refused.value.code == "unreachable"
    assert len(line.requests) == outgoing.TRIES


async def test_until_it_is_whole_the_receiver_knows_what_is_missing(
    hub: Hub, archive: Archive, pool: asyncpg.Pool
) -> None:
    allowed = iter([True] * 2 + [False] * 100)
    await archive.send(BadLine(hub), may_go_on=lambda: next(allowed))
    study = archive.instances[0].study_uid
    async with pool.acquire() as connection:
        (state,) = [
            one for one in (await study_states.of_studies(connection, [study])).values() if one.facility == RECEIVES
        ]
    assert state.state is State.RECEIVING
    assert await pool.fetchval("select count(*) from announced_instance where source = 'transfer'") == 13


async def test_what_came_whole_can_be_read_when_the_rest_stays_away(hub: Hub, archive: Archive) -> None:
    allowed = iter([True] * 8 + [False] * 100)
    first = await archive.send(BadLine(hub), may_go_on=lambda: next(allowed))
    await hub.incoming.store_what_waits()
    assert await hub.rows() == [], "it may go on at any moment"
    hub.at = incoming.SILENCE * 2
    await hub.incoming.store_what_waits()
    early = await hub.rows()
    assert 0 < len(early) < 13
    second = await archive.send(BadLine(hub))
    assert second.whole
    assert first.moved_bytes + second.moved_bytes == sum(one.bytes for one in archive.instances)
    await whole_and_once(hub, archive)


async def test_what_nobody_continues_is_dropped_after_a_week(hub: Hub, archive: Archive) -> None:
    allowed = iter([True] * 2 + [False] * 100)
    await archive.send(BadLine(hub), may_go_on=lambda: next(allowed))
    hub.at = incoming.FORGOTTEN * 2
    await hub.incoming.store_what_waits()
    assert list(hub.folder.glob("*/*")) == []
    assert (await archive.send(BadLine(hub))).whole
    await whole_and_once(hub, archive)


async def test_a_study_that_grows_while_it_is_sent_keeps_what_has_come(hub: Hub, archive: Archive) -> None:
    everything = archive.instances
    archive.instances = everything[:12]
    allowed = iter([True] * 3 + [False] * 100)
    first = await archive.send(BadLine(hub), may_go_on=lambda: next(allowed))
    archive.instances = everything
    second = await archive.send(BadLine(hub))
    assert second.whole
    repeated = first.moved_bytes + second.moved_bytes - sum(one.bytes for one in everything)
    assert 0 <= repeated < max(one.bytes for one in everything), "less than one object"
    await whole_and_once(hub, archive)


async def test_bytes_that_the_disk_damaged_are_asked_for_again(hub: Hub, archive: Archive) -> None:
    allowed = iter([True] * 6 + [False] * 100)
    await archive.send(BadLine(hub), may_go_on=lambda: next(allowed))
    (stream,) = hub.folder.glob("*/*/stream")
    with stream.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 8)
    line = BadLine(hub)
    assert (await archive.send(line)).whole
    assert [method for method, _ in line.requests].count("POST") == 2
    await whole_and_once(hub, archive)


async def test_a_receiver_that_lost_its_folder_is_sent_everything_again(hub: Hub, archive: Archive) -> None:
    allowed = iter([True] * 3 + [False] * 100)
    await archive.send(BadLine(hub), may_go_on=lambda: next(allowed))
    shutil.rmtree(hub.folder)
    assert (await archive.send(BadLine(hub))).whole
    await whole_and_once(hub, archive)
