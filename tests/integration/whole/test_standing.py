"""Who runs the hub sees what came of each series of a study, what is missing, and has its sender asked again."""

from __future__ import annotations

from datetime import datetime

import asyncpg
import httpx

from engine import config
from engine.api.app import create_app
from engine.api.services import Services
from engine.mapping import MappingSet
from engine.store import access, transfers
from engine.store.announcements import Announced, Source
from engine.store.transfers import Direction, Transfer
from engine.store.wholeness import State
from tests.integration.whole.conftest import SERIES, START, STUDY, Scene, named, uid
from tests.integration.whole.test_telling import EXAMPLE, console, short

__all__ = ["console", "short"]
OTHER = f"{STUDY}.2"
AT = f"/api/studies/{STUDY}/at/baishi"


async def test_every_series_says_what_came_and_names_what_is_missing_of_it(
    console: httpx.AsyncClient, short: Scene
) -> None:
    await short.announce([Announced(f"{OTHER}.1", OTHER, STUDY), Announced(f"{OTHER}.2", "", STUDY)], about="1.2.10")
    await short.announce([Announced(series_uid=SERIES, study_uid=STUDY, count=5)], Source.QUERY, "CT/1")
    standing = (await console.get(AT)).json()
    told = [(one["uid"], one["instances"], one["announced"], one["missing"]) for one in standing["series"]]
    assert told == [(SERIES, 1, 5, [uid(2), uid(3)]), (OTHER, 0, 1, [f"{OTHER}.1"]), ("", 0, 0, [f"{OTHER}.2"])]
    assert [(one["source"], one["named"], one["counted"]) for one in standing["announced"]] == [
        ("mpps", 3, None),
        ("mpps", 2, None),
        ("query", 0, 5),
    ]
    assert (standing["study"]["patient_id"], standing["facility_name"]) == ("P1", "白石乡卫生院")
    assert (standing["asks"], standing["transfers"], standing["waived"]) == (False, [], [])


async def test_nothing_is_told_twice_to_who_looks_again_and_looking_is_audited_once(
    console: httpx.AsyncClient, short: Scene, pool: asyncpg.Pool
) -> None:
    for path in (AT, "/api/studies?patients=true"):
        first = await console.get(path)
        again = await console.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
    acts = await pool.fetch("select action, subject from audit where action in ('read', 'search') order by id")
    assert [tuple(row) for row in acts] == [("read", f"Study/{STUDY}"), ("search", "ImagingStudy")]


async def test_studies_are_found_by_their_patient_and_counted_by_their_state(
    console: httpx.AsyncClient, short: Scene
) -> None:
    await short.store(4, study="1.2.4", quiet=False)
    page = (await console.get("/api/studies", params={"patients": True})).json()
    assert [(one["uid"], one["state"], one["patient_id"]) for one in page["studies"]] == [
        ("1.2.4", "receiving", "P1"),
        (STUDY, "short", "P1"),
    ]
    assert page["by_state"] == {"receiving": 1, "short": 1}
    assert page["facilities"]["baishi"] == "白石乡卫生院"
    for query, expected in (
        ({"said": STUDY}, [STUDY]),
        ({"said": "P1", "state": "short"}, [STUDY]),
        ({"said": "A1", "facility": "another"}, []),
        ({"said": "<script>"}, []),
        ({"state": "receiving"}, ["1.2.4"]),
        ({"state": "whole"}, []),
    ):
        found = (await console.get("/api/studies", params=query)).json()["studies"]
        assert [one["uid"] for one in found] == expected, query
        assert {one["patient_id"] for one in found} <= {""}, "nobody asked for patients"


async def test_a_study_that_becomes_whole_goes_from_one_page_to_the_other(
    console: httpx.AsyncClient, short: Scene
) -> None:
    await short.store(2, 3)
    assert await short.judged(short.watcher()) is State.WHOLE
    for state, expected in (("whole", [STUDY]), ("short", [])):
        page = (await console.get("/api/studies", params={"state": state})).json()
        assert ([one["uid"] for one in page["studies"]], page["by_state"]) == (expected, {})


async def test_a_study_of_which_nothing_came_says_of_whom_it_is(
    console: httpx.AsyncClient, scene: Scene, pool: asyncpg.Pool
) -> None:
    await scene.announce(named(1, 2))
    (line,) = (await console.get("/api/studies", params={"patients": True})).json()["studies"]
    assert (line["patient_name"], line["modalities"], line["instances"]) == ("", [], 0)
    await pool.execute(
        """
        insert into worklist (service_request, facility, accession, study_uid, patient_id, issuer, patient_name,
            patient_name_latin, sex, modality, station_ae, procedure_code, procedure_text, body_part, requested_by,
            placer, scheduled_at, state)
        values ('o1', 'baishi', 'A9', $1, 'P9', '', '石^秀英', '', 'F', 'CT', '', '', '', '', '', '', $2, 'scheduled')
        """,
        STUDY,
        START,
    )
    standing = (await console.get(AT)).json()
    said = standing["study"]
    assert (said["patient_name"], said["accession"], said["modalities"]) == ("石^秀英", "A9", ["CT"])
    assert [(one["instances"], one["announced"]) for one in standing["series"]] == [(0, 2)]


async def test_how_a_study_moves_and_what_will_not_come_is_told_with_it(
    console: httpx.AsyncClient, short: Scene, pool: asyncpg.Pool
) -> None:
    async with pool.acquire() as connection:
        await transfers.begun(connection, Transfer("a" * 64, Direction.IN, "x", "baishi", STUDY, 3, 1000, 250), START)
        await transfers.begun(connection, Transfer("b" * 64, Direction.IN, "x", "baishi", "1.9", 3, 1000, 250), START)
    await console.post(f"/api/studies/{STUDY}/waive", json={"why": "deleted at the CT"})
    standing = (await console.get(AT)).json()
    assert [(one["state"], one["done_bytes"]) for one in standing["transfers"]] == [("moving", 250)]
    (waived,) = standing["waived"]
    assert (waived["why"], waived["statements"], datetime.fromisoformat(waived["at"])) == (
        "deleted at the CT",
        2,
        START,
    )


async def test_only_who_runs_the_hub_is_told_of_patients(short: Scene, pool: asyncpg.Pool) -> None:
    services = Services(pool, config.load(EXAMPLE), clock=lambda: START, mapping_set=MappingSet.load(EXAMPLE, []))
    async with pool.acquire() as connection:
        token = await access.issue(connection, "wang", START)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(services)),
        base_url="http://hub",
        headers={"Authorization": f"Bearer {token}"},
    ) as reader:
        for path in (AT, "/api/studies?patients=true", "/api/studies?said=P1"):
            assert (await reader.get(path)).status_code == 403, path
        assert (await reader.post(f"/api/studies/{STUDY}/ask", json={})).status_code == 403
        (line,) = (await reader.get("/api/studies")).json()["studies"]
        assert (line["uid"], line["patient_name"], line["patient_id"]) == (STUDY, "", "")


async def test_what_is_no_study_is_refused(console: httpx.AsyncClient, short: Scene) -> None:
    assert (await console.get("/api/studies/9.9/at/baishi")).status_code == 404
    assert (await console.get(f"/api/studies/{STUDY}/at/another")).status_code == 404
    assert (await console.get("/api/studies/..%2F/at/baishi")).status_code in (404, 422)
    for query, status in (({"said": " "}, 422), ({"after": "x"}, 400), ({"state": "lost"}, 422)):
        assert (await console.get("/api/studies", params=query)).status_code == status, query


async def admin_of(pool: asyncpg.Pool, scene: Scene, facility: str) -> httpx.AsyncClient:
    """Where the CT of this facility can be asked."""
    community = config.load(EXAMPLE)
    (channel,) = community.dicom_channels
    entry = channel.ae_entries[0].model_copy(
        update={"ae_title": "CT", "facility": facility, "queryable": True, "address": "127.0.0.1", "port": 104}
    )
    channels = {channel.name: channel.model_copy(update={"ae_entries": [entry]})}
    services = Services(
        pool, community.model_copy(update={"channels": channels}), lambda: scene.now, MappingSet.load(EXAMPLE, [])
    )
    async with pool.acquire() as connection:
        token = await access.issue(connection, "admin", START)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(services)),
        base_url="http://hub",
        headers={"Authorization": f"Bearer {token}"},
    )


async def test_a_sender_is_asked_again_what_it_has(short: Scene, pool: asyncpg.Pool) -> None:
    asking = short.watcher(asks=True)
    short.sender.answer = named(1, 2, 3)
    await pool.execute("update study_state set asked_at = $1", short.now)
    async with await admin_of(pool, short, "baishi") as admin:
        assert (await admin.get(AT)).json()["asks"] is True
        assert (await admin.post(f"/api/studies/{STUDY}/ask", json={})).status_code == 200
    await asking.look()
    await asking.settled()
    assert short.sender.times == 1


async def test_the_sender_of_another_facility_under_the_same_title_is_not_asked(
    short: Scene, pool: asyncpg.Pool
) -> None:
    async with await admin_of(pool, short, "qingxi") as admin:
        assert (await admin.get(AT)).json()["asks"] is False
        refused = await admin.post(f"/api/studies/{STUDY}/ask", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "not-askable")
