"""Who calls and is not known becomes a finding, once, that says what to add; and is settled once it is let in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest
from pynetdicom import AE

from engine import clock
from engine.config import AeEntry
from engine.store import finding_list, unknown_callers
from engine.store.finding_list import Choice
from engine.store.findings import Raised
from pacs_gateway import strangers
from pacs_gateway.scp.callers import Unknown
from pacs_gateway.strangers import Strangers
from tests.integration.gateway.conftest import Start
from tests.integration.gateway.sending import until

HOST = "10.0.0.5"
VERIFICATION = "1.2.840.10008.1.1"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strangers, "LOOK_SECS", 0.02)


@pytest.fixture
async def heard(pool: asyncpg.Pool) -> AsyncIterator[Strangers]:
    one = Strangers("imaging", pool, clock.now)
    one.start()
    yield one
    await one.close()


async def _open(pool: asyncpg.Pool) -> list[tuple[str, str]]:
    rows = await pool.fetch("select code, about from finding where settled_at is null order by code, about")
    return [(row["code"], row["about"]) for row in rows]


async def _are_open(pool: asyncpg.Pool, *told: tuple[str, str]) -> None:
    async def as_told() -> bool:
        return await _open(pool) == sorted(told)

    await until(as_told)


def _is_let_in(port: int, title: str) -> bool:
    entity = AE(title)
    entity.add_requested_context(VERIFICATION)
    association = entity.associate("127.0.0.1", port, ae_title="HUTONG")
    let_in: bool = association.is_established
    if let_in:
        association.release()
    return let_in


async def test_a_stranger_is_told_with_what_to_add_and_settled_once_it_is_let_in(
    start: Start, pool: asyncpg.Pool
) -> None:
    gateway = await start()
    for title in ("CT_NEW", "CT_NEW", "DR_ELSEWHERE", "DR_BAISHI"):
        assert await asyncio.to_thread(_is_let_in, gateway.port, title) is (title == "DR_BAISHI")
    elsewhere = ("caller-address-unknown", "Callers of imaging: DR_ELSEWHERE@127.0.0.1")
    await _are_open(pool, ("caller-title-unknown", "Callers of imaging: CT_NEW@127.0.0.1"), elsewhere)
    text = await pool.fetchval("select text from finding where code = 'caller-title-unknown' and channel = 'imaging'")
    assert "CT_NEW calls from 127.0.0.1" in text
    assert "ae_entries (channels/imaging.yaml)" in text
    known = await start(ae_entries=(AeEntry(ae_title="CT_NEW", facility="baishi"),))
    assert await asyncio.to_thread(_is_let_in, known.port, "CT_NEW")
    await _are_open(pool, elsewhere)


async def test_a_stranger_is_told_once_and_anew_after_it_was_let_in(heard: Strangers, pool: asyncpg.Pool) -> None:
    told = ("caller-title-unknown", f"Callers of imaging: CT@{HOST}")
    for _ in range(2):
        heard.refused("CT", HOST, Unknown.TITLE)
        await _are_open(pool, told)
        heard.refused("CT", HOST, Unknown.TITLE)
        heard.refused("MR", HOST, Unknown.CERTIFICATE)
        await _are_open(pool, told, ("caller-certificate-unknown", f"Callers of imaging: MR@{HOST}"))
        heard.admitted("CT", HOST)
        heard.admitted("MR", HOST)
        await _are_open(pool)
    assert await pool.fetchval("select count(*) from finding") == 4


async def test_who_is_let_in_at_another_address_or_under_another_title_settles_nothing(
    heard: Strangers, pool: asyncpg.Pool
) -> None:
    heard.refused("CT", HOST, Unknown.TITLE)
    heard.admitted("CT", "10.0.0.6")
    heard.admitted("MR", HOST)
    heard.refused("LAST", HOST, Unknown.TITLE)
    await _are_open(
        pool, *(("caller-title-unknown", f"Callers of imaging: {title}@{HOST}") for title in ("CT", "LAST"))
    )


async def test_what_a_person_settled_is_not_told_again(heard: Strangers, pool: asyncpg.Pool) -> None:
    heard.refused("CT", HOST, Unknown.TITLE)
    await _are_open(pool, ("caller-title-unknown", f"Callers of imaging: CT@{HOST}"))
    async with pool.acquire() as connection, connection.transaction():
        await finding_list.settle_many(
            connection, Choice(code="caller-title-unknown"), "wang", "a scanner", clock.now()
        )
    heard.refused("CT", HOST, Unknown.TITLE)
    heard.refused("MR", HOST, Unknown.TITLE)
    await _are_open(pool, ("caller-title-unknown", f"Callers of imaging: MR@{HOST}"))


async def test_whoever_tries_many_titles_fills_no_list(
    heard: Strangers, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strangers, "MOST_OPEN", 3)
    for number in range(5_000):
        heard.refused(f"T{number}", HOST, Unknown.TITLE)
    first = [("caller-title-unknown", f"Callers of imaging: T{number}@{HOST}") for number in range(3)]
    others = ("callers-unknown", "Callers of imaging")
    await _are_open(pool, *first, others)
    for number in range(20):
        heard.refused(f"U{number}", HOST, Unknown.CERTIFICATE)
    heard.admitted("T0", HOST)
    one_more = ("caller-certificate-unknown", f"Callers of imaging: U0@{HOST}")
    await _are_open(pool, *first[1:], one_more, others)


async def test_who_is_let_in_at_last_while_somebody_tries_many_titles_is_not_told_of(
    heard: Strangers, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strangers, "MOST_OPEN", 3)
    for number in range(1_500):
        heard.refused(f"T{number}", HOST, Unknown.TITLE)
    heard.admitted("T0", HOST)
    three = [("caller-title-unknown", f"Callers of imaging: T{number}@{HOST}") for number in (1, 2, 3)]
    await _are_open(pool, *three, ("callers-unknown", "Callers of imaging"))


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("<img src=x>\x1b[2J\0\n", "<img src=x>?[2J?"),
        ("张三\u202e", "???"),
        ("A" * 5_000, "A" * 16),
        ("", "(no title)"),
    ],
)
async def test_a_title_is_shown_as_one(heard: Strangers, pool: asyncpg.Pool, title: str, shown: str) -> None:
    heard.refused(title, HOST, Unknown.TITLE)
    await _are_open(pool, ("caller-title-unknown", f"Callers of imaging: {shown}@{HOST}"))


async def test_who_called_while_the_database_was_away_is_told_once_it_is_back(
    heard: Strangers, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell, failed = unknown_callers.tell, asyncio.Event()

    async def away(*_: object) -> None:
        failed.set()
        raise asyncpg.PostgresConnectionError

    monkeypatch.setattr(unknown_callers, "tell", away)
    heard.refused("CT", HOST, Unknown.TITLE)
    heard.refused("MR", HOST, Unknown.TITLE)
    await asyncio.wait_for(failed.wait(), 60)
    heard.admitted("MR", HOST)
    monkeypatch.setattr(unknown_callers, "tell", tell)
    await _are_open(pool, ("caller-title-unknown", f"Callers of imaging: CT@{HOST}"))


async def test_while_the_database_is_away_no_more_callers_are_remembered_than_between_two_looks(
    heard: Strangers, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []

    async def away(_: object, unknown: Sequence[Raised], *__: object) -> None:
        told.append(len(unknown))
        for number in range(1_500):
            heard.refused(f"L{len(told)}T{number}", HOST, Unknown.TITLE)
        raise asyncpg.PostgresConnectionError

    async def looked_often() -> bool:
        return len(told) >= 3

    monkeypatch.setattr(unknown_callers, "tell", away)
    heard.refused("CT", HOST, Unknown.TITLE)
    await until(looked_often)
    assert told[:3] == [1, 1_000, 1_000]
