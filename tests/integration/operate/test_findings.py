"""Findings are listed by filter, with who settled them, when and how; many are settled at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx

from engine.clock import now
from engine.finding import Finding, Severity
from engine.store.findings import Raised, raise_many
from tests.integration.engine.conftest import Hub
from tests.integration.operate.conftest import As, ask
from tests.integration.operate.messages import bad_result

SAID: dict[str, Any] = {"settlement": "按白石乡的设置更正"}


async def find(hub: Hub, code: str, count: int, *, channel: str = "baishi-his", rule: str | None = None) -> None:
    finding = Finding(code, "Something doubtful.", Severity.WARNING, "PID-7", rule)
    async with hub.pool.acquire() as connection:
        raised = [Raised(finding, about=f"ImagingStudy/{code}-{n}", channel=channel) for n in range(count)]
        await raise_many(connection, raised, now())


async def test_findings_are_listed_by_every_filter(hub: Hub, it: httpx.AsyncClient) -> None:
    await find(hub, "charset-doubtful", 2)
    await find(hub, "charset-doubtful", 1, channel="qingxi-his")
    await find(hub, "id-card-check-digit", 3, rule="card")
    later = quote((now() + timedelta(hours=1)).isoformat())
    earlier = quote((now() - timedelta(hours=1)).isoformat())
    for filters, count in {
        "": 6,
        "code=charset-doubtful": 3,
        "code=charset-doubtful&channel=qingxi-his": 1,
        "rule=card": 3,
        "rule=%25": 0,
        "rule=car_": 0,
        "severity=warning": 6,
        "severity=error": 0,
        "about=ImagingStudy/charset-doubtful-0": 2,
        f"since={later}": 0,
        f"before={earlier}": 0,
        f"since={earlier}&before={later}": 6,
        "state=settled": 0,
    }.items():
        answer = await it.get(f"/api/findings?{filters}")
        assert len(answer.json()["findings"]) == count, filters
    for hostile in (
        "severity=all",
        "since=2026-01-01",
        "since=x",
        "envelope=x",
        "channel=%25",
        "code=%25",
        "about=%00",
    ):
        assert (await it.get(f"/api/findings?{hostile}")).status_code == 422, hostile


async def test_many_are_settled_at_once_and_each_says_who_when_and_how(hub: Hub, it: httpx.AsyncClient) -> None:
    await find(hub, "charset-doubtful", 3)
    await find(hub, "charset-doubtful", 1, channel="qingxi-his")
    assert (await ask(it, "/api/findings/settle", expected=400, **SAID))["code"] == "no-filter"
    await ask(it, "/api/findings/settle", expected=422, settlement=" ", code="charset-doubtful")
    chosen: dict[str, Any] = {"code": "charset-doubtful", "channel": "baishi-his"}
    counted = await ask(it, "/api/findings/settle", **SAID, **chosen, dry_run=True)
    assert counted == {"count": 3, "holding": 0, "dry_run": True}
    assert len(await hub.open_findings()) == 4

    assert (await ask(it, "/api/findings/settle", **SAID, **chosen))["count"] == 3
    assert (await ask(it, "/api/findings/settle", **SAID, **chosen))["count"] == 0
    settled = (await it.get("/api/findings?state=settled")).json()["findings"]
    assert {(f["settled_by"], f["settlement"]) for f in settled} == {("admin", SAID["settlement"])}
    assert all(f["settled_at"] for f in settled)
    acts = await hub.pool.fetch("select subject from audit where action = 'settle-finding' order by subject")
    assert [act["subject"] for act in acts] == [f"ImagingStudy/charset-doubtful-{n}" for n in range(3)]


async def test_what_holds_an_envelope_is_settled_with_the_envelope_only(hub: Hub, it: httpx.AsyncClient) -> None:
    await hub.send("baishi-his", bad_result())
    await hub.run()
    (finding,) = (await it.get("/api/findings?severity=error")).json()["findings"]
    told = await ask(it, f"/api/findings/{finding['id']}/settle", expected=409, **SAID)
    assert told["code"] == "holds-an-envelope"
    told = await ask(it, "/api/findings/settle", **SAID, code="not-identified")
    assert (told["count"], told["holding"]) == (0, 1)
    await ask(it, f"/api/envelopes/{finding['envelope']}/skip", reason="x")
    assert (await it.get("/api/findings?severity=error")).json()["findings"] == []


async def test_whoever_is_no_integrator_settles_one_but_not_many(hub: Hub, as_user: As) -> None:
    await find(hub, "charset-doubtful", 2)
    reader = await as_user("wang")
    (finding, _) = (await reader.get("/api/findings")).json()["findings"]
    await ask(reader, f"/api/findings/{finding['id']}/settle", **SAID)
    await ask(reader, "/api/findings/settle", expected=403, **SAID, code="charset-doubtful")
    clinician = await as_user("liu")
    assert (await clinician.get("/api/findings")).status_code == 403
    assert len(await hub.open_findings()) == 1


async def test_what_should_be_settled_is_counted_apart_from_what_is_noted(hub: Hub, it: httpx.AsyncClient) -> None:
    await find(hub, "charset-doubtful", 2)
    noted = Finding("late-version", "Something older.", Severity.INFORMATION)
    async with hub.pool.acquire() as connection:
        await raise_many(connection, [Raised(noted, about=f"DiagnosticReport/{n}") for n in range(3)], now())
    told = (await it.get("/api/findings?severity=warning")).json()
    assert told["open_severities"] == {"warning": {"charset-doubtful": 2}, "information": {"late-version": 3}}
    assert told["open"] == {"charset-doubtful": 2, "late-version": 3}
