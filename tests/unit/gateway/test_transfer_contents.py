"""What one hub tells another of a study is believed only as far as it can be."""

from __future__ import annotations

import os
import zlib

import msgspec
import pytest

from engine.errors import ParseError
from pacs_gateway.transfer import chunks, contents
from pacs_gateway.transfer.contents import Content, Contents, name_of, starts_of


def one(sop_uid: str = "1.2.3.4", **changes: object) -> Content:
    plain = Content(sop_uid, "1.2.3.1", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1", 1000, "0" * 64)
    return msgspec.structs.replace(plain, **changes)


def study(*objects: Content, uid: str = "1.2.3") -> Contents:
    return Contents(uid, list(objects))


def test_contents_are_read_as_they_were_written_and_named_by_what_they_say() -> None:
    written = study(one(), one("1.2.3.5")).written()
    assert contents.read(written).written() == written
    assert name_of(written) != name_of(study(one()).written())


LIES = {
    "a path for a study": study(one(), uid="../../etc"),
    "a path for an object": study(one("../x")),
    "a line break in a class": study(one(sop_class="1.2\n3")),
    "no object": study(),
    "an object twice": study(one(), one()),
    "no length": study(one(size=0)),
    "less than no length": study(one(size=-1)),
    "an impossible length": study(one(size=2**60)),
    "no hash": study(one(sha256="z" * 64)),
    "a study of a petabyte": study(*(one(f"1.{number}", size=2**32) for number in range(1, 70))),
    "more objects than there are": study(*(one(f"1.{number}") for number in range(contents.OBJECTS_LIMIT + 1))),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_what_cannot_be_is_refused(lie: Contents) -> None:
    with pytest.raises(ParseError):
        contents.read(lie.written())


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        b'{"study_uid":"1.2","objects":null}',
        b"\xff\xfe",
        b'{"study_uid":1,"objects":[]}',
        b'{"study_uid":"1.2","objects":[{"size":1e400}]}',
    ],
)
def test_what_is_no_list_is_refused(written: bytes) -> None:
    with pytest.raises(ParseError):
        contents.read(written)


def test_the_stream_is_the_needed_objects_one_behind_the_other() -> None:
    objects = [one("1", size=10), one("2", size=20), one("3", size=30)]
    assert starts_of(objects, [0, 2]) == [0, 10, 40]
    assert starts_of(objects, []) == [0]


@pytest.mark.parametrize(
    ("piece", "compressed"),
    [
        (b"\0" * 100_000, True),
        (os.urandom(100_000), False),
        (b"x", False),
        (b"\0" * 70_000 + os.urandom(2_000_000), False),
    ],
    ids=["all the same", "noise", "one byte", "noise behind a beginning that is none"],
)
def test_a_piece_is_compressed_where_that_pays(piece: bytes, compressed: bool) -> None:
    sent, was_compressed = chunks.packed(piece)
    assert was_compressed is compressed
    assert chunks.unpacked(sent, chunks.digest_of(sent), compressed=compressed, limit=len(piece)) == piece


def test_a_damaged_piece_and_a_bomb_are_refused() -> None:
    bomb = zlib.compress(bytes(50_000_000))
    broken = zlib.compress(b"x" * 1000)[:-5]
    for sent, digest, compressed in (
        (b"abc", chunks.digest_of(b"abd"), False),
        (b"abc", "sha-256=:!!:", False),
        (b"abc", "md5=:abcd:", False),
        (b"abc", "", False),
        (b"", chunks.digest_of(b""), False),
        (b"abc", chunks.digest_of(b"abc"), True),
        (bomb, chunks.digest_of(bomb), True),
        (broken, chunks.digest_of(broken), True),
        (b"x" * (chunks.CHUNK_LIMIT_BYTES + 1), chunks.digest_of(b"x" * (chunks.CHUNK_LIMIT_BYTES + 1)), False),
    ):
        with pytest.raises(ParseError) as refused:
            chunks.unpacked(sent, digest, compressed=compressed)
        assert refused.value.code == "chunk-damaged"
