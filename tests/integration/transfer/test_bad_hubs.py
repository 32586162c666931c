"""A hub that lies, damages or repeats what it sends harms nobody but its own study."""

from __future__ import annotations

import errno
import os
import zlib

import asyncpg
import httpx
import msgspec
import pytest

from engine.errors import DeliveryError, Disposition
from pacs_gateway.transfer import chunks, contents, incoming
from pacs_gateway.transfer.contents import Content, Contents, name_of
from pacs_gateway.transfer.outgoing import Outgoing
from pacs_gateway.transfer.stream import Stream
from tests.integration.transfer.conftest import Archive, BadLine, Hub, Township, application, digests, hash_of

DATA = b"x" * 1000


def contents_of(*objects: Content, study: str = "1.2.3") -> Contents:
    return Contents(study, list(objects))


def one(sop_uid: str = "1.2.3.4", data: bytes = DATA) -> Content:
    return Content(sop_uid, "1.2.3.1", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1", len(data), hash_of(data))


@pytest.fixture
async def client(hub: Hub) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(hub.app), base_url="http://hub/api/transfers")


async def announced(client: httpx.AsyncClient, study: Contents) -> str:
    name = name_of(study.written())
    answer = await client.put(f"/{name}", content=study.written())
    assert answer.status_code == 200, answer.text
    return f"/{name}"


async def sent(client: httpx.AsyncClient, path: str, offset: int, piece: bytes, digest: str = "") -> httpx.Response:
    headers = {chunks.OFFSET: str(offset), chunks.DIGEST: digest or chunks.digest_of(piece)}
    return await client.patch(path, content=piece, headers=headers)


async def test_a_piece_that_comes_twice_or_too_early_changes_nothing(client: httpx.AsyncClient, hub: Hub) -> None:
    path = await announced(client, contents_of(one()))
    assert (await sent(client, path, 0, DATA[:400])).json() == {"offset": 400}
    assert (await sent(client, path, 0, DATA[:400])).json() == {"offset": 400}
    for offset, piece in ((0, DATA[:300]), (200, b"other" * 20), (500, DATA[:100]), (400, b"y" * 601)):
        answer = await sent(client, path, offset, piece)
        assert (answer.status_code, answer.json()) == (409, {"offset": 400})
    (stream,) = hub.folder.glob("*/*/stream")
    assert stream.read_bytes() == DATA[:400]


async def test_a_damaged_piece_is_refused(client: httpx.AsyncClient) -> None:
    path = await announced(client, contents_of(one()))
    for digest in (chunks.digest_of(b"other"), "sha-256=:!!:", "md5=:abcd:", "nothing"):
        answer = await sent(client, path, 0, DATA, digest)
        assert (answer.status_code, answer.json()["code"]) == (400, "chunk-damaged")
    bomb = zlib.compress(bytes(50_000_000))
    headers = {chunks.OFFSET: "0", chunks.DIGEST: chunks.digest_of(bomb), chunks.ENCODING: chunks.DEFLATE}
    assert (await client.patch(path, content=bomb, headers=headers)).status_code == 400
    headers = {chunks.OFFSET: "-1", chunks.DIGEST: chunks.digest_of(DATA)}
    assert (await client.patch(path, content=DATA, headers=headers)).status_code == 400


async def test_impossible_contents_leave_nothing(client: httpx.AsyncClient, hub: Hub) -> None:
    for written in (b"", b"[" * 100_000, contents_of(one("../x")).written()):
        answer = await client.put(f"/{name_of(written)}", content=written)
        assert (answer.status_code, answer.json()["code"]) == (400, "transfer-contents")
    assert not hub.folder.exists()


async def test_a_huge_list_is_refused_before_it_is_held(client: httpx.AsyncClient) -> None:
    bomb = zlib.compress(b"[" + b" " * 200_000_000)
    answer = await client.put(f"/{'0' * 64}", content=bomb, headers={chunks.ENCODING: chunks.DEFLATE})
    assert answer.status_code == 400
    many = contents_of(*(one(f"1.{number}") for number in range(1, contents.OBJECTS_LIMIT + 2)))
    assert (await client.put(f"/{name_of(many.written())}", content=many.written())).status_code == 400


async def test_a_list_under_another_name_and_a_name_that_is_a_path_are_refused(client: httpx.AsyncClient) -> None:
    written = contents_of(one()).written()
    assert (await client.put(f"/{'0' * 64}", content=written)).status_code == 400
    assert (await client.put("/..%2f..%2fx", content=written)).status_code == 404
    assert (await sent(client, f"/{'0' * 64}", 0, DATA)).status_code == 404
    assert (await client.post(f"/{'0' * 64}/finish")).status_code == 404


async def test_an_object_whose_hash_is_a_lie_is_refused_in_the_end_and_the_others_are_stored(
    hub: Hub, archive: Archive
) -> None:
    study = archive.study
    lying = msgspec.structs.replace(study.objects[3], sha256="0" * 64)
    study = Contents(study.study_uid, [*study.objects[:3], lying, *study.objects[4:]])
    stream = Stream(archive.objects, archive.instances)
    sender = Outgoing("http://hub", "token", 20.0, transport=BadLine(hub))

    async def progress(name: str, done: int, total: int) -> None:
        pass

    ended = await sender.send(study, stream, lambda: True, progress)
    stream.close()
    assert not ended.whole
    assert ended.refused == {3: "its bytes have another hash than is said of them"}
    expected = {uid: digest for uid, digest in digests(archive.instances).items() if uid != lying.sop_uid}
    assert digests(await hub.rows()) == expected
    assert list(hub.folder.glob("*/*")) == []


async def test_objects_that_are_none_and_lies_about_uids_are_refused(client: httpx.AsyncClient, hub: Hub) -> None:
    path = await announced(client, contents_of(one()))
    await sent(client, path, 0, DATA)
    answer = (await client.post(f"{path}/finish")).json()
    assert answer["whole"] is False
    assert [one["object"] for one in answer["refused"]] == [0]
    assert await hub.rows() == []
    assert list(hub.folder.glob("*/*")) == []


async def test_other_content_under_a_used_uid_is_stored_apart(
    hub: Hub, archive: Archive, client: httpx.AsyncClient, pool: asyncpg.Pool
) -> None:
    await archive.send(BadLine(hub))
    first = archive.instances[0]
    stream = Stream(archive.objects, archive.instances)
    data = stream.read([0], [0, first.bytes], 0, first.bytes)
    stream.close()
    changed = data[:-2] + b"\x00\x01"
    other = Content(
        first.sop_uid, first.series_uid, first.sop_class, first.transfer_syntax, len(data), hash_of(changed)
    )
    path = await announced(client, contents_of(other, study=first.study_uid))
    for at in range(0, len(changed), 30_000):
        await sent(client, path, at, changed[at : at + 30_000])
    assert (await client.post(f"{path}/finish")).json()["whole"]
    rows = [row for row in await hub.rows() if row.sop_uid == first.sop_uid]
    assert sorted(row.conflict for row in rows) == [False, True]


async def test_a_study_that_does_not_fit_is_refused_before_it_is_sent(
    hub: Hub, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "SPARE_BYTES", 2**60)
    with pytest.raises(DeliveryError) as refused:
        await archive.send(BadLine(hub))
    assert refused.value.disposition is Disposition.RETRY
    assert refused.value.code == "no-room"
    monkeypatch.undo()
    assert (await archive.send(BadLine(hub))).whole


async def test_a_disk_that_is_full_in_between_loses_nothing(
    hub: Hub, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, left = os.pwrite, 3

    def full_after_a_while(descriptor: int, data: bytes, at: int) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            write(descriptor, bytes(data)[:100], at)  # a part of it was written
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data, at)

    with monkeypatch.context() as patched:
        patched.setattr("pacs_gateway.transfer.staging.os.pwrite", full_after_a_while)
        with pytest.raises(DeliveryError) as refused:
            await archive.send(BadLine(hub))
        assert refused.value.disposition is Disposition.RETRY
    assert (await archive.send(BadLine(hub))).whole
    assert digests(await hub.rows()) == digests(archive.instances)


async def test_one_sender_begins_only_so_many_transfers(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "OPEN_LIMIT", 2)
    for number in (1, 2):
        await announced(client, contents_of(one(f"1.{number}"), study=f"1.{number}"))
    study = contents_of(one("1.3"), study="1.3")
    answer = await client.put(f"/{name_of(study.written())}", content=study.written())
    assert (answer.status_code, answer.json()["code"]) == (503, "too-many-transfers")


class Reader(Township):
    roles = ()


class OfNobody(Township):
    facility = ""


@pytest.mark.parametrize(("caller", "status"), [(None, 401), (Reader, 403), (OfNobody, 403)])
async def test_only_who_may_store_may_transfer(hub: Hub, caller: type[Township] | None, status: int) -> None:
    app = application(hub.incoming, caller)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub") as client:
        answer = await client.put(f"/api/transfers/{'0' * 64}", content=b"{}")
    assert answer.status_code == status
