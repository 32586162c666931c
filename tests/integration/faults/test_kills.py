"""Nothing acknowledged is lost and nothing happens twice, whichever process is killed while messages arrive."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from tests.integration.faults.clients import Client, msa
from tests.integration.faults.load import (
    LOAD_SECS,
    Load,
    every_message_is_journaled_once,
    every_message_is_processed_once,
)
from tests.integration.faults.messages import register
from tests.integration.faults.serving import Served, until

KILLS = 5


async def assaulted(hub: Served, load: Load, assault: Callable[[], Awaitable[None]]) -> None:
    """Sends everything while the assault comes five times, each time after another sixth has been acknowledged."""
    async with asyncio.TaskGroup() as both:
        sending = both.create_task(load.send(hub))
        for number in range(1, KILLS + 1):
            await load.at(number / (KILLS + 1))
            await assault()
    assert sum(client.sent_again for client in sending.result()) > 0, "no connection was ever lost: nothing was tried"


async def test_the_engine_killed_five_times_while_messages_arrive(hub: Served) -> None:
    load = Load("E", 5_000)

    async def kill() -> None:
        await hub.kill("engine")
        await hub.revived("engine")

    await assaulted(hub, load, kill)
    await every_message_is_journaled_once(hub, load)
    await every_message_is_processed_once(hub, load)


async def test_postgres_killed_five_times_while_messages_arrive(hub: Served) -> None:
    load = Load("D", 5_000)

    async def kill() -> None:
        await hub.kill("postgres")
        await hub.revived("postgres")

    await assaulted(hub, load, kill)
    await every_message_is_journaled_once(hub, load)
    await every_message_is_processed_once(hub, load)


async def test_the_pipeline_killed_five_times_while_it_works(hub: Served) -> None:
    load = Load("P", 1_000)
    async with hub.database() as database, asyncio.TaskGroup() as both:
        both.create_task(load.send(hub))
        for number in range(1, KILLS + 1):

            async def done(wanted: float = number * load.messages / (KILLS + 1)) -> bool:
                finished: int = await database.fetchval(
                    "select count(*) from outcome o join journal j on j.id = o.envelope where control_id like 'P.%'"
                )
                return finished >= wanted

            await until(f"work before kill {number}", done, within_secs=LOAD_SECS)
            await hub.kill("pipeline")
            await hub.revived("pipeline")
    await every_message_is_journaled_once(hub, load)
    await every_message_is_processed_once(hub, load)


async def test_a_process_that_cannot_start_says_why_and_is_tried_again_until_it_can(hub: Served) -> None:
    port = hub.port("his")
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        hub.supervisor.suspend()  # it would start another engine before the port is taken
        try:
            await hub.kill("engine")
            squatter.bind(("127.0.0.1", port))
            squatter.listen()
        finally:
            hub.supervisor.resume()
        await until("it fails twice", lambda: hub.said().count("is taken by another program") >= 2)
    client = Client(port)
    assert msa(await client.insist(register("K1", "K.1"))) == ("AA", "K.1")
    client.leave()
