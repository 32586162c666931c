"""Hospital IT at its terminal: the commands against a hub that runs, whose web process is killed on the way."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from engine.cli.main import main
from tests.integration.faults.clients import Client, msa
from tests.integration.faults.community import community
from tests.integration.faults.messages import register, result
from tests.integration.faults.serving import Served, serving, until

NO_CODE = "^^"
AWAY = {"address": "mllp://127.0.0.1:9", "retry": {"first_secs": 3600.0, "max_secs": 3600.0}}
COPIES = {"id": "copies", "when": {"event": "message", "message_types": ["ADT"]}, "to": {"endpoints": ["away"]}}

Run = Callable[..., Coroutine[Any, Any, tuple[int, str]]]


@pytest.fixture(scope="module")
def started_hub() -> Iterator[Served]:
    with serving(community({"his": {}}, {"away": AWAY}, (COPIES,))) as hub:
        asyncio.run(hub.start())
        yield hub


@pytest.fixture
async def hub(started_hub: Served) -> Served:
    await started_hub.whole()
    return started_hub


@pytest.fixture
def run(hub: Served, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command as a person would; its exit status, and everything it said."""

    async def command(*words: str) -> tuple[int, str]:
        def ended() -> int:
            try:
                main([*words, "--data", str(hub.data)])
            except SystemExit as end:
                return int(end.code or 0)
            return 0

        status = await asyncio.to_thread(ended)
        said = capsys.readouterr()
        return status, said.out + said.err

    return command


async def send(hub: Served, *payloads: bytes) -> None:
    his = Client(hub.port("his"))
    for payload in payloads:
        assert msa(await his.ask(payload))[0] == "AA"
    his.leave()


async def state(database: asyncpg.Connection, control_id: str) -> str:
    found: str = await database.fetchval(
        """
        select coalesce(i.state, o.state) from journal j
        left join inbox i on i.envelope = j.id left join outcome o on o.envelope = j.id
        where j.control_id = $1 order by j.id desc limit 1
        """,
        control_id,
    )
    return found


async def the(database: asyncpg.Connection, control_id: str) -> str:
    return str(await database.fetchval("select id from journal where control_id = $1 order by id limit 1", control_id))


async def ended(database: asyncpg.Connection, control_id: str, wanted: str) -> None:
    async def there() -> bool:
        return await state(database, control_id) == wanted

    await until(f"{control_id} is {wanted}", there)


async def test_a_held_message_is_seen_corrected_in_an_editor_and_goes_on(
    hub: Served, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = result("C1", "C.bad", placer="C1", code=NO_CODE)
    await send(hub, bad, register("C1", "C.behind"))
    async with hub.database() as database:
        await ended(database, "C.bad", "held")
        envelope = await the(database, "C.bad")
        status, said = await run("held")
        assert status == 0
        assert envelope in said
        assert "not-identified OBX-3 result-id" in said
        assert "1 wait behind it" in said

        editor = tmp_path / "editor.sh"
        editor.write_text('#!/bin/sh\nsed -i "s/|NM|^^|/|NM|GLU^葡萄糖^L|/" "$1"\n', encoding="utf-8")
        editor.chmod(0o755)
        monkeypatch.setenv("EDITOR", str(editor))
        monkeypatch.delenv("VISUAL", raising=False)
        status, said = await run("edit", envelope, "--reason", "x")
        assert (status, "say --yes" in said) == (1, True), "nobody can be asked here"
        assert await state(database, "C.bad") == "held"
        status, said = await run("edit", envelope, "--reason", "LIS 漏了代码", "--yes")
        assert status == 0, said
        assert "+OBX|1|NM|GLU^葡萄糖^L||5.10" in said
        assert "1 Observation" in said
        await ended(database, "C.behind", "processed")
        corrected = await database.fetchval(
            "select payload from journal j join replacement r on r.envelope = j.id where r.replaces = $1::uuid",
            envelope,
        )
        assert corrected == bad.replace(b"|NM|^^|", "|NM|GLU^葡萄糖^L|".encode()), "only what was edited differs"
        status, said = await run("edit", envelope, "--reason", "x", "--yes")
        assert (status, "not held: replaced" in said) == (1, True)


async def test_an_editor_that_changes_nothing_fails_or_leaves_nothing_sends_nothing(
    hub: Served, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await send(hub, result("E1", "E.bad", placer="E1", code=NO_CODE))
    garbage, empty = tmp_path / "garbage", tmp_path / "empty"
    garbage.write_bytes(b"\x00\xffgarbage")
    empty.touch()
    async with hub.database() as database:
        await ended(database, "E.bad", "held")
        envelope = await the(database, "E.bad")
        editors = ("true", "nothing was changed"), ("false", "ended with 1"), ("no-such-editor", "there is no editor")
        for editor, expected in (*editors, ("truncate -s 0", "nothing is left"), (f"cp {garbage}", "nothing is left")):
            monkeypatch.setenv("VISUAL", editor)
            status, said = await run("edit", envelope, "--reason", "x", "--yes")
            assert (status, expected in said) == (1, True), said
        for file in (garbage, empty):
            status, said = await run("edit", envelope, "--payload", str(file), "--reason", "x", "--yes")
            assert (status, "is no HL7 v2 message" in said) == (1, True), said
        assert await state(database, "E.bad") == "held"
        status, said = await run("skip", envelope, "--reason", "检验科重发")
        assert (status, said.strip()) == (0, "skipped: 1")
        status, said = await run("release", envelope, "--reason", "x")
        assert (status, "this envelope is not held" in said) == (1, True)


async def test_many_are_counted_asked_about_and_then_released_or_skipped(hub: Served, run: Run) -> None:
    await send(hub, *(result(f"M{n}", f"M.{n}", placer=f"M{n}", code=NO_CODE) for n in range(3)))
    async with hub.database() as database:
        for n in range(3):
            await ended(database, f"M.{n}", "held")
        status, said = await run("release", "--code", "not-identified", "--reason", "x")
        assert (status, "release 3?" in said) == (1, True)
        status, said = await run("release", "--reason", "x")
        assert (status, "say which" in said) == (1, True)
        status, said = await run("release", "not-an-id", "--reason", "x")
        assert (status, "expected an id" in said) == (1, True)
        status, said = await run("release", "--channel", "%", "--reason", "x")
        assert (status, "channel" in said) == (1, True)
        status, said = await run("release", "--rule", "result-id", "--reason", "x", "--yes")
        assert (status, said.strip()) == (0, "released: 3")
        for n in range(3):
            await ended(database, f"M.{n}", "held")
        status, said = await run("skip", "--all", "--reason", "x", "--yes")
        assert (status, said.strip()) == (0, "skipped: 3")
        assert (await run("held"))[1].strip() == "nothing is held"


async def test_messages_are_processed_again_and_compared_by_the_configuration_that_runs(
    hub: Served, run: Run, tmp_path: Path
) -> None:
    await send(hub, register("P1", "P.1"), register("P1", "P.2", phone="13900000001"))
    async with hub.database() as database:
        await ended(database, "P.2", "processed")
        versions = await database.fetchval("select count(*) from resource_history")
        assert "2 messages: 2 ADT^A08" in (await run("replay", "--patient", "P1", "--dry-run"))[1]
        status, said = await run("replay", "--patient", "P1")
        assert (status, "needs --reason" in said) == (1, True)
        status, said = await run("replay", "--patient", "P1", "--reason", "映射已修改")
        assert (status, "processed again: 2" in said) == (0, True), said
        assert await database.fetchval("select count(*) from outcome where replayed_at is not null") == 2
        assert await database.fetchval("select count(*) from resource_history") == versions
        status, said = await run("replay", "--since", "yesterday", "--reason", "x")
        assert (status, "expected a time such as" in said) == (1, True)

        changed = tmp_path / "changed"
        (changed / "tables").mkdir(parents=True)
        status, said = await run("replay", "--against", str(changed), "--diff")
        assert (status, "nothing would change" in said) == (0, True), said
        shutil.copytree(hub.config, tmp_path / "other")
        routes = tmp_path / "other" / "routes.yaml"
        routes.write_text('{"routes": []}', encoding="utf-8")
        status, said = await run("replay", "--against", str(tmp_path / "other"), "--diff")
        assert (status, "endpoint away" in said) == (3, True), said


async def test_what_is_owed_to_a_system_that_is_away_is_seen_and_given_up(hub: Served, run: Run) -> None:
    await send(hub, register("D1", "D.1"))
    async with hub.database() as database:
        await ended(database, "D.1", "processed")

        async def tried() -> bool:
            return bool(await database.fetchval("select count(*) from delivery_attempt"))

        await until("it was tried", tried)
        status, said = await run("deliveries")
        assert status == 0
        assert "away" in said
        status, said = await run("deliveries", "list", "--state", "owed")
        assert "D.1" in said, said
        status, said = await run("deliveries", "give-up", "--endpoint", "away")
        assert (status, "needs --reason" in said) == (1, True)
        status, said = await run("deliveries", "give-up", "--endpoint", "away", "--reason", "停用", "--yes")
        assert (status, "given up: " in said) == (0, True), said
        assert await database.fetchval("select count(*) from delivery where state = 'owed'") == 0
        status, said = await run("deliveries", "retry", "--state", "given-up", "--reason", "又启用", "--yes")
        assert (status, "owed again: " in said) == (0, True), said


async def test_what_is_owed_to_an_endpoint_that_is_configured_no_more_is_said_when_deliveries_begin(
    hub: Served, run: Run
) -> None:
    async with hub.database() as database:
        await database.execute(
            """
            insert into delivery (id, endpoint, control_id, payload, next_attempt_at, created_at, route)
            values (gen_random_uuid(), 'gone', 'G1', 'MSH|', now(), now(), 'old')
            """
        )
        await hub.kill("engine")
        await hub.revived("engine")

        async def told() -> bool:
            return bool(await database.fetchval("select about from finding where code = 'endpoint-unknown'"))

        await until("it is said", told)
        status, said = await run("deliveries")
        assert "gone" in said
        assert "not configured" in said
        status, said = await run("deliveries", "give-up", "--endpoint", "gone", "--reason", "停用")
        assert (status, said.strip()) == (0, "given up: 1")
        assert await database.fetchval("select settled_by from finding where code = 'endpoint-unknown'") == "system"
    await hub.whole()


async def test_findings_are_listed_and_settled(hub: Served, run: Run) -> None:
    stranger = register("F1", "F.1").replace(b"||13900000000", b"||1390000000X")
    await send(hub, stranger, result("F2", "F.2", placer="F2", code=NO_CODE))
    async with hub.database() as database:
        await ended(database, "F.2", "held")
        status, said = await run("findings", "--code", "not-identified")
        assert status == 0
        assert "nothing in OBX-3 says" in said
        status, said = await run("findings", "settle", "--code", "not-identified")
        assert (status, "needs --how" in said) == (1, True)
        status, said = await run("findings", "settle", "--code", "not-identified", "--how", "x")
        assert (status, "left open: 1, each holds a message" in said) == (0, True), said
        await run("skip", "--all", "--reason", "检验科重发", "--yes")
        status, said = await run("findings", "--settled", "--code", "not-identified", "--json")
        told = json.loads(said)["findings"]
        assert "Skipped: 检验科重发" in {finding["settlement"] for finding in told}


async def test_a_bulk_release_whose_process_is_killed_midway_has_released_nothing(hub: Served, run: Run) -> None:
    await send(hub, *(result(f"K{n}", f"K.{n}", placer=f"K{n}", code=NO_CODE) for n in range(20)))
    async with hub.database() as database, hub.database() as other:
        for n in range(20):
            await ended(database, f"K.{n}", "held")
        before = await database.fetchval("select count(*) from audit where action = 'release'")
        async with database.transaction():
            # The last of them is somebody else's for now: the release has taken the others and waits for this one.
            await database.execute("select 1 from inbox where state = 'held' order by envelope desc limit 1 for update")
            token = (hub.data / "admin.token").read_text().strip()
            asked = asyncio.get_running_loop().create_task(_release(hub, token))

            async def waits() -> bool:
                return bool(await other.fetchval("select count(*) from pg_locks where not granted"))

            await until("the release waits", waits)
            await hub.kill("web")
        with pytest.raises(httpx.HTTPError):
            await asked

        async def nobody_else() -> bool:
            return not await other.fetchval(
                "select count(*) from pg_stat_activity where state <> 'idle' and query like '%waiting_again%' "
                "and pid <> pg_backend_pid()"
            )

        await until("the release is over", nobody_else)
        assert await other.fetchval("select count(*) from audit where action = 'release'") == before
        assert await other.fetchval("select count(*) from inbox where state = 'held' and asked_by is null") == 20
    await hub.whole()
    assert (await run("skip", "--all", "--reason", "x", "--yes"))[1].strip() == "skipped: 20"


async def _release(hub: Served, token: str) -> None:
    async with httpx.AsyncClient(timeout=90, trust_env=False) as client:
        await client.post(
            f"{hub.run['http']}/api/held/release",
            json={"reason": "x", "everything": True},
            headers={"Authorization": f"Bearer {token}"},
        )


async def test_studies_that_are_short_are_listed_and_what_will_not_come_is_waived(hub: Served, run: Run) -> None:
    async with hub.database() as database:
        await database.execute(
            """
            insert into study_state (uid, facility, channel, state, since, announced, missing, missing_uids, sources)
            values ('1.2.3', 'baishi', 'imaging', 'short', now(), 3, 1, '{1.2.3.4}', '{mpps}');
            insert into announced_instance (facility, study_uid, source, about, said_by, series_uid, sop_uid, said_at)
            values ('baishi', '1.2.3', 'mpps', '1.2.9', 'CT', '', '1.2.3.4', now());
            insert into study_transfer values
                ('a', 'out', 'county', 'baishi', '1.2.3', 3, 4000000, 1000000, 'moving', now(), now());
            """
        )
    status, said = await run("studies", "--state", "short")
    assert (status, "1.2.3.4" in said, "0/3" in said) == (0, True, True)
    status, said = await run("studies", "1.2.3", "--manifest")
    assert json.loads(said)[0]["announced"][0]["named"] == 1
    status, said = await run("studies", "--moving")
    assert (status, "to county" in said, "25%" in said) == (0, True, True)
    status, said = await run("studies", "1.2.3", "--waive")
    assert (status, "--reason" in said) == (1, True)
    status, said = await run("studies", "1.2.3", "--waive", "--reason", "deleted at the CT")
    assert status == 0
    async with hub.database() as database:
        assert await database.fetchval("select waived_why from announced_instance") == "deleted at the CT"
    assert (await run("studies", "9.9"))[0] == 1
    assert "no such study" in (await run("studies", "--state", "late"))[1]
