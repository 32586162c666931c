"""A changed configuration is compared over the real journal, by several processes, and nothing is written."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

import mappings as mapping_files
from engine.clock import now
from engine.store.journaled import Looked, connect_to_look, read, spans
from tests.integration.engine.conftest import EXAMPLE, Hub
from tests.integration.engine.messages import register, result
from tests.integration.operate.conftest import ask, changed
from tests.integration.operate.messages import bad_result
from tests.integration.operate.test_replay import everything

SHIPPED = Path(mapping_files.__file__).parent
CHANNEL = "baishi-his"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the mappings in which nobody has a sex any more."""
    shutil.copytree(SHIPPED, tmp_path / "mappings", ignore=shutil.ignore_patterns("*.hl7", "requirements"))
    return tmp_path / "mappings"


async def against(hub: Hub, folder: Path, *more: str) -> tuple[int | None, str, str]:
    """Exit status and what was said, as a person runs it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "engine.cli.main", "replay", "--against", str(folder), "--diff"),
        *("--config", str(EXAMPLE), *more),
        env={**os.environ, "HUTONG_DATABASE_URL": hub.url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    return process.returncode, out.decode(), error.decode()


async def test_the_same_mappings_would_change_nothing_and_a_changed_one_says_what(
    hub: Hub, it: httpx.AsyncClient, folder: Path
) -> None:
    for n in range(600):  # more than one span, so that several processes look
        await hub.send(CHANNEL, register(f"BS{n}", control_id=f"R{n}"))
    await hub.send(CHANNEL, bad_result("BS1"))
    await hub.send(CHANNEL, bad_result("BS2", control_id="SKIPPED"))
    await hub.run()
    skipped = await hub.pool.fetchval("select id from journal where control_id = 'SKIPPED'")
    await ask(it, f"/api/envelopes/{skipped}/skip", reason="x")
    before = await everything(hub)

    status, said, error = await against(hub, folder)
    assert (status, "nothing would change" in said) == (0, True), error
    assert "601 messages looked at" in said
    changed(folder, "hl7v2/parts/patient.yaml", "to: gender, table: sex", "to: gender, with: text")
    status, said, error = await against(hub, folder, "--json")
    assert status == 3, error
    told: dict[str, Any] = json.loads(said)
    assert (told["messages"], told["changed"]) == (601, 600)
    ((change),) = told["changes"]
    assert (change["what"], change["where"], change["messages"]) == ("changed element", "Patient.gender", 600)
    assert change["rule_before"] == change["rule_after"] == "pid-8"
    first = await hub.pool.fetchval("select id from journal where control_id = 'R0'")
    named = change["examples"][0]
    assert named.pop("resource").startswith("Patient/")
    known = {"envelope": str(first), "message_type": "ADT^A04", "control_id": "R0"}
    assert named == known, "no values where none were asked for"
    assert (told["record"]["changed"], told["record"]["complete"]) == (600, True)
    ((recorded),) = told["record"]["changes"]
    what = (recorded["what"], recorded["where"], recorded["messages"], recorded["rule_after"])
    assert what == ("a replay would record", "Patient.gender", 600, "pid-8")
    assert await everything(hub) == before


async def test_values_are_shown_when_asked_for(hub: Hub, folder: Path) -> None:
    await hub.send(CHANNEL, register())
    changed(folder, "hl7v2/parts/patient.yaml", "to: gender, table: sex", "to: gender, with: text")
    status, said, _ = await against(hub, folder, "--values", "--message-type", "ADT", "--days", "1")
    assert status == 3
    assert "female → F" in said
    several = register(control_id="R9").replace(b"||13900000001", b"||13900000001~13900000002~13900000003")
    await hub.send(CHANNEL, several)
    changed(folder, "hl7v2/parts/patient.yaml", "with: telecom, as: home", "with: telecom, as: work")
    status, said, _ = await against(hub, folder, "--values", "--message-type", "ADT", "--days", "1")
    assert said.count("home → work") == 4, "each element of each message"
    _, told, _ = await against(hub, folder, "--values", "--json", "--message-type", "ADT", "--days", "1")
    (uses,) = (each for each in json.loads(told)["changes"] if each["where"] == "Patient.telecom.use")
    assert uses["examples"][1]["further"] == [{"before": "home", "after": "work"}] * 2
    status, said, _ = await against(hub, folder, "--channel", "qingxi-his")
    assert (status, "0 messages looked at" in said) == (0, True)


async def test_a_changed_mapping_that_cannot_be_read_or_a_folder_of_neither_kind_is_said(
    hub: Hub, folder: Path, tmp_path: Path
) -> None:
    changed(folder, "hl7v2/parts/patient.yaml", "to: gender, table: sex", "to: gender, table: sexes")
    status, _, error = await against(hub, folder)
    assert status == 1
    assert "hl7v2/parts/patient.yaml" in error
    empty = tmp_path / "empty"
    empty.mkdir()
    status, _, error = await against(hub, empty)
    assert (status, "expected a configuration" in error) == (1, True)


async def test_what_looks_at_the_journal_cannot_write(hub: Hub) -> None:
    connection = await connect_to_look(hub.url)
    try:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await connection.execute("delete from inbox")
    finally:
        await connection.close()


async def test_spans_cover_every_message_once_in_the_order_they_came(hub: Hub) -> None:
    begin = now()
    for n in range(23):
        await hub.send(CHANNEL, result(f"L{n}", patient=f"BS{n}", control_id=f"U{n}"))
    looked = Looked(begin, now() + timedelta(seconds=1))  # the id of an envelope knows milliseconds only
    connection = await connect_to_look(hub.url)
    try:
        found = await spans(connection, looked, 5)
        assert [span.messages for span in found] == [5, 5, 5, 5, 3]
        seen = []
        async with connection.transaction():
            for span in found:
                seen += [envelope.control_id async for envelope in read(connection, looked, span)]
        assert seen == [f"U{n}" for n in range(23)]
        assert await spans(connection, Looked(begin, begin), 5) == []
    finally:
        await connection.close()


async def test_whoever_names_the_running_configuration_itself_is_told(hub: Hub) -> None:
    status, said, error = await against(hub, EXAMPLE)
    assert (status, "nothing would change" in said) == (0, True), error
    assert "this is the running configuration itself; change a copy of it" in error
