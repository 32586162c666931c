"""Every real message is acknowledged and can be followed: into records, or to the finding that holds it.

Messages of others, with LF ends, over a real socket; as they are, without MSH-18, and all under one control id.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from adapters.mllp.receiver import MllpReceiver
from conformance.hl7_files import messages_in
from conformance.simulators.mllp import MllpConnection
from engine.codecs import acknowledgment
from engine.store import trace
from tests.integration.faults.serving import until
from tests.integration.protocol.conftest import Hub

FILES = sorted((Path(__file__).parents[2] / "fixtures" / "hl7v2").glob("*.hl7"))


def with_line_feeds(payload: bytes) -> bytes:
    return payload.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def without_charset(payload: bytes) -> bytes:
    header, _, rest = with_line_feeds(payload).partition(b"\n")
    fields = header.split(header[header.index(b"MSH") + 3 :][:1])
    return b"|".join([*fields[:17], b"", *fields[18:]] if len(fields) > 17 else fields) + b"\n" + rest


def under_one_control_id(payload: bytes) -> bytes:
    return re.sub(rb"\A((?:[^|]*\|){9})[^|\r\n]*", rb"\1MSG00001", with_line_feeds(payload), count=1)


VARIANTS: dict[str, Callable[[bytes], bytes]] = {
    "as they are, with LF": with_line_feeds,
    "without MSH-18": without_charset,
    "all under one control id": under_one_control_id,
}


@asynccontextmanager
async def listening(hub: Hub, channel: str) -> AsyncIterator[int]:
    receiver = MllpReceiver("127.0.0.1", 0, channel, hub.intake)
    await receiver.start()
    try:
        yield receiver.port
    finally:
        await receiver.close()


def test_there_are_messages() -> None:
    assert len(FILES) > 60


@pytest.mark.parametrize("vary", VARIANTS.values(), ids=VARIANTS)
async def test_all_are_acknowledged_and_none_is_lost(hub: Hub, vary: Callable[[bytes], bytes]) -> None:
    sent = {file.name: vary(file.read_bytes()) for file in FILES}
    async with listening(hub, "his") as port, MllpConnection("127.0.0.1", port, timeout_secs=60) as client:
        for name, payload in sent.items():
            (asked,) = messages_in(payload)
            answer = acknowledgment.read(await client.ask(payload))
            assert (name, answer.positive) == (name, True)
            assert (name, answer.control_id) == (name, asked.control_id.strip())

        async def all_journaled() -> bool:
            return bool(await hub.value("select count(*) from journal") == len(set(sent.values())))

        await until("every message is journaled", all_journaled)
    await hub.run()
    for name, payload in sent.items():
        envelope = await hub.value("select id from journal where sha256 = $1", sha256(payload).digest())
        assert envelope is not None, f"{name} is not journaled"
        state = await hub.value("select state from outcome where envelope = $1", envelope)
        held = await hub.value("select state from inbox where envelope = $1", envelope)
        errors = await hub.value("select count(*) from finding where envelope = $1 and severity = 'error'", envelope)
        assert (state, held, errors > 0) in (
            ("processed", None, False),
            (None, "held", True),
            (None, "accepted", False),
        ), name
        async with hub.pool.acquire() as connection:
            found = await trace.leads(connection, str(envelope), list(hub.community.facilities))
        assert envelope in found.why_envelope, f"{name} cannot be traced"
