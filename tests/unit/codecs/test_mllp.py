"""Does framing give back exactly the payloads that were framed, whatever the chunking?"""

from __future__ import annotations

import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.codecs.mllp import MllpDecoder, frame
from engine.errors import FramingError

MESSAGE = b"MSH|^~\\&|A|B|C|D|20260401||ADT^A04|1|P|2.5\rPID|1||7\r"
OTHER = b"MSH|^~\\&|A|B|C|D|20260401||ADT^A04|2|P|2.5\rPID|1||8\r"


def decoded(stream: bytes, chunk: int, limit: int = 1_000_000) -> list[bytes]:
    decoder = MllpDecoder(limit)
    payloads = []
    for at in range(0, len(stream), chunk):
        decoder.receive_data(stream[at : at + chunk])
        while (payload := decoder.next_frame()) is not None:
            payloads.append(payload)
    return payloads


WHOLE_AND_BYTE_BY_BYTE = pytest.mark.parametrize("chunk", [1_000_000, 1, 3], ids=["whole", "byte by byte", "by three"])

STREAMS = {
    "one message": (frame(MESSAGE), [MESSAGE]),
    "two at once": (frame(MESSAGE) + frame(OTHER), [MESSAGE, OTHER]),
    "an empty message": (frame(b"") + frame(MESSAGE), [b"", MESSAGE]),
    "line ends between": (b"\r\n" + frame(MESSAGE) + b"\n\r\n \t" + frame(OTHER) + b"\n", [MESSAGE, OTHER]),
    "the end block twice": (frame(MESSAGE) + b"\x1c\r" + frame(OTHER), [MESSAGE, OTHER]),
    "LF in place of CR at the end": (b"\x0b" + MESSAGE + b"\x1c\n" + frame(OTHER), [MESSAGE, OTHER]),
    "no CR at the end": (b"\x0b" + MESSAGE + b"\x1c" + frame(OTHER), [MESSAGE, OTHER]),
    "0x1C inside": (frame(b"MSH|\x1c|\x1c\x1cX\r"), [b"MSH|\x1c|\x1c\x1cX\r"]),
    "0x0B of a word processor inside": (frame(b"MSH|a\x0bb\r"), [b"MSH|a\x0bb\r"]),
    "a truncated one at the end": (frame(MESSAGE) + b"\x0b" + OTHER, [MESSAGE]),
    "a truncated end block": (b"\x0b" + MESSAGE + b"\x1c", []),
    "nothing": (b"", []),
}


@WHOLE_AND_BYTE_BY_BYTE
@pytest.mark.parametrize(("stream", "payloads"), STREAMS.values(), ids=STREAMS)
def test_payloads_come_out_exactly(stream: bytes, payloads: list[bytes], chunk: int) -> None:
    assert decoded(stream, chunk) == payloads


REFUSED = {
    "text without a block": (MESSAGE + frame(OTHER), "frame-missing"),
    "an HTTP request": (b"GET / HTTP/1.1\r\n\r\n", "frame-missing"),
    "binary noise": (bytes(range(255, 30, -1)), "frame-missing"),
    "text after a block": (frame(MESSAGE) + b"PID|1\r", "frame-missing"),
    "too long": (frame(b"x" * 20_000), "frame-too-large"),
    "endless": (b"\x0b" + b"x" * 20_000, "frame-too-large"),
    "a message begun inside another": (b"\x0b" + MESSAGE + frame(OTHER), "frame-restarted"),
}


@WHOLE_AND_BYTE_BY_BYTE
@pytest.mark.parametrize(("stream", "code"), REFUSED.values(), ids=REFUSED)
def test_a_lost_stream_is_refused(stream: bytes, code: str, chunk: int) -> None:
    with pytest.raises(FramingError) as refusal:
        decoded(stream, chunk, limit=10_000)
    assert refusal.value.code == code


@given(
    payloads=st.lists(st.binary(max_size=200).filter(lambda p: b"\x1c" not in p and b"\x0bMSH" not in p), max_size=6),
    cuts=st.lists(st.integers(min_value=1, max_value=50), min_size=1, max_size=20),
    noise=st.sampled_from([b"", b"\r", b"\n", b"\r\n\n"]),
)
def test_any_chunking_gives_the_same(payloads: list[bytes], cuts: list[int], noise: bytes) -> None:
    stream = noise.join([b"", *[frame(payload) for payload in payloads], b""])
    decoder, found, at, turn = MllpDecoder(), [], 0, 0
    while at < len(stream):
        step = cuts[turn % len(cuts)]
        decoder.receive_data(stream[at : at + step])
        at, turn = at + step, turn + 1
        if turn % 2:  # a reader that is slower than the network
            while (payload := decoder.next_frame()) is not None:
                found.append(payload)
    while (payload := decoder.next_frame()) is not None:
        found.append(payload)
    assert found == payloads


@given(st.binary(max_size=500), st.integers(min_value=1, max_value=7))
def test_noise_is_framed_or_refused_but_never_breaks(noise: bytes, chunk: int) -> None:
    with suppress(FramingError):
        assert all(payload in noise for payload in decoded(noise, chunk))


def feed(decoder: MllpDecoder, chunk: bytes, times: int) -> None:
    for _ in range(times):
        decoder.receive_data(chunk)
        assert decoder.next_frame() is None


def test_a_hundred_megabytes_without_an_end_are_refused_within_bounded_memory() -> None:
    limit, chunk = 4 * 1024 * 1024, b"x" * 65_536
    decoder = MllpDecoder(limit)
    decoder.receive_data(b"\x0b")
    tracemalloc.start()
    try:
        with pytest.raises(FramingError, match="longer than this channel allows"):
            feed(decoder, chunk, 100 * 1024 * 1024 // len(chunk))
        assert tracemalloc.get_traced_memory()[1] < 3 * limit
    finally:
        tracemalloc.stop()


def test_a_message_in_tiny_chunks_is_searched_once_not_again_for_each() -> None:
    decoder = MllpDecoder()
    decoder.receive_data(b"\x0b")
    feed(decoder, b"0123456789", 200_000)
    decoder.receive_data(b"\x1c\r")
    payload = decoder.next_frame()
    assert payload is not None
    assert len(payload) == 2_000_000


def test_blanks_between_blocks_are_not_collected() -> None:
    decoder = MllpDecoder()
    feed(decoder, b"\r\n" * 1000, 100)
    assert decoder.buffered == 0
