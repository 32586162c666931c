"""A bucket is believed only when it shows what it took; what it does not show yet stays in the spool, and is said."""

from __future__ import annotations

import io
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, BinaryIO
from xml.etree.ElementTree import ParseError as BrokenXml

import pytest
from minio.error import S3Error
from urllib3 import HTTPResponse

from adapters.objects import s3
from adapters.objects.s3 import S3ObjectStore
from engine.errors import StorageError
from engine.ports import Finished
from pacs_gateway import part10
from pacs_gateway.finished import holds

DATA = b"a data set" * 100


class Entry:
    def __init__(self, size: int) -> None:
        self.size = size


class Bucket:
    """Takes the place of the client: a bucket that may show an object later than it took it.

    hidden   so many questions for an object it answers as though it were not there
    broken   raised by the next question
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts = 0
        self.hidden = 0
        self.broken: Exception | None = None

    def stat_object(self, _bucket: str, key: str) -> Entry:
        return Entry(len(self._shown(key)))

    def get_object(self, _bucket: str, key: str, offset: int, length: int) -> HTTPResponse:
        content = self._shown(key)
        piece = content[offset : offset + length]
        assert piece, "a service answers 416 to this"
        headers = {"Content-Range": f"bytes {offset}-{offset + len(piece) - 1}/{len(content)}"}
        return HTTPResponse(io.BytesIO(piece), headers=headers, status=206, preload_content=False)

    def put_object(self, _bucket: str, key: str, source: BinaryIO, length: int, *_: Any, **__: Any) -> None:
        self.puts += 1
        self.objects[key] = source.read()
        assert len(self.objects[key]) == length

    def _shown(self, key: str) -> bytes:
        if self.broken is not None:
            raise self.broken
        if key in self.objects and self.hidden:
            self.hidden -= 1
            raise missing()
        if key not in self.objects:
            raise missing()
        return self.objects[key]


def missing(code: str = "NoSuchKey") -> S3Error:
    return S3Error(None, code, "not there", "/key", "1", "1")  # type: ignore[arg-type]  # the answer is not looked at


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def store(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3ObjectStore]:
    monkeypatch.setattr(s3, "Minio", lambda *_, **__: bucket)
    store = S3ObjectStore("http://127.0.0.1:1", "pictures", "key", "secret")
    yield store
    store.close()


def finished(data: bytes = DATA, sender: str = "DR") -> Finished:
    file = part10.header(sop_class="1.2.3", sop_uid="1.2.4", transfer_syntax="1.2", sender=sender) + data
    digest = sha256(data).digest()
    return Finished(f"baishi/1.2/{digest.hex()}.dcm", len(file), holds(digest), lambda: io.BytesIO(file))


def test_what_the_bucket_does_not_show_yet_is_not_stored_yet(store: S3ObjectStore, bucket: Bucket) -> None:
    bucket.hidden = 1
    with pytest.raises(StorageError, match="does not show"):
        store.put([finished()])
    store.put([finished()])
    assert bucket.puts == 1


def test_what_vanishes_between_two_looks_is_sent_again(store: S3ObjectStore, bucket: Bucket) -> None:
    store.put([finished()])
    bucket.hidden = 1
    store.put([finished()])
    assert bucket.puts == 2


@pytest.mark.parametrize("sender", ["A_LONGER_TITLE", "D"])
def test_the_same_bytes_of_another_sender_leave_what_stands_there(
    store: S3ObjectStore, bucket: Bucket, sender: str
) -> None:
    store.put([finished()])
    before = dict(bucket.objects)
    store.put([finished(sender=sender)])
    assert (bucket.puts, bucket.objects) == (1, before)


@pytest.mark.parametrize("there", [b"", b"torn", DATA, bytes(4000)], ids=["nothing", "torn", "no head", "zeros"])
def test_what_is_not_what_it_should_be_is_sent_anew(store: S3ObjectStore, bucket: Bucket, there: bytes) -> None:
    store.put([finished()])
    (key,) = bucket.objects
    whole = bucket.objects[key]
    bucket.objects[key] = there
    store.put([finished()])
    assert (bucket.puts, bucket.objects[key]) == (2, whole)


@pytest.mark.parametrize("broken", [missing("NoSuchBucket"), BrokenXml(), ValueError(), TimeoutError()], ids=repr)
def test_whatever_the_service_says_the_port_is_kept(store: S3ObjectStore, bucket: Bucket, broken: Exception) -> None:
    bucket.broken = broken
    with pytest.raises(StorageError):
        store.put([finished()])
