"""A positive answer leaves only after the flush that covers its bytes has returned: the kernel is the witness.

`kill -9` cannot show a missing flush, because the page cache survives it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import asyncpg
import pytest

from engine.store.embedded import EmbeddedPostgres
from tests.integration.faults.clients import Client, msa
from tests.integration.faults.community import community
from tests.integration.faults.messages import register
from tests.integration.faults.objects import IMAGING, made_objects
from tests.integration.faults.serving import Served, serving, until
from tests.integration.faults.trace import Call, read_calls, strace
from tests.integration.faults.wal import Commit, commits
from tests.integration.gateway.sending import SUCCESS, send_raw

CONNECTIONS = 8
MESSAGES = 160
OBJECTS = 12
_SUCCESS_STATUS = b"\x00\x00\x00\x09\x02\x00\x00\x00\x00\x00"
"""(0000,0900) US 2 bytes: 0000H, in implicit VR little endian."""


@dataclass(frozen=True)
class Object:
    """A stored object: its SOP Instance UID and its name in the spool."""

    sop_uid: str
    spooled: str
    commit: Commit


@dataclass
class Evidence:
    """What was sent before and after somebody turned synchronous commits off behind the hub's back."""

    calls: list[Call] = field(default_factory=list)
    messages: dict[str, Commit] = field(default_factory=dict)
    objects: list[Object] = field(default_factory=list)
    early_messages: dict[str, Commit] = field(default_factory=dict)
    early_objects: list[Object] = field(default_factory=list)


def answered_early(messages: Mapping[str, Commit], calls: Sequence[Call]) -> list[str]:
    """Control ids whose AA was written before the flush of their commit had returned."""
    answers = {
        control_id.decode(): call.began
        for call in reversed(calls)  # of several answers the first one counts
        if call.on.startswith("TCP")
        for control_id in re.findall(rb"MSA\|AA\|([^|\r]+)", call.data)
    }
    assert answers.keys() >= messages.keys(), "the trace does not show every answer"
    return [
        control_id
        for control_id, commit in messages.items()
        if (flushed := commit.flushed_by(calls)) is None or flushed >= answers[control_id]
    ]


def stored_early(objects: Sequence[Object], calls: Sequence[Call]) -> list[str]:
    """UIDs whose status 0000 was written before object, name and index row had been flushed."""
    return [one.sop_uid for one in objects if not _flushed_in_order(one, calls)]


def _flushed_in_order(stored: Object, calls: Sequence[Call]) -> bool:
    (answered,) = (
        call.began
        for call in calls
        if call.on.startswith("TCP") and stored.sop_uid.encode() in call.data and _SUCCESS_STATUS in call.data
    )
    (renamed,) = (call for call in calls if call.name == "rename" and call.arguments.endswith(f'/{stored.spooled}"'))
    partial, _, named = (part.strip('"') for part in renamed.arguments.partition(", "))
    flushed = {
        on: [call for call in calls if call.name == "fsync" and call.on == on] for on in (partial, _folder(named))
    }
    committed = stored.commit.flushed_by(calls)
    return (
        any(call.ended < renamed.began for call in flushed[partial])
        and any(renamed.ended < call.began and call.ended < answered for call in flushed[_folder(named)])
        and committed is not None
        and committed < answered
    )


def _folder(path: str) -> str:
    return str(Path(path).parent)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    with serving(community({"his": {}, "imaging": IMAGING})) as hub:
        output = tmp_path_factory.mktemp("strace") / "calls"
        found, start = asyncio.run(_observed(hub, output))
        found.calls = read_calls(output, start=start)
        yield found


async def _observed(hub: Served, output: Path) -> tuple[Evidence, int]:
    await hub.start(under=strace(output))
    start = output.stat().st_size
    await _send_messages(hub, "F")
    await _send_objects(hub, made_objects(output.parent / "objects", OBJECTS))

    administrator = await asyncpg.connect(EmbeddedPostgres(hub.data / "postgres").administrator_url)
    await administrator.execute("alter role hutong set synchronous_commit = off")
    for role in ("engine", "gateway"):
        await hub.kill(role)
        await hub.revived(role)
    await until("both listen", lambda: _listens(hub))
    await _send_messages(hub, "L")
    await _send_objects(hub, made_objects(output.parent / "late_objects", OBJECTS))

    await administrator.execute("create table flushes_what_was_left ()")
    await administrator.close()
    found = commits(hub.data / "postgres" / "cluster")
    async with hub.database() as database:
        evidence = Evidence(
            messages=await _messages(database, "F", found),
            objects=await _objects(database, output.parent / "objects", found),
            early_messages=await _messages(database, "L", found),
            early_objects=await _objects(database, output.parent / "late_objects", found),
        )
    await hub.stop()
    return evidence, start


async def _listens(hub: Served) -> bool:
    try:
        for port in (hub.port("his"), hub.run["dicom"]["port"]):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
    except OSError:
        return False
    return True


async def _send_messages(hub: Served, name: str) -> None:
    async def work(connection: int) -> None:
        client = Client(hub.port("his"))
        for number in range(connection, MESSAGES, CONNECTIONS):
            answer = await client.ask(register(f"{name}{connection}", f"{name}.{number}", phone=f"139{number:08d}"))
            assert msa(answer) == ("AA", f"{name}.{number}")
        client.leave()

    await asyncio.gather(*(work(connection) for connection in range(CONNECTIONS)))


async def _send_objects(hub: Served, files: Sequence[Path]) -> None:
    port = hub.run["dicom"]["port"]
    statuses = await asyncio.gather(*(asyncio.to_thread(send_raw, port, files[at::3]) for at in range(3)))
    assert [status for association in statuses for status in association] == [SUCCESS] * OBJECTS


async def _messages(database: asyncpg.Connection, name: str, found: Mapping[int, Commit]) -> dict[str, Commit]:
    rows = await database.fetch(
        "select control_id, xmin::text from journal where starts_with(control_id, $1)", f"{name}."
    )
    assert len(rows) == MESSAGES
    return {row["control_id"]: found[int(row["xmin"])] for row in rows}


async def _objects(database: asyncpg.Connection, folder: Path, found: Mapping[int, Commit]) -> list[Object]:
    rows = await database.fetch(
        "select sop_uid, location, xmin::text from instance where sop_uid = any($1)",
        [file.name.removesuffix(".dcm") for file in folder.iterdir()],
    )
    assert len(rows) == OBJECTS
    return [Object(row["sop_uid"], row["location"].replace("/", "~"), found[int(row["xmin"])]) for row in rows]


def test_no_message_is_acknowledged_before_the_flush_that_covers_it(evidence: Evidence) -> None:
    assert answered_early(evidence.messages, evidence.calls) == []


def test_no_object_is_answered_0000_before_its_bytes_its_name_and_its_row_are_flushed(evidence: Evidence) -> None:
    assert stored_early(evidence.objects, evidence.calls) == []


def test_an_acknowledgment_that_leaves_early_is_seen(evidence: Evidence) -> None:
    """The same hub on a database that says `committed` before it has flushed."""
    assert len(answered_early(evidence.early_messages, evidence.calls)) > MESSAGES / 2
    assert len(stored_early(evidence.early_objects, evidence.calls)) > OBJECTS / 2


@pytest.mark.parametrize("missing", ["fdatasync", "fsync", "failed"])
def test_a_flush_that_is_missing_or_failed_is_seen(evidence: Evidence, missing: str) -> None:
    """The same trace with the flushes struck out."""
    if missing == "failed":
        calls = [replace(call, result=-1) if call.name == "fdatasync" else call for call in evidence.calls]
    else:
        calls = [call for call in evidence.calls if call.name != missing]
    if missing != "fsync":  # the log is flushed by fdatasync, objects by fsync
        assert len(answered_early(evidence.messages, calls)) == MESSAGES
    assert len(stored_early(evidence.objects, calls)) == OBJECTS
