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
from pacs_gateway.segments.record import PAGE
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
_POSITIONAL = ("pwritev", "pwritev2")
_HEAD = b"HTOBJ"
_SUCCESS_STATUS = b"\x00\x00\x00\x09\x02\x00\x00\x00\x00\x00"
"""(0000,0900) US 2 bytes: 0000H, in implicit VR little endian."""


@dataclass(frozen=True)
class Object:
    """A stored object: its SOP Instance UID and the length of its data set."""

    sop_uid: str
    length: int


@dataclass
class Evidence:
    """What was sent before and after somebody turned synchronous commits off behind the hub's back."""

    calls: list[Call] = field(default_factory=list)
    messages: dict[str, Commit] = field(default_factory=dict)
    objects: list[Object] = field(default_factory=list)
    early_messages: dict[str, Commit] = field(default_factory=dict)


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
    """UIDs whose status 0000 was written before the object, its head and the name of its segment had been flushed."""
    return [one.sop_uid for one in objects if not _flushed_in_order(one, calls)]


def _flushed_in_order(stored: Object, calls: Sequence[Call]) -> bool:
    (answered,) = (
        call.began
        for call in calls
        if call.on.startswith("TCP") and stored.sop_uid.encode() in call.data and _SUCCESS_STATUS in call.data
    )
    (sealed,) = (
        call
        for call in calls
        if call.name in _POSITIONAL and call.data.startswith(_HEAD) and stored.sop_uid.encode() in call.data[:PAGE]
    )
    segment = [call for call in calls if call.on == sealed.on]
    data_at = sealed.offset + PAGE
    written = sum(
        call.result
        for call in segment
        if call.name in _POSITIONAL
        and call.ended < sealed.began
        and data_at <= call.offset < data_at + stored.length
        and not any(_is_flush(other) and call.ended < other.began < sealed.began for other in segment)
    )
    flushes = (call for call in segment if _is_flush(call) and sealed.ended < call.began and call.ended < answered)
    named = (call for call in calls if call.name == "fsync" and call.on == _folder(sealed.on) and call.result == 0)
    return written >= stored.length and any(flushes) and any(call.ended < answered for call in named)


def _is_flush(call: Call) -> bool:
    return call.name == "fdatasync" and call.result == 0


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
    # Flushes that nobody waits for come so seldom that they are not taken for ones that were waited for.
    await administrator.execute("alter system set wal_writer_delay = '10s'")
    await administrator.execute("select pg_reload_conf()")
    for role in ("engine", "pipeline"):
        await hub.kill(role)
        await hub.revived(role)
    await until("it listens", lambda: _listens(hub))
    await _send_messages(hub, "L")

    await administrator.execute("create table flushes_what_was_left ()")
    await administrator.close()
    found = commits(hub.data / "postgres" / "cluster")
    async with hub.database() as database:
        evidence = Evidence(
            messages=await _messages(database, "F", found),
            objects=await _objects(database, output.parent / "objects"),
            early_messages=await _messages(database, "L", found),
        )
    await hub.stop()
    return evidence, start


async def _listens(hub: Served) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", hub.port("his"))
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


async def _objects(database: asyncpg.Connection, folder: Path) -> list[Object]:
    uids = [file.name.removesuffix(".dcm") for file in folder.iterdir()]

    async def rows() -> list[asyncpg.Record]:
        found: list[asyncpg.Record] = await database.fetch(
            "select sop_uid, bytes from instance where sop_uid = any($1)", uids
        )
        return found if len(found) == OBJECTS else []

    return [Object(row["sop_uid"], row["bytes"]) for row in await until("every object is indexed", rows)]


def test_no_message_is_acknowledged_before_the_flush_that_covers_it(evidence: Evidence) -> None:
    assert answered_early(evidence.messages, evidence.calls) == []


def test_no_object_is_answered_0000_before_its_bytes_and_its_head_are_flushed(evidence: Evidence) -> None:
    assert stored_early(evidence.objects, evidence.calls) == []


def test_an_acknowledgment_that_leaves_early_is_seen(evidence: Evidence) -> None:
    """The same hub on a database that says `committed` before it has flushed."""
    assert len(answered_early(evidence.early_messages, evidence.calls)) > MESSAGES / 2


@pytest.mark.parametrize("missing", ["fdatasync", "failed"])
def test_a_flush_that_is_missing_or_failed_is_seen(evidence: Evidence, missing: str) -> None:
    """The same trace with the flushes struck out."""
    if missing == "failed":
        calls = [replace(call, result=-1) if call.name == "fdatasync" else call for call in evidence.calls]
    else:
        calls = [call for call in evidence.calls if call.name != missing]
    assert len(answered_early(evidence.messages, calls)) == MESSAGES
    assert len(stored_early(evidence.objects, calls)) == OBJECTS


def test_a_segment_whose_name_was_not_flushed_is_seen(evidence: Evidence) -> None:
    calls = [call for call in evidence.calls if call.name != "fsync"]
    assert len(stored_early(evidence.objects, calls)) == OBJECTS
