"""A row can be made of whatever an object says of itself, and written; where it cannot, no other object suffers."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRLittleEndian

from pacs_gateway.identify import identifying, identity_of
from pacs_gateway.receiving import Kept
from pacs_gateway.rows import row_of, with_rows
from pacs_gateway.segments.record import Head
from pacs_gateway.segments.segment import Segment

CHARACTER_SET, NAME, PATIENT_ID, STUDY = 0x00080005, 0x00100010, 0x00100020, 0x00081030
UIDS = {0x00080016: b"1.2.840.10008.5.1.4.1.1.1", 0x00080018: b"1.2.3.4", 0x0020000D: b"1.2.3", 0x0020000E: b"1.2.3.1"}
LABELS = (
    b"ISO_IR 100\\\0\\ISO 2022 IR 58",
    b"ISO_IR 192\0x",
    b"ISO 2022 IR 6\\ISO 2022\0 IR 87",
    b"GB18030\0\0\0GBK",
)


def kept(sop_uid: str = "1.2.3.4", **values: bytes) -> Kept:
    head = Head(4096, 100, bytes(16), 0, "1.2", sop_uid, "1.2", "baishi", "A@h:1", b"DICM", sha256=bytes(32))
    named = {"label": CHARACTER_SET, "name": NAME, "patient_id": PATIENT_ID, "study": STUDY}
    raw = {**UIDS, 0x00080018: sop_uid.encode(), **{named[key]: value for key, value in values.items()}}
    encoded = b"".join(
        struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, b"LO", len(value)) + value for tag, value in sorted(raw.items())
    )
    walk = identifying(ExplicitVRLittleEndian)
    walk.feed(encoded)
    return Kept(Segment(Path(), -1, bytes(16)), head, walk.end())


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield key
            yield from texts(one)


def can_be_written(one: Kept) -> bool:
    """PostgreSQL takes no U+0000, and no half of a surrogate pair."""
    row = row_of(one)
    said = [*texts(json.loads(row.tags)), *texts(json.loads(row.charset)), row.modality, row.location]
    return all("\0" not in text and text.encode() is not None for text in said)


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize(
    "name", [b"Zhang^San", "张^三".encode(), "张^三".encode("gb18030"), b"\x1b$B0!\x1b(B", b"a\0b"]
)
def test_a_label_with_a_nul_within_it_can_be_written(label: bytes, name: bytes) -> None:
    one = kept(label=label, name=name)
    assert can_be_written(one)
    assert "\ufffd" in str(json.loads(row_of(one).charset))


def test_padding_is_no_part_of_a_label() -> None:
    assert json.loads(row_of(kept(label=b"ISO_IR 192\0 \0", name=b"a")).charset)["declared"] == "ISO_IR 192"


_BYTES = st.binary(max_size=40).map(lambda value: value + b" " * (len(value) % 2))


@settings(deadline=None, max_examples=300)
@given(
    label=st.one_of(_BYTES, st.sampled_from((*LABELS, b"ISO_IR 192", b"GB18030", b"ISO 2022 IR 6\\ISO 2022 IR 87"))),
    name=_BYTES,
    patient_id=_BYTES,
    study=_BYTES,
)
def test_whatever_the_bytes_the_row_can_be_written(label: bytes, name: bytes, patient_id: bytes, study: bytes) -> None:
    assert can_be_written(kept(label=label, name=name, patient_id=patient_id, study=study))


def test_one_of_which_no_row_can_be_made_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(raw: dict[int, bytes]) -> Any:
        if raw[0x00080018] == b"1.2.3.5":
            raise RuntimeError(said)
        return identity_of(raw)

    said = "ZHANG^SAN"
    monkeypatch.setattr("pacs_gateway.rows.identity_of", fails)
    made, impossible = with_rows([kept("1.2.3.4"), kept("1.2.3.5"), kept("1.2.3.6")])
    assert [one.row.sop_uid for one in made] == ["1.2.3.4", "1.2.3.6"]
    assert [one.head.sop_uid for one in impossible] == ["1.2.3.5"]
    assert "RuntimeError" in caplog.text
    assert "ZHANG" not in caplog.text
