"""What a process does stays its own while it claims it anew, and is claimed no more once another one has it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import asyncpg
import pytest

from pacs_gateway import claiming
from pacs_gateway.claiming import CLAIM_SECS, claimed

AT = datetime(2026, 11, 20, 4, tzinfo=UTC)
PATIENCE_SECS = 60.0


class Database:
    """Answers each claim that is made anew as the test says; afterwards nothing more happens."""

    def __init__(self, *answers: bool | Exception) -> None:
        self._answers = list(answers)
        self.claims: list[tuple[datetime, datetime]] = []
        self.all_answered = asyncio.Event()

    async def longer(self, old: datetime, until: datetime) -> bool:
        self.claims.append((old, until))
        answer = self._answers.pop(0)
        if not self._answers:
            self.all_answered.set()
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claiming, "AGAIN_SECS", 0.001)


def later(secs: float) -> datetime:
    return AT + timedelta(seconds=secs)


async def test_each_claim_names_the_one_before_and_the_last_is_that_of_another() -> None:
    database = Database(True, True, False)
    moments = iter([later(5), later(10), later(15)])
    async with claimed(later(CLAIM_SECS), lambda: next(moments), database.longer) as claim:
        (claiming_it,) = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait([claiming_it], timeout=PATIENCE_SECS)
        assert claiming_it.done()
    ends = [later(secs + CLAIM_SECS) for secs in (0, 5, 10, 15)]
    assert database.claims == list(pairwise(ends))
    assert claim.until == ends[2]


async def test_a_claim_that_fails_is_made_again() -> None:
    database = Database(asyncpg.InterfaceError("away"), OSError(), True, False)
    async with claimed(AT, lambda: later(5), database.longer) as claim, asyncio.timeout(PATIENCE_SECS):
        await database.all_answered.wait()
    assert [old for old, _ in database.claims] == [AT, AT, AT, later(5 + CLAIM_SECS)]
    assert claim.until == later(5 + CLAIM_SECS)
