"""Several engines on one PostgreSQL: messages are processed once, one of them delivers, and another takes over."""

from __future__ import annotations

import asyncpg

from engine.store.outbox import _LEADER_LOCK
from tests.integration.delivery.conftest import forwarding
from tests.integration.delivery.endpoint import Endpoint, control_id
from tests.integration.faults.clients import Client, msa
from tests.integration.faults.conftest import Serve
from tests.integration.faults.messages import register
from tests.integration.faults.serving import Served, until

PATIENTS = 10
MESSAGES = 20
_LEADERS = f"""
select count(*) from pg_locks join pg_database d on d.oid = database
where locktype = 'advisory' and granted and datname = current_database() and objid = {_LEADER_LOCK & 0xFFFFFFFF}
"""
"""Who delivers; whoever watches holds a lock of its own."""


def payload(patient: int, number: int) -> bytes:
    return register(f"T{patient}", f"T.{patient}.{number}", phone=f"139{number:08d}")


async def test_two_engines_share_the_work_and_one_of_them_delivers(
    serve: Serve, database_url: str, pool: asyncpg.Pool
) -> None:
    files, ports = forwarding({"his": ("county",)})
    first = serve(files, only="engine", database_url=database_url)
    second = serve(files, only="engine", database_url=database_url)
    await first.start()

    async def led() -> bool:
        leaders: int = await pool.fetchval(_LEADERS)
        return leaders == 1

    await until("the first engine leads", led)
    await second.start()
    async with Endpoint(ports["county"]) as endpoint:
        await send_by_turns([first, second], range(MESSAGES))
        await endpoint.has(PATIENTS * MESSAGES)
        assert sorted(endpoint.control_ids) == sorted(
            f"T.{patient}.{number}" for patient in range(PATIENTS) for number in range(MESSAGES)
        )
        assert endpoint.connections == 1, "two engines delivered"
        await every_message_was_processed_once(pool)
        await every_receipt_is_kept(pool)  # or the last one is rightly sent again

        first.supervisor.kill()
        await send_by_turns([second], range(MESSAGES, MESSAGES + 2))
        await until(
            "the second engine delivers",
            lambda: len(set(endpoint.control_ids)) == PATIENTS * (MESSAGES + 2),
            within_secs=120,
        )
        assert set(endpoint.control_ids[PATIENTS * MESSAGES :]) == {
            f"T.{patient}.{number}" for patient in range(PATIENTS) for number in (MESSAGES, MESSAGES + 1)
        }
        for patient in range(PATIENTS):
            mine = [control_id(each) for each in endpoint.received if f"|T.{patient}.".encode() in each]
            assert list(dict.fromkeys(mine)) == [f"T.{patient}.{number}" for number in range(MESSAGES + 2)]


async def send_by_turns(hubs: list[Served], numbers: range) -> None:
    """Each patient's messages one after the other, now to one engine, now to the other."""
    clients = [Client(hub.port("his")) for hub in hubs]
    for number in numbers:
        for patient in range(PATIENTS):
            client = clients[(number + patient) % len(clients)]
            assert msa(await client.insist(payload(patient, number))) == ("AA", f"T.{patient}.{number}")
    for client in clients:
        client.leave()


async def every_message_was_processed_once(pool: asyncpg.Pool) -> None:
    async def done() -> bool:
        waiting: int = await pool.fetchval("select count(*) from inbox")
        return waiting == 0

    await until("everything is processed", done, within_secs=120)
    assert await pool.fetchval("select count(*) from outcome") == PATIENTS * MESSAGES
    versions = await pool.fetch(
        """
        select id, version, body->'telecom'->0->>'value' as phone
        from (select type, id, version, body from resource union all
              select type, id, version, body from resource_history) every
        where type = 'Patient' and body->'link' is null order by id, version
        """
    )
    assert [(row["version"], row["phone"]) for row in versions] == [
        (number + 1, f"139{number:08d}") for _ in range(PATIENTS) for number in range(MESSAGES)
    ]


async def every_receipt_is_kept(pool: asyncpg.Pool) -> None:
    async def kept() -> bool:
        number: int = await pool.fetchval("select count(*) from delivery where state = 'delivered'")
        return number == PATIENTS * MESSAGES

    await until("every receipt is kept", kept)
