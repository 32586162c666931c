"""Whatever a store raises, objects stay in the spool, a person may hear of it, and they are moved once it is over."""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from engine.errors import NotFoundError, StorageError
from engine.ports import Finished
from engine.store.imaging import Instance
from pacs_gateway import part10, shelving
from pacs_gateway.receiving import Kept
from pacs_gateway.rows import Indexed
from pacs_gateway.segments.record import Head
from pacs_gateway.segments.spool import Spool
from pacs_gateway.shelving import Shelver


class Told:
    """What a person would hear of."""

    def __init__(self) -> None:
        self.refusals: list[str] = []
        self.over = asyncio.Event()

    async def refused(self, why: str) -> None:
        self.refusals.append(why)

    async def moved(self, oldest_at: datetime) -> None:
        pass

    async def emptied(self) -> None:
        self.over.set()


class Store:
    """Raises what it is told to, once each; then it takes everything."""

    def __init__(self, *raised: Exception) -> None:
        self._raised = list(raised)
        self.taken: list[Finished] = []

    def put(self, objects: Sequence[Finished]) -> None:
        if self._raised:
            raise self._raised.pop(0)
        self.taken += objects

    def open(self, key: str) -> None:
        raise NotImplementedError


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path, "imaging", bytes)
    spool.open()
    yield spool
    spool.close()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def shelver(spool: Spool, told: Told, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shelver]:
    monkeypatch.setattr(shelving, "QUIET_SECS", 0.0)
    monkeypatch.setattr(shelving, "RETRY_SECS", 0.0)
    shelver = Shelver(spool, told)  # type: ignore[arg-type]  # of its methods, what the shelver calls
    yield shelver
    await shelver.close()


def indexed(spool: Spool, data: bytes, sender: str = "DR") -> Indexed:
    segment = spool.lend()
    file_head = part10.header(sop_class="1.2.3", sop_uid="1.2.4", transfer_syntax="1.2", sender=sender)
    head = Head(segment.end, len(data), bytes(16), 0, "1.2.3", "1.2.4", "1.2", "baishi", "A@h:1", file_head)
    spool.keep(segment, head)
    digest = sha256(data).digest()
    row = Instance(
        sop_uid="1.2.4",
        facility="baishi",
        sha256=digest,
        study_uid="1.2",
        series_uid="1.2.1",
        sop_class="1.2.3",
        transfer_syntax="1.2",
        modality="CR",
        number=None,
        bytes=len(data),
        location=f"baishi/1.2/{digest.hex()}.dcm",
        tags=json.dumps({}),
        charset=json.dumps({}),
        peer="A@h:1",
        stored_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return Indexed(Kept(segment, head, {}), row)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (StorageError("no room"), "no room"),
        (NotFoundError("the object is not in the store"), "the object is not in the store"),
        (OSError(errno.EROFS, "Read-only file system"), "Read-only file system"),
        (OSError(), "OSError"),
        (TimeoutError(), "TimeoutError"),
        (KeyError("ZHANG^SAN"), "KeyError"),
    ],
)
async def test_after_any_refusal_it_goes_on_and_a_person_may_hear_why(
    shelver: Shelver, spool: Spool, told: Told, error: Exception, why: str
) -> None:
    store = Store(error)
    shelver.shelve([indexed(spool, b"one"), indexed(spool, b"two")])
    shelver.start(store)  # type: ignore[arg-type]  # nothing is opened in it
    async with asyncio.timeout(60):
        await told.over.wait()
    assert told.refusals == [why]
    assert (len(store.taken), spool.kept_bytes) == (2, 0)


async def test_a_disk_that_turned_read_only_is_told_though_no_room_can_be_made_on_it(
    shelver: Shelver, spool: Spool, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    spare, used = spool.lend(), indexed(spool, b"one")
    spool.give_back(spare, spare.end)
    monkeypatch.setattr(Path, "unlink", read_only)
    shelver.shelve([used])
    shelver.start(Store(StorageError("Read-only file system")))  # type: ignore[arg-type]  # nothing is opened in it
    async with asyncio.timeout(60):
        await told.over.wait()
    assert told.refusals == ["Read-only file system"]


async def test_what_came_twice_goes_to_the_store_once(shelver: Shelver, spool: Spool, told: Told) -> None:
    store = Store()
    shelver.shelve([indexed(spool, b"one"), indexed(spool, b"two"), indexed(spool, b"one", sender="ANOTHER")])
    shelver.start(store)  # type: ignore[arg-type]  # nothing is opened in it
    async with asyncio.timeout(60):
        await told.over.wait()
    assert (len(store.taken), spool.kept_bytes) == (2, 0)
