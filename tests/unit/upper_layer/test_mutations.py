"""Real streams with bytes changed, cut out or put in end in an UpperLayerError or in events, never in anything else."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from pacs_gateway.upper_layer.association import Association
from pacs_gateway.upper_layer.errors import UpperLayerError
from tests.unit.upper_layer.speaking import FIXTURES, established, feed, read, request

STREAMS = {path.name: path.read_bytes() for path in sorted(FIXTURES.glob("*.pdu"))}


def side_of(name: str) -> Association:
    association = Association()
    if name.endswith(".scp.pdu"):
        association.request(request())
    return association


@settings(max_examples=400)
@given(
    st.sampled_from(sorted(STREAMS)),
    st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=8),
    st.integers(1, 700),
)
def test_changed_bytes(name: str, changes: list[tuple[float, int]], size: int) -> None:
    data = bytearray(STREAMS[name])
    for where, value in changes:
        data[int(where * len(data))] = value
    with suppress(UpperLayerError):
        read(side_of(name), [bytes(data[at : at + size]) for at in range(0, len(data), size)])


@settings(max_examples=400)
@given(st.sampled_from(sorted(STREAMS)), st.floats(0, 0.999), st.integers(0, 60), st.binary(max_size=60))
def test_bytes_cut_out_and_put_in(name: str, where: float, cut: int, put_in: bytes) -> None:
    data = STREAMS[name]
    at = int(where * len(data))
    with suppress(UpperLayerError):
        read(side_of(name), [data[:at] + put_in + data[at + cut :]])


@settings(max_examples=300)
@given(st.binary(max_size=600), st.booleans())
def test_any_bytes_at_all(data: bytes, on_an_association: bool) -> None:
    association = established() if on_an_association else Association()
    with suppress(UpperLayerError):
        read(association, [data])


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from([1, 3, 5]), st.integers(0, 3), st.binary(max_size=40)), max_size=12))
def test_fragments_in_any_order(values: list[tuple[int, int, bytes]]) -> None:
    association = established()
    pdus = (
        b"".join(
            (
                b"\x04\0",
                (len(value) + 6).to_bytes(4, "big"),
                (len(value) + 2).to_bytes(4, "big"),
                bytes((context_id, control)),
                value,
            )
        )
        for context_id, control, value in values
    )
    feed(association, b"".join(pdus))
    with suppress(UpperLayerError):
        while association.next_event() is not None:
            pass
