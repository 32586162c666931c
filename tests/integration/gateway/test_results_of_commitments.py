"""What an archive answers when it is asked whether it keeps what it was sent, also where not all can be read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, build_role

from engine import clock
from engine.store import commitments
from engine.store.commitments import Named
from pacs_gateway.gateway import Gateway
from tests.integration.gateway.performing import named

COMMITMENT = "1.2.840.10008.1.20.1"
WELL_KNOWN = "1.2.840.10008.1.20.1.1"
CR = "1.2.840.10008.5.1.4.1.1.1"
TRANSACTION = "1.2.3.77"
NO_RESOURCES = 0x0213
NO_SUCH_EVENT = 0x0113
NO_SUCH_INSTANCE = 0x0112
INVALID = 0x0115
ALL_KEPT, SOME_FAILED = 1, 2


@pytest.fixture
async def asked(pool: asyncpg.Pool) -> None:
    """We have asked an archive for three objects."""
    async with pool.acquire() as connection, connection.transaction():
        await commitments.take(
            connection,
            transaction_uid=TRANSACTION,
            channel="",
            facility="baishi",
            other="archive",
            instances=[Named(f"1.2.3.{number}", CR) for number in (1, 2, 3)],
            at=clock.now(),
            by_us=True,
        )


def _result(kept: Sequence[Dataset], failed: Sequence[Dataset] = (), transaction: str = TRANSACTION) -> Dataset:
    result = Dataset()
    result.TransactionUID = transaction
    result.ReferencedSOPSequence = Items(kept)
    for item in failed:
        item.FailureReason = NO_RESOURCES
    result.FailedSOPSequence = Items(failed)
    return result


def _nameless() -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = CR
    return item


def _tell(port: int, *results: Dataset, kind: int = SOME_FAILED) -> list[int]:
    archive = AE("DR_BAISHI")
    archive.add_requested_context(COMMITMENT, ExplicitVRLittleEndian)
    role = build_role(COMMITMENT, scu_role=False, scp_role=True)
    association = archive.associate("127.0.0.1", port, ae_title="HUTONG", ext_neg=[role])
    assert association.is_established
    (context,) = association.accepted_contexts
    assert (context.as_scu, context.as_scp) == (False, True)
    answers = [
        int(association.send_n_event_report(result, kind, COMMITMENT, WELL_KNOWN)[0].Status) for result in results
    ]
    association.release()
    return answers


async def _outcomes(pool: asyncpg.Pool) -> list[int | None]:
    rows = await pool.fetch("select outcome from commitment_instance order by place")
    return [row["outcome"] for row in rows]


async def _told(pool: asyncpg.Pool) -> list[tuple[str, str]]:
    rows = await pool.fetch("select code, text from finding order by code")
    return [(row["code"], row["text"]) for row in rows]


@pytest.mark.usefixtures("asked")
async def test_a_result_is_kept_and_a_refusal_is_told_once(gateway: Gateway, pool: asyncpg.Pool) -> None:
    result = _result([named("1.2.3.1", CR)], [named("1.2.3.2", CR), named("1.2.3.3", CR)])
    assert await asyncio.to_thread(_tell, gateway.port, result, kind=3) == [NO_SUCH_EVENT]
    unasked = _result([named("1.2.3.1", CR)], transaction="1.2.3.78")
    assert await asyncio.to_thread(_tell, gateway.port, unasked, kind=ALL_KEPT) == [NO_SUCH_INSTANCE]
    assert await _outcomes(pool) == [None] * 3
    assert await asyncio.to_thread(_tell, gateway.port, result, result) == [0, 0]
    assert await _outcomes(pool) == [0, NO_RESOURCES, NO_RESOURCES]
    assert await pool.fetchval("select count(*) from finding where code = 'commitment-refused'") == 1


@pytest.mark.usefixtures("asked")
async def test_what_is_no_uid_takes_nothing_from_what_is(gateway: Gateway, pool: asyncpg.Pool) -> None:
    result = _result(
        [named("1.2.3.1", CR), named("not a UID", CR), _nameless()], [named("1.2.3.2", CR), named("a/b", CR)]
    )
    assert await asyncio.to_thread(_tell, gateway.port, result, result) == [0, 0]
    assert await _outcomes(pool) == [0, NO_RESOURCES, None]
    told = dict(await _told(pool))
    assert set(told) == {"commitment-refused", "commitment-result-unreadable"}
    assert "names 3 objects" in told["commitment-result-unreadable"]
    assert "1 of 3" in told["commitment-result-unreadable"]
    assert await pool.fetchval("select count(*) from finding where code = 'commitment-result-unreadable'") == 1


@pytest.mark.usefixtures("asked")
async def test_what_it_says_of_the_rest_later_is_kept_and_settles_the_request(
    gateway: Gateway, pool: asyncpg.Pool
) -> None:
    garbled = _result([named("1.2.3.1", CR), named("1.2.3.2", CR), named("?", CR)])
    whole = _result([named(f"1.2.3.{number}", CR) for number in (1, 2, 3)])
    assert await asyncio.to_thread(_tell, gateway.port, garbled, whole) == [0, 0]
    assert await _outcomes(pool) == [0, 0, 0]
    assert await pool.fetchval("select count(*) from commitment where settled_at is null") == 0


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(("second", "told"), [(("1.2.3.2", "1.2.3.3"), []), (("1.2.3.2",), ["1 of 3"])])
async def test_what_an_earlier_result_answered_is_known(
    gateway: Gateway, pool: asyncpg.Pool, second: Sequence[str], told: Sequence[str]
) -> None:
    results = [_result([named("1.2.3.1", CR)]), _result([*(named(one, CR) for one in second), named("?", CR)])]
    assert await asyncio.to_thread(_tell, gateway.port, *results) == [0, 0]
    texts = [text for code, text in await _told(pool) if code == "commitment-result-unreadable"]
    assert [unknown in text for unknown, text in zip(told, texts, strict=True)] == [True] * len(told)


@pytest.mark.usefixtures("asked")
async def test_a_result_that_names_nothing_or_no_request_is_refused(gateway: Gateway, pool: asyncpg.Pool) -> None:
    results = [
        _result([named("a/b", CR), _nameless()]),
        _result([named("1.2.3.1", CR)], transaction="a/b"),
        _result([named("1.2.3.1", CR)], transaction=""),
    ]
    assert await asyncio.to_thread(_tell, gateway.port, *results) == [INVALID] * 3
    assert await _outcomes(pool) == [None] * 3
    assert await _told(pool) == []


@pytest.mark.usefixtures("asked")
async def test_a_reason_that_is_none_is_a_failure_without_one(gateway: Gateway, pool: asyncpg.Pool) -> None:
    failed = [named(f"1.2.3.{number}", CR) for number in (1, 2, 3)]
    result = _result([], failed)
    failed[0]["FailureReason"].value = [1, 2]
    del failed[1].FailureReason
    failed[2].add_new("FailureReason", "UL", 0xFFFF_FFFF)
    assert await asyncio.to_thread(_tell, gateway.port, result) == [0]
    assert await _outcomes(pool) == [0x0110] * 3
