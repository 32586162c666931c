"""A workstation pages through every request there is, in one order, however many match and however few."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from engine.api.reading import workitems
from engine.api.reading.workitem import uid_of
from tests.integration.reading.conftest import NOW, Arrive, Examination
from tests.integration.reading.test_requests import ClientOf
from tests.integration.reading.test_workitems import WORKITEMS, to

MORE = '299 hutong "There are additional results"'


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer of three, read two at a time."""
    monkeypatch.setattr(workitems, "_MOST", 3)
    monkeypatch.setattr(workitems, "_TOGETHER", 2)


@pytest.fixture
async def seven(arrive: Arrive, few: None) -> list[str]:
    """Workitems in the order of their search: the oldest first."""
    found = []
    for number in range(7):
        examined_at = NOW - timedelta(minutes=70 - number)
        examination = Examination(placer=f"BS{number}", patient=f"BS000{number}", examined_at=examined_at)
        found.append(uid_of(await arrive(examination)))
    return found


async def search(client: httpx.AsyncClient, **keys: str) -> tuple[list[str], bool]:
    """What is found, and whether there is more."""
    answer = await client.get(WORKITEMS, params=keys)
    assert answer.status_code in (200, 204)
    found = answer.json() if answer.status_code == 200 else []
    return [one["00080018"]["Value"][0] for one in found], answer.headers.get("warning") == MORE


async def test_pages_follow_each_other_to_the_end(client_of: ClientOf, seven: list[str]) -> None:
    wang = await client_of("wang")
    assert await search(wang) == (seven[:3], True)
    assert await search(wang, limit="100") == (seven[:3], True)
    assert await search(wang, offset="3") == (seven[3:6], True)
    assert await search(wang, offset="6") == (seven[6:], False)
    assert await search(wang, offset="7") == ([], False)
    assert await search(wang, offset="4", limit="3") == (seven[4:], False)
    assert await search(wang, offset="4", limit="2") == (seven[4:6], True)


async def test_what_matches_is_found_wherever_it_stands(client_of: ClientOf, seven: list[str]) -> None:
    wang = await client_of("wang")
    assert await search(wang, PatientID="BS0006") == (seven[6:], False)
    assert await search(wang, PatientID="BS000[5]") == ([], False)
    assert await search(wang, PatientID="BS*", offset="5") == (seven[5:], False)


async def test_a_state_is_searched_for_among_its_own(
    client_of: ClientOf, arrive: Arrive, seven: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wang = await client_of("wang")
    claimed = await arrive(Examination(placer="BS9", patient="BS0009", examined_at=NOW))
    assert (await to(wang, claimed, "IN PROGRESS")).status_code == 200
    monkeypatch.setattr(workitems, "_MOST_LOOKED_AT", 2)
    assert await search(wang, ProcedureStepState="IN PROGRESS") == ([uid_of(claimed)], False)
    assert await search(wang, ProcedureStepState="NONSENSE") == ([], True)


async def test_a_search_that_would_read_everything_ends_and_says_so(
    client_of: ClientOf, seven: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workitems, "_MOST_LOOKED_AT", 4)
    assert await search(await client_of("wang"), PatientID="nobody") == ([], True)
