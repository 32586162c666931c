"""An object of a bucket reads like a file, whatever is asked of it in what order, by few and bounded questions."""

from __future__ import annotations

import io
import random

import pytest
from urllib3 import HTTPResponse
from urllib3.exceptions import ProtocolError

from adapters.objects.ranged import FIRST_BYTES, MOST_BYTES, RangedFile
from engine.errors import NotFoundError, StorageError

CONTENT = random.Random(21).randbytes(3_000_000)


class Answers:
    """Serves ranges of a content and remembers what was asked for."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.content = content
        self.asked: list[tuple[int, int]] = []

    def __call__(self, at: int, length: int) -> HTTPResponse:
        self.asked.append((at, length))
        piece = self.content[at : at + length]
        headers = {"Content-Range": f"bytes {at}-{at + len(piece) - 1}/{len(self.content)}"}
        return HTTPResponse(io.BytesIO(piece), headers=headers, status=206, preload_content=False)


def test_a_file_is_read_whole_by_few_questions() -> None:
    answers = Answers()
    with io.BufferedReader(RangedFile(answers)) as file:
        assert file.read() == CONTENT
    assert len(answers.asked) <= 5
    assert all(length <= MOST_BYTES for _, length in answers.asked)


def test_what_is_read_is_what_stands_there_whatever_the_order() -> None:
    places = random.Random(7)
    file = io.BufferedReader(RangedFile(Answers()), 64 * 1024)
    for _ in range(300):
        at, size = places.randrange(len(CONTENT) + 1000), places.choice([0, 1, 12, 4096, 70_000, 500_000])
        file.seek(at)
        assert file.read(size) == CONTENT[at : at + size]
    assert file.seek(0, io.SEEK_END) == len(CONTENT)
    assert file.read() == b""
    file.seek(-10, io.SEEK_CUR)
    assert file.read() == CONTENT[-10:]


def test_a_look_at_the_beginning_asks_once_and_for_no_more_than_that() -> None:
    answers = Answers()
    with io.BufferedReader(RangedFile(answers)) as file:
        file.read(1000)
        file.seek(5000)
        file.read(1000)
    assert answers.asked == [(0, FIRST_BYTES)]


def test_a_long_stretch_from_elsewhere_is_one_more_question() -> None:
    answers = Answers()
    file = io.BufferedReader(RangedFile(answers), 64 * 1024)
    file.seek(1_000_000)
    assert file.read(900_000) == CONTENT[1_000_000:1_900_000]
    assert len(answers.asked) <= 3
    assert sum(length for _, length in answers.asked) < 2_500_000


def test_what_is_not_there_is_said_when_it_is_opened() -> None:
    def nothing(_at: int, _length: int) -> HTTPResponse:
        raise NotFoundError("the object is not in the store")

    with pytest.raises(NotFoundError):
        RangedFile(nothing)


def test_an_answer_that_ends_too_soon_is_an_error_and_no_end_of_file() -> None:
    def short(at: int, length: int) -> HTTPResponse:
        return HTTPResponse(io.BytesIO(b"abc"), headers={"Content-Range": "bytes 0-99/100"}, preload_content=False)

    file = RangedFile(short)
    assert file.read(3) == b"abc"
    with pytest.raises(StorageError):
        file.read(3)


def test_a_line_that_breaks_is_an_error_of_ours() -> None:
    class Breaks(io.BytesIO):
        def read(self, *_: object) -> bytes:
            raise ProtocolError("broken")

    def broken(at: int, length: int) -> HTTPResponse:
        return HTTPResponse(Breaks(), headers={"Content-Range": "bytes 0-99/100"}, preload_content=False)

    with pytest.raises(StorageError, match="cannot be reached"):
        RangedFile(broken).read(3)


def test_a_service_without_ranges_is_read_from_its_beginning_and_refused_elsewhere() -> None:
    def whole(_at: int, _length: int) -> HTTPResponse:
        headers = {"Content-Length": str(len(CONTENT))}
        return HTTPResponse(io.BytesIO(CONTENT), headers=headers, preload_content=False)

    file = RangedFile(whole)
    assert file.read(10) == CONTENT[:10]
    file.seek(2_000_000)
    with pytest.raises(StorageError, match="ranges"):
        file.read(10)
