"""A month leaves the database only after an export of it has been read back, and never by half."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from pathlib import Path

import pytest

from engine.clock import now
from engine.store.partitions import Month
from tests.integration.archive.conftest import OLD, THIS, Archive, lines_of

EMPTY = dict.fromkeys(("journal", "outcome", "past_lane", "repeat_guard", "delivery", "delivery_attempt", "finding"), 0)


@pytest.mark.parametrize("parted", [True, False], ids=["in its part", "in the default part"])
async def test_a_month_is_exported_read_back_and_dropped(archive: Archive, tmp_path: Path, parted: bool) -> None:
    if parted:
        await archive.part(OLD)
    numbers = await archive.month(OLD)
    younger = await archive.envelope(OLD.plus(1), b"MSH|young\r")
    await archive.database.execute(
        "insert into outcome_earlier (envelope, ended_at, state, mapping) values ($1, now(), 'processed', 'ADT@1+ab')",
        numbers[7],
    )
    assert await archive.database.fetchval(
        "select tableoid::regclass::text from journal where id = $1", numbers[0]
    ) == (OLD.part("journal") if parted else "journal_default")
    done = await archive.prune(tmp_path / "export")
    assert done.returncode == 0, done.stderr
    assert f"{OLD}: 1203 messages exported" in done.stdout

    assert await archive.rows() == EMPTY | {"journal": 1, "outcome": 1, "past_lane": 1, "repeat_guard": 1}
    assert await archive.database.fetchval("select id from journal") == younger
    assert not await archive.database.fetchval("select to_regclass($1)", OLD.part("journal"))

    lines = lines_of(tmp_path / "export" / str(OLD))
    envelopes = [line for line in lines if line["line"] == "envelope"]
    assert [line["id"] for line in envelopes] == [str(number) for number in numbers]
    assert base64.b64decode(envelopes[7]["payload"]) == "MSH|7|张三\r".encode("gb18030")
    assert envelopes[7]["outcome"]["resources"] == ["Patient/p@1"]
    assert base64.b64decode(envelopes[7]["outcome"]["reply"]) == b"MS"
    assert [time["mapping"] for time in envelopes[7]["outcome_earlier"]] == ["ADT@1+ab"]
    assert envelopes[8]["outcome_earlier"] == []
    assert await archive.database.fetchval("select count(*) from outcome_earlier") == 0
    assert envelopes[7]["repeat"]["control_key"] == numbers[7].hex
    assert [finding["code"] for finding in envelopes[0]["findings"]] == ["x"]
    delivery = envelopes[1]["deliveries"][0]
    assert (len(delivery["attempt_log"]), len(delivery["findings"])) == (2, 1)
    (report,) = [line for line in lines if line["line"] == "delivery"]
    assert base64.b64decode(report["payload"]) == b"MSH|out"
    assert len(report["findings"]) == 1

    rows = await archive.database.fetch("select action, subject, detail from audit order by id")
    assert [(row["action"], row["subject"]) for row in rows] == [
        ("export-journal", f"Journal/{OLD}"),
        ("prune-journal", f"Journal/{OLD}"),
    ]
    manifest = json.loads((tmp_path / "export" / str(OLD) / "manifest.json").read_text())
    assert json.loads(rows[1]["detail"]) == {"sha256": manifest["sha256"], "envelopes": 1203}


async def test_an_export_that_is_there_already_is_taken_and_one_that_was_cut_short_is_made_again(
    archive: Archive, tmp_path: Path
) -> None:
    """As after a crash between the export and the drop, and one in the middle of the export."""
    await archive.part(OLD)
    numbers = await archive.month(OLD, 12)
    beside = tmp_path / f"{OLD}.unfinished"
    beside.mkdir()
    (beside / "journal.ndjson.gz").write_bytes(b"half")
    held = await archive.envelope(OLD, b"MSH|held\r", state="held")
    assert (await archive.prune(tmp_path)).returncode == 1
    assert not (tmp_path / str(OLD)).exists()
    await archive.database.execute("delete from inbox")

    async with archive.client as client:  # an export whose drop never came
        state = (await client.get(f"/api/journal/{OLD}")).json()
    assert (await archive.prune(tmp_path)).returncode == 0
    assert not beside.exists()
    first = (tmp_path / str(OLD) / "journal.ndjson.gz").read_bytes()
    assert len(numbers) + 1 == state["print"]["rows"]["journal"]
    assert str(held) in gzip.decompress(first).decode()
    again = await archive.prune(tmp_path)
    assert (again.returncode, again.stdout) == (0, "")


@pytest.mark.parametrize("kind", ["accepted", "held", "owed", "finding", "report owed"])
async def test_a_month_with_something_left_to_do_stays_and_says_what(
    archive: Archive, tmp_path: Path, kind: str
) -> None:
    await archive.part(OLD)
    numbers = await archive.month(OLD, 5)
    if kind in ("accepted", "held"):
        named = await archive.envelope(OLD, b"MSH|left\r", state=kind)
    elif kind == "finding":
        named = numbers[3]
        await archive.finding(OLD, envelope=named, settled=False)
    else:
        named = await archive.delivery(OLD, numbers[3] if kind == "owed" else None, state="owed")
    before = await archive.rows()
    done = await archive.prune(tmp_path)
    assert done.returncode == 1
    assert f"{OLD}: stays" in done.stdout
    assert str(named) in done.stdout
    assert await archive.rows() == before
    assert list(tmp_path.iterdir()) == []


async def test_what_changes_after_the_export_is_not_dropped(archive: Archive) -> None:
    await archive.part(OLD)
    numbers = await archive.month(OLD, 5)
    async with archive.client as client:
        state = (await client.get(f"/api/journal/{OLD}")).json()
        body = {"print": state["print"], "sha256": "0" * 64}
        before = await archive.rows()
        for change in (
            "update outcome set state = 'skipped' where envelope = $1",
            "update finding set settlement = 'x' where envelope = $1 or envelope is not null",
            "update delivery set last_error = 'x' where envelope is null or envelope = $1",
            "insert into delivery_attempt select id, now(), 'x', '' from delivery "
            "where envelope is null or envelope = $1",
            "insert into finding (id, code, severity, text, envelope, found_at, settled_at) "
            "values (gen_random_uuid(), 'x', 'error', 'x', $1, now(), now())",
        ):
            transaction = archive.database.transaction()
            await transaction.start()
            await archive.database.execute(change, numbers[0])
            await transaction.commit()
            answer = await client.post(f"/api/journal/{OLD}/drop", json=body)
            assert (answer.status_code, answer.json()["code"]) == (409, "changed"), change
            state = (await client.get(f"/api/journal/{OLD}")).json()
            body["print"] = state["print"]
        after = await archive.rows()
        assert after == before | {
            "delivery_attempt": before["delivery_attempt"] + 1,
            "finding": before["finding"] + 1,
        }
        assert (await client.post(f"/api/journal/{OLD}/drop", json=body)).status_code == 200
    assert await archive.rows() == EMPTY


async def test_what_is_begun_while_the_month_is_dropped_stops_it(archive: Archive) -> None:
    """A replay has read an old envelope and has not committed yet."""
    await archive.part(OLD)
    numbers = await archive.month(OLD, 5)
    before = await archive.rows()
    async with archive.client as client, archive.hub.database() as replaying:
        state = (await client.get(f"/api/journal/{OLD}")).json()
        transaction = replaying.transaction()
        await transaction.start()
        await replaying.fetch("select * from journal where id = $1", numbers[0])
        await replaying.execute("insert into inbox (envelope, place, lanes) values ($1, $1, '{}')", numbers[0])
        dropping = asyncio.create_task(
            client.post(f"/api/journal/{OLD}/drop", json={"print": state["print"], "sha256": "0" * 64})
        )
        async with asyncio.timeout(60):
            while not await archive.database.fetchval("select exists (select from pg_locks where not granted)"):
                assert not dropping.done()
                await asyncio.sleep(0.01)
        await transaction.commit()
        answer = await dropping
    assert (answer.status_code, answer.json()["code"]) == (409, "not-done")
    assert await archive.rows() == before


async def test_messages_are_taken_in_while_a_month_is_dropped(archive: Archive) -> None:
    await archive.part(OLD)
    await archive.month(OLD, 300)
    async with archive.client as client:
        state = (await client.get(f"/api/journal/{OLD}")).json()
        dropping = asyncio.create_task(
            client.post(f"/api/journal/{OLD}/drop", json={"print": state["print"], "sha256": "0" * 64})
        )
        taken = []
        while not dropping.done():
            taken.append(await archive.envelope(THIS, b"MSH|new\r"))
        assert (await dropping).status_code == 200
    assert await archive.database.fetchval("select count(*) from journal where id = any($1)", taken) == len(taken)


async def test_young_months_and_odd_wishes_are_refused(archive: Archive, tmp_path: Path) -> None:
    for month in (Month.of(now()), Month.of(now()).plus(-1)):
        done = await archive.prune(tmp_path, before=month.plus(1))
        assert done.returncode == 1
        assert "messages may still come into it" in done.stderr
    (tmp_path / str(OLD)).mkdir()
    (tmp_path / str(OLD) / "photo.jpg").touch()
    await archive.month(OLD, 3)
    done = await archive.prune(tmp_path)
    assert (done.returncode, "holds something else" in done.stderr) == (1, True)
    assert (await archive.rows())["journal"] == 3
    for wish in ("2026-13", "2026", "x", "2026-5", "２０２６-05"):
        done = await archive.command("prune", "--before", wish, "--export", str(tmp_path))
        assert done.returncode == 1
    async with archive.client as client:
        for path in ("/api/journal/2026-13", "/api/journal/x", "/api/journal/2026-05/envelopes?after=x"):
            assert (await client.get(path)).status_code == 422
        body = {"print": {"rows": {}, "sums": {}}, "sha256": "0" * 64}
        assert (await client.post(f"/api/journal/{THIS}/drop", json=body)).status_code == 409


async def test_a_dry_run_changes_nothing(archive: Archive, tmp_path: Path) -> None:
    await archive.month(OLD, 3)
    before = await archive.rows()
    done = await archive.prune(tmp_path, "--dry-run")
    assert f"{OLD}: 3 messages would be exported" in done.stdout
    assert await archive.rows() == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["none", "cut", "bit", "manifest", "line missing", "payload", "no lines"])
async def test_an_export_is_read_back_whole_or_said_to_be_broken(archive: Archive, tmp_path: Path, damage: str) -> None:
    await archive.month(OLD, 30)
    assert (await archive.prune(tmp_path)).returncode == 0
    folder = tmp_path / str(OLD)
    path = folder / "journal.ndjson.gz"
    whole = path.read_bytes()
    lines = gzip.decompress(whole).splitlines(keepends=True)
    if damage == "cut":
        path.write_bytes(whole[:-10])
    elif damage == "bit":
        path.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    elif damage == "manifest":
        (folder / "manifest.json").write_text("{}")
    elif damage == "no lines":
        path.unlink()
    elif damage != "none":
        # Whoever forges the digest too is found out by what is inside.
        from hashlib import sha256

        kept = (
            lines[1:]
            if damage == "line missing"
            else [lines[0].replace(b'"payload": "', b'"payload": "AAAA'), *lines[1:]]
        )
        path.write_bytes(gzip.compress(b"".join(kept)))
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest |= {"bytes": path.stat().st_size, "sha256": sha256(path.read_bytes()).hexdigest()}
        (folder / "manifest.json").write_text(json.dumps(manifest))
    done = await archive.command("prune", "--verify", str(tmp_path))
    assert done.returncode == (0 if damage == "none" else 1)
    assert ("whole; 30 messages" in done.stdout) == (damage == "none")
    assert ("no whole export" in done.stderr) == (damage != "none")
