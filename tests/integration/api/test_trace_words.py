"""Words lead to envelopes however little became of them: a finding's text, a number without a record, a shared id."""

from __future__ import annotations

from datetime import timedelta
from itertools import takewhile
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from engine.identifiers import lane
from tests.integration.api.conftest import NOW, Store
from tests.integration.api.test_console import IDS, Journal, traced


@pytest.fixture
def journal(pool: asyncpg.Pool) -> Journal:
    return Journal(pool)


def ids(trace: dict[str, Any]) -> list[str]:
    return [envelope["id"] for envelope in trace["envelopes"]]


async def say(pool: asyncpg.Pool, text: str, envelope: UUID | None, *, days_ago: int = 0, code: str = "said") -> None:
    await pool.execute(
        "insert into finding (id, code, severity, text, location, envelope, found_at) "
        "values (gen_random_uuid(), $1, 'warning', $2, 'PID-3[2].1', $3, $4)",
        code,
        text,
        envelope,
        NOW - timedelta(days=days_ago),
    )


@pytest.mark.parametrize(
    "words",
    [
        "check digit",
        "DIGIT of the id card",
        "digit check",
        "id-card-check-digit",
        "PID-3[2].1",
        "部门",
        "门检验",
        "检验 wrong",
    ],
)
async def test_words_of_a_finding_lead_to_its_envelope(
    admin: httpx.AsyncClient, pool: asyncpg.Pool, journal: Journal, words: str
) -> None:
    envelope = await journal.envelope(b"MSH|^~\\&|\r", control_id="F1", state="processed")
    text = "The check digit of the ID card is wrong. 部门检验"
    await say(pool, text, envelope, days_ago=400, code="id-card-check-digit")
    found = await traced(admin, words)
    assert ids(found) == [str(envelope)]
    assert "finding-says" in found["envelopes"][0]["because"]


@pytest.mark.parametrize("words", ["digits", "check the weather", "验检", "...", "%", "check%digit", "\\", "PID-3[9]"])
async def test_other_words_lead_to_nothing(
    admin: httpx.AsyncClient, pool: asyncpg.Pool, journal: Journal, words: str
) -> None:
    envelope = await journal.envelope(b"MSH|^~\\&|\r", control_id="F1", state="processed")
    await say(pool, "The check digit of the ID card is wrong. 部门检验", envelope)
    assert (await traced(admin, words))["findings"] == []
    assert ids(await traced(admin, words)) == []


async def test_a_finding_about_no_envelope_is_told_by_itself(admin: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    await say(pool, "his refused delivery 0190-ab of a report", None)
    assert [finding["code"] for finding in (await traced(admin, "0190-AB"))["findings"]] == ["said"]


async def test_of_a_template_said_a_thousand_times_the_newest_are_told(
    admin: httpx.AsyncClient, pool: asyncpg.Pool
) -> None:
    await pool.execute(
        """
        insert into finding (id, code, severity, text, found_at)
        select gen_random_uuid(), 'reused', 'information', 'The control id came before.',
               $1::timestamptz - n * interval '1 hour'
        from generate_series(1, 1000) n
        """,
        NOW,
    )
    found = await traced(admin, "control id")
    times = [finding["found_at"] for finding in found["findings"]]
    assert len(times) == 100
    assert times == sorted(times, reverse=True)
    assert times[0].startswith("2026-03-02T07:30")
    assert found["more"]


async def test_a_patients_number_leads_to_messages_that_changed_nothing(
    admin: httpx.AsyncClient, pool: asyncpg.Pool, journal: Journal
) -> None:
    envelope = await journal.envelope(b"MSH|^~\\&|\r", control_id="N1", state="processed")
    await pool.execute("insert into past_lane values ($1, $2)", lane("baishi", "MRN-8"), envelope)
    assert ids(await traced(admin, "MRN-8")) == [str(envelope)]
    assert ids(await traced(admin, "urn:hutong:facility:baishi:patient|MRN-8")) == [str(envelope)]
    assert ids(await traced(admin, "urn:oid:2.16.156.10011.1.3|MRN-8")) == [str(envelope)]
    assert ids(await traced(admin, "urn:hutong:facility:qingxi:patient|MRN-8")) == []


async def test_a_control_id_that_everybody_uses_leads_to_the_newest(
    admin: httpx.AsyncClient, pool: asyncpg.Pool
) -> None:
    numbers = [IDS.next(NOW - timedelta(hours=1)) for _ in range(150)]
    await pool.executemany(
        """
        insert into journal values ($1, 'hl7v2', 'c', 'baishi', 'p', now(), 'ADT^A04', 'MSG00001', '\\x00', '\\x0b', '')
        """,
        [(number,) for number in numbers],
    )
    found = await traced(admin, "MSG00001")
    assert ids(found) == [str(number) for number in numbers[-100:]]
    assert found["more"]


async def test_the_beginning_of_an_id_leads_to_its_envelope_where_no_other_begins_so(
    admin: httpx.AsyncClient, journal: Journal
) -> None:
    one = str(await journal.envelope(b"MSH|^~\\&|1\r", control_id="B1", state="processed"))
    journal.at -= timedelta(seconds=59)
    other = str(await journal.envelope(b"MSH|^~\\&|2\r", control_id="B2", state="processed"))
    shared = len(list(takewhile(lambda both: both[0] == both[1], zip(one, other, strict=True))))
    for beginning in (one[: shared + 1], one[: shared + 1].upper(), one.replace("-", "")[:20], f"{one[:18]}…"):
        found = await traced(admin, beginning)
        assert ids(found) == [one], beginning
        assert found["envelopes"][0]["because"] == ["begins-so"]
    found = await traced(admin, one[:shared])
    assert (ids(found), found["beginning_so"]) == ([], [one, other])
    for too_short in (one[:7], "zzzzzzzz", f"{one[:8]}x", "ffffffff"):
        found = await traced(admin, too_short)
        assert (ids(found), found["beginning_so"]) == ([], []), too_short


async def test_what_has_such_a_number_of_its_own_is_not_taken_for_the_beginning_of_an_id(
    admin: httpx.AsyncClient, journal: Journal
) -> None:
    first = str(await journal.envelope(b"MSH|^~\\&|1\r", control_id="B1", state="processed"))
    numbered = await journal.envelope(b"MSH|^~\\&|2\r", control_id=first[:13], state="processed")
    found = await traced(admin, first[:13])
    assert (ids(found), found["beginning_so"]) == ([str(numbered)], [])


async def test_a_version_leads_to_who_wrote_it_and_to_nobody_else(
    admin: httpx.AsyncClient, journal: Journal, store: Store, pool: asyncpg.Pool
) -> None:
    envelope = await journal.envelope(b"MSH|^~\\&|1\r", control_id="V1", state="processed")
    await store({"resourceType": "Patient", "id": "p9"}, envelope=envelope)
    await pool.execute("update resource set actor = 'wang' where id = 'p9'")
    await store({"resourceType": "Patient", "id": "p9", "gender": "male"})
    old, new = await traced(admin, "Patient/p9@1"), await traced(admin, "Patient/p9@2")
    assert (ids(old), old["version"]["current"]) == ([str(envelope)], False)
    assert (ids(new), new["version"]["actor"], new["version"]["current"]) == ([], "wang", True)
    await pool.execute("delete from journal where id = $1", envelope)
    pruned = await traced(admin, "Patient/p9@1")
    assert (ids(pruned), pruned["version"]["envelope"]) == ([], str(envelope)), "its bytes are in an export"
