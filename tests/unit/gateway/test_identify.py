"""Names are read right whatever the label says, and an object that names no study is refused."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRLittleEndian

from engine.errors import ParseError
from pacs_gateway.charset import decode
from pacs_gateway.identify import identify

UIDS = {
    (0x0008, 0x0016): (b"UI", b"1.2.840.10008.5.1.4.1.1.1"),
    (0x0008, 0x0018): (b"UI", b"1.2.3.4"),
    (0x0020, 0x000D): (b"UI", b"1.2.3"),
    (0x0020, 0x000E): (b"UI", b"1.2.3.1"),
}
WRONG, MALFORMED = {"charset-mislabelled", "charset-repaired"}, {"charset-repaired"}
CHARACTER_SET, NAME, REFERRING = (0x0008, 0x0005), (0x0010, 0x0010), (0x0008, 0x0090)


def encoded(values: dict[tuple[int, int], tuple[bytes, bytes]]) -> bytes:
    return b"".join(
        struct.pack("<HH2sH", *tag, vr, len(value)) + value for tag, (vr, value) in sorted({**UIDS, **values}.items())
    )


def named(label: bytes | None, name: bytes) -> bytes:
    label_element = {} if label is None else {CHARACTER_SET: (b"CS", label)}
    return encoded({**label_element, NAME: (b"PN", name), (0x0008, 0x1030): (b"LO", b"Chest")})


@pytest.mark.parametrize(
    ("label", "raw", "name", "used", "codes"),
    [
        (b"ISO_IR 100", "张智宏".encode("gbk"), "张智宏", "gb18030", WRONG),
        (b"ISO_IR 100", "吴卫生".encode("gbk"), "吴卫生", "gb18030", WRONG),
        (b"ISO_IR 192", "Zhang^ZhiHong=张^智宏".encode(), "Zhang^ZhiHong=张^智宏", "utf-8", set()),
        (b"ISO IR 192", "张智宏".encode(), "张智宏", "utf-8", MALFORMED),
        (b"GB18030\\ISO IR 192", "张智宏".encode("gb18030"), "张智宏", "gb18030", MALFORMED),
        (b"GB2312", "张智宏".encode("gbk"), "张智宏", "gb18030", MALFORMED),
        (b"GB18030", "㼆𠮷".encode("gb18030"), "㼆𠮷", "gb18030", set()),
        (b"ISO_IR 192", "张智宏".encode("gbk"), "张智宏", "gb18030", WRONG),
        (None, "张智宏".encode("gbk"), "张智宏", "gb18030", MALFORMED),
        (b"", "张智宏".encode(), "张智宏", "utf-8", MALFORMED),
        (b"ISO_IR 100", "Müller^Jürgen".encode("latin-1"), "Müller^Jürgen", "latin-1", None),
        (b"\\ISO 2022 IR 58", b"Z=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab", "Z=张^小东", "gb18030", set()),
        (b"ISO_IR 6", b"Zhang^ZhiHong", "Zhang^ZhiHong", None, set()),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)  # fmt: skip
def test_a_name_is_read_by_its_bytes_where_its_label_lies(
    label: bytes | None, raw: bytes, name: str, used: str | None, codes: set[str] | None
) -> None:
    identity = identify(named(label, raw), ExplicitVRLittleEndian)
    assert identity.tags["patient_name"] == name
    assert identity.charset.declared == (label or b"").decode()
    if used is not None:
        assert identity.charset.used == used
    if codes is not None:
        assert {finding.code for finding in identity.findings} == codes


def test_other_values_help_where_one_name_alone_would_not() -> None:
    values = {CHARACTER_SET: (b"CS", b"ISO_IR 100"), NAME: (b"PN", "王".encode("gbk"))}
    values[REFERRING] = (b"PN", "欧阳修远".encode("gbk"))
    identity = identify(encoded(values), ExplicitVRLittleEndian)
    assert (identity.tags["patient_name"], identity.tags["referring"]) == ("王", "欧阳修远")


def test_a_nul_inside_a_name_is_a_finding_and_can_be_stored() -> None:
    identity = identify(named(b"ISO_IR 192", b"Zhang\0San"), ExplicitVRLittleEndian)
    assert identity.tags["patient_name"] == "Zhang\ufffdSan"
    assert "nul-character" in {finding.code for finding in identity.findings}


def test_padding_is_no_part_of_a_value() -> None:
    values = {NAME: (b"PN", b"Zhang^San \0"), (0x0010, 0x0020): (b"LO", b" P1 "), (0x0020, 0x0013): (b"IS", b"12 ")}
    identity = identify(encoded(values), ExplicitVRLittleEndian)
    assert (identity.tags["patient_name"], identity.tags["patient_id"], identity.number) == ("Zhang^San", "P1", 12)


@pytest.mark.parametrize("number", [b"one", b"99999999999999", b"1.5", b"\xff"])
def test_an_instance_number_that_is_none_is_absent(number: bytes) -> None:
    assert identify(encoded({(0x0020, 0x0013): (b"IS", number)}), ExplicitVRLittleEndian).number is None


@pytest.mark.parametrize("tag", sorted(UIDS))
def test_an_object_without_one_of_its_uids_is_refused(tag: tuple[int, int]) -> None:
    with pytest.raises(ParseError) as raised:
        identify(encoded({tag: (b"UI", b"")}), ExplicitVRLittleEndian)
    assert raised.value.code == "uid-missing"


@pytest.mark.parametrize("uid", [b"../../etc/passwd", b"1.2/3", b".", b"..", b"1" * 65, b"1.2\n3", "１.2".encode()])
def test_a_uid_that_could_be_a_path_is_refused(uid: bytes) -> None:
    with pytest.raises(ParseError) as raised:
        identify(encoded({(0x0020, 0x000D): (b"UI", uid)}), ExplicitVRLittleEndian)
    assert raised.value.code == "uid-malformed"
    assert uid.decode(errors="replace") not in raised.value.message


LABELS = [
    b"",
    b"ISO_IR 100",
    b"ISO_IR 192",
    b"GB18030",
    b"\\ISO 2022 IR 58",
    b"\\ISO 2022 IR 87",
    b"\\ISO 2022 IR 149",
    b"ISO_IR 13",
]


@settings(max_examples=300, deadline=None)
@given(label=st.sampled_from(LABELS), values=st.lists(st.binary(max_size=12), min_size=1, max_size=6))
def test_whatever_the_bytes_every_value_has_its_own_text(label: bytes, values: list[bytes]) -> None:
    named_values = {str(number): value for number, value in enumerate(values)}
    texts = decode(label, named_values).texts
    assert list(texts) == list(named_values)
    assert not any("\0" in text for text in texts.values())


@pytest.mark.parametrize("values", [{}, {"a": b"\xfe\xff\x00", "b": b"\x00"}, {"a": b"", "b": b""}])
def test_values_that_look_like_nothing_keep_their_places(values: dict[str, bytes]) -> None:
    assert list(decode(b"", values).texts) == list(values)
