"""Many pipeline processes over one journal, killed at will, leave what one leaves that works alone and in order."""

from __future__ import annotations

import random
from uuid import UUID

import asyncpg
import pytest

from engine import pipeline as pipeline_module
from tests.integration.engine.conftest import EXAMPLE, Hub
from tests.integration.engine.messages import card, in_utf8, order, register, result
from tests.integration.engine.processes import finished, record_of, workers

PROCESSES = 3
MESSAGES = 200
KILLS = 3
SEED = 20261122

_CLINICS = {"baishi": ("baishi-his", "BSXWSY"), "qingxi": ("qingxi-his", "QXZWSY")}


def messages(chance: random.Random, count: int) -> list[tuple[str, bytes]]:
    """(channel, message): nine numbers of patients at each of two facilities, three to a person."""
    made = []
    for n in range(count):
        facility = chance.choice(sorted(_CLINICS))
        one, other = chance.sample(range(9), 2)
        made.append((_CLINICS[facility][0], _message(chance, facility, one, other, f"N{n}")))
    return made


def _message(chance: random.Random, facility: str, one: int, other: int, control_id: str) -> bytes:
    sender = _CLINICS[facility][1]
    number = f"P{one}"
    kind = chance.choices(
        ["registered", "result", "order", "merged", "linked", "unlinked", "renumbered"], [6, 5, 3, 2, 2, 2, 1]
    )[0]
    if kind == "registered":
        payload = register(
            number,
            name=f"石^第{one % 3}",
            card=card(one % 3) if chance.random() < 0.5 else "",
            control_id=control_id,
            event="A08",
            sender=sender,
        ).replace("白石乡".encode("gb18030"), f"白石乡{control_id}号".encode("gb18030"))
    elif kind == "result":
        payload = result(f"L{chance.randrange(3)}{number}", patient=number, value=f"{control_id[1:]}.0")
    elif kind == "order":
        payload = order(f"O{number}", patient=number, name=f"石^第{one % 3}", accession=f"A{number}")
    else:
        event = {"merged": "A40", "linked": "A24", "unlinked": "A37", "renumbered": "A47"}[kind]
        # The lower number is retired, as a system does that issues a new one for each card it prints.
        low, high = sorted((one, other))
        named = [_pid(high), f"MRG|P{low}^^^BSHIS^MR"] if event in ("A40", "A47") else [_pid(low), _pid(high)]
        header = f"MSH|^~\\&|HIS|{sender}|HUTONG|HUB|20261121093000||ADT^{event}|{control_id}|P|2.4"
        payload = "\r".join([header, f"EVN|{event}|20261121093000", *named, ""]).encode("gb18030")
    for stood, stands in (("|U1|", f"|{control_id}|"), ("|M1|", f"|{control_id}|"), ("|BSXWSY|", f"|{sender}|")):
        payload = payload.replace(stood.encode(), stands.encode())
    return payload if facility == "baishi" else in_utf8(payload)


def _pid(number: int) -> str:
    return f"PID|1||P{number}^^^BSHIS^MR||石^第{number % 3}||19630512|F"


@pytest.mark.parametrize("seed", [SEED])
async def test_processes_killed_at_work_leave_what_one_leaves(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    sent = messages(chance, MESSAGES)
    with workers(hub.url, EXAMPLE, PROCESSES) as working:
        for channel, payload in sent:
            await hub.send(channel, payload)
        for kill in range(KILLS):
            await finished(hub.pool, (kill + 1) * MESSAGES // (KILLS + 2))
            working.kill(kill % PROCESSES)
        await finished(hub.pool, MESSAGES)
    await every_message_ran_once_and_in_the_order_of_its_lanes(hub.pool)
    deadlocks = await hub.pool.fetchval("select deadlocks from pg_stat_database where datname = current_database()")
    assert deadlocks == 0
    together = await record_of(hub.pool)

    await run_alone_in_order(hub, monkeypatch)
    alone = await record_of(hub.pool)
    for part in alone:
        assert together[part] == alone[part], part


async def every_message_ran_once_and_in_the_order_of_its_lanes(pool: asyncpg.Pool) -> None:
    """The number of its line in the audit is drawn inside a transaction that begins after those before it ended."""
    ran: dict[UUID, list[int]] = {}
    for row in await pool.fetch("select id, subject from audit where action = 'record'"):
        ran.setdefault(UUID(row["subject"].removeprefix("Envelope/")), []).append(row["id"])
    assert len(ran) == MESSAGES
    assert all(len(times) == 1 for times in ran.values())
    lanes: dict[str, list[UUID]] = {}
    for row in await pool.fetch("select key, envelope from past_lane order by key, envelope"):
        lanes.setdefault(row["key"], []).append(row["envelope"])
    assert len(lanes) == 24, "nine numbers of patients and three cards, at two facilities"
    for envelopes in lanes.values():
        numbers = [ran[envelope][0] for envelope in envelopes]
        assert numbers == sorted(numbers)


async def run_alone_in_order(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything once more from nothing: one worker, one message at a time, in the order they came."""
    monkeypatch.setattr(pipeline_module, "BATCH", 1)
    await hub.pool.execute(
        """
        truncate resource, resource_history, patient_link, person_key, patient_join, outcome, finding, worklist,
                 past_lane, audit, delivery
        """
    )
    await hub.pool.execute("insert into inbox (envelope, place, lanes) select id, id, '{}' from journal")
    assert await hub.run() == MESSAGES
    assert await hub.held() == 0
