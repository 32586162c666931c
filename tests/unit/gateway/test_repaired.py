"""An object whose label of characters is wrong goes out in Unicode; one whose label is right goes out as it came."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.data import get_charset_files
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from pacs_gateway.charset import REPAIRED
from pacs_gateway.identify import Identity, identify
from pacs_gateway.part10 import data_set_offset, header
from pacs_gateway.repaired import repaired

NAME = "Zhang^ZhiHong=张^智宏=ㄓㄤ^ㄓˋㄏㄨㄥˊ"
SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)


def mislabelled(label: str, codec: str, syntax: str = ExplicitVRLittleEndian, **attributes: Any) -> bytes:
    """A file whose text is in a codec and says to be in another."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = ComputedRadiographyImageStorage, "1.2.3.4"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    dataset.SpecificCharacterSet = "ISO_IR 192" if codec == "utf-8" else "GB18030"
    dataset.PatientName, dataset.InstitutionName = NAME, "白石乡卫生院"
    dataset.PatientID, dataset.StudyDate = "P0001", "20260102"
    item = Dataset()
    item.CodeValue, item.CodeMeaning = "1", "胸部正位片"
    deeper = Dataset()
    deeper.CodeMeaning = "数字化摄影"
    item.ProcedureCodeSequence = [deeper]
    dataset.RequestAttributesSequence = [item, Dataset()]
    dataset.ImageComments = "甲\r\n乙"
    block = dataset.private_block(0x0011, "HUTONG TEST", create=True)
    block.add_new(0x01, "LO", "私有")
    block.add_new(0x02, "OB", "张".encode("gbk"))
    dataset.Rows, dataset.Columns = 2, 2
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = bytes(range(8))
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    stream = io.BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return relabelled(stream.getvalue(), label, syntax)


def relabelled(file: bytes, label: str, syntax: str) -> bytes:
    """The same bytes under another label; of a deflated file it is written before deflating."""
    if syntax == DeflatedExplicitVRLittleEndian:
        import zlib

        at = data_set_offset(file)
        inflated = relabelled(file[:at] + zlib.decompress(file[at:], -15), label, ExplicitVRLittleEndian)
        deflater = zlib.compressobj(wbits=-15)
        return inflated[:at] + deflater.compress(inflated[at:]) + deflater.flush()
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    at = file.index(struct.pack(f"{order}HH", 0x0008, 0x0005), data_set_offset(file))
    explicit = syntax != ImplicitVRLittleEndian
    length = struct.unpack_from(f"{order}H" if explicit else f"{order}I", file, at + (6 if explicit else 4))[0]
    value = label.encode() + b" " * (len(label) % 2)
    head = struct.pack(f"{order}HH2sH", 8, 5, b"CS", len(value)) if explicit else struct.pack("<HHI", 8, 5, len(value))
    return file[:at] + head + value + file[at + 8 + length :]


def identity_of(file: bytes, syntax: str = ExplicitVRLittleEndian) -> Identity:
    return identify(file[data_set_offset(file) :], syntax)


def served(file: bytes, syntax: str = ExplicitVRLittleEndian) -> Dataset:
    identity = identity_of(file, syntax)
    assert identity.charset.repair
    with repaired(io.BytesIO(file), identity.charset.used) as out:
        return pydicom.dcmread(io.BytesIO(out.read()))


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("ISO_IR 100", "gb18030"),
        ("ISO_IR 192", "gb18030"),
        ("ISO IR 192", "utf-8"),
        ("utf8", "utf-8"),
        ("GB2312", "gb18030"),
        ("GB18030\\ISO IR 192", "gb18030"),
        ("\\ISO 2022 IR 58", "gb18030"),
        ("", "gb18030"),
        ("", "utf-8"),
        ("ISO_IR 100", "utf-8"),
    ],
)
def test_every_text_is_served_in_unicode_and_all_else_as_it_was(label: str, codec: str, syntax: str) -> None:
    sent = mislabelled(label, codec, syntax)
    out = served(sent, syntax)
    assert out.SpecificCharacterSet == "ISO_IR 192"
    assert str(out.PatientName) == NAME
    assert out.PatientName.ideographic == "张^智宏"
    assert out.InstitutionName == "白石乡卫生院"
    assert out.ImageComments == "甲\r\n乙"
    item = out.RequestAttributesSequence[0]
    assert (item.CodeMeaning, item.ProcedureCodeSequence[0].CodeMeaning) == ("胸部正位片", "数字化摄影")
    assert len(out.RequestAttributesSequence) == 2
    assert (out.PatientID, out.StudyDate, out.PixelData) == ("P0001", "20260102", bytes(range(8)))
    assert out.file_meta.TransferSyntaxUID == syntax
    before = pydicom.dcmread(io.BytesIO(sent))
    assert [element.tag for element in out] == [element.tag for element in before]
    assert out.get_private_item(0x0011, 0x02, "HUTONG TEST").value == "张".encode("gbk")


def test_private_text_keeps_its_bytes() -> None:
    sent = mislabelled("ISO_IR 100", "gb18030")
    with repaired(io.BytesIO(sent), "gb18030") as out:
        assert "私有".encode("gb18030") in out.read()


def test_characters_whose_second_byte_is_a_delimiter_do_not_split_a_name() -> None:
    name = "焅^諀=乗|"  # GBK writes them with 5C, 5E and 7C
    sent = mislabelled("ISO_IR 100", "gb18030", PatientName=name)
    assert str(served(sent).PatientName) == name


def test_a_missing_label_is_put_in_its_place() -> None:
    sent = mislabelled("GB18030", "gb18030")
    at = sent.index(b"\x08\0\x05\0CS")
    assert str(served(sent[:at] + sent[at + 16 :]).PatientName) == NAME


def test_sequences_of_undefined_length_are_repaired_too() -> None:
    dataset = pydicom.dcmread(io.BytesIO(mislabelled("GB18030", "gb18030")))
    dataset["RequestAttributesSequence"].is_undefined_length = True
    dataset.RequestAttributesSequence[0].is_undefined_length_sequence_item = True
    stream = io.BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    out = served(relabelled(stream.getvalue(), "ISO_IR 100", ExplicitVRLittleEndian))
    assert out.RequestAttributesSequence[0].CodeMeaning == "胸部正位片"


@pytest.mark.parametrize(
    ("own", "codec", "label"), [("ISO_IR 100", "gb18030", "ISO_IR 192"), ("GB18030", "gb18030", "GB18030")]
)
def test_an_item_with_a_label_of_its_own_is_repaired_by_that(own: str, codec: str, label: str) -> None:
    item = Dataset()
    item.SpecificCharacterSet = codec.upper()
    item.CodeMeaning = "胸部正位片的说明"
    sent = mislabelled("GB18030", "gb18030", ConceptNameCodeSequence=[item])
    at = sent.index(b"\x08\0\x05\0CS", sent.index(b"\x40\0\x43\xa0"))
    sent = sent.replace(b"\x08\0\x05\0CS\x08\0GB18030 ", b"\x08\0\x05\0CS\x08\0ISO_IR  ", 1)
    value = own.encode() + b" " * (len(own) % 2)
    grown = len(value) - 8
    grown_file = bytearray(sent[: at + 6] + struct.pack("<H", len(value)) + value + sent[at + 16 :])
    for place in (at - 4, at - 12):  # lengths of the item and of its sequence
        struct.pack_into("<I", grown_file, place, struct.unpack_from("<I", grown_file, place)[0] + grown)
    out = served(bytes(grown_file))
    assert str(out.PatientName) == NAME
    (item,) = out.ConceptNameCodeSequence
    assert (item.SpecificCharacterSet, item.CodeMeaning) == (label, "胸部正位片的说明")


STORABLE = [file for file in sorted(set(get_charset_files("*.dcm"))) if "SOPClassUID" in pydicom.dcmread(file)]


@pytest.mark.parametrize("file", STORABLE, ids=lambda path: Path(path).name)
def test_what_is_labelled_right_is_left_alone_and_read_right(file: str) -> None:
    dataset = pydicom.dcmread(file)
    content = Path(file).read_bytes()
    identity = identity_of(content, str(dataset.file_meta.TransferSyntaxUID))
    assert not identity.charset.repair
    assert identity.tags["patient_name"].rstrip("=") == str(dataset.PatientName).rstrip("=")
    assert identity.findings == ()


def test_what_may_be_latin_or_chinese_is_not_guessed() -> None:
    content = mislabelled("ISO_IR 100", "gb18030", PatientName="x", InstitutionName="y", ImageComments="z")
    content = content.replace(b"P0001 ", "créé".encode("latin-1").ljust(6))
    identity = identity_of(content)
    assert identity.charset.doubtful
    assert not identity.charset.repair
    assert "charset-doubtful" in {finding.code for finding in identity.findings}


def test_the_evidence_says_what_the_label_said_and_what_the_bytes_are_and_no_name() -> None:
    findings = {one.code: one.text for one in identity_of(mislabelled("ISO_IR 100", "gb18030")).findings}
    assert "ISO_IR 100" in findings[REPAIRED]
    assert "read as gb18030" in findings[REPAIRED]
    assert "张" not in findings[REPAIRED]
    hostile = {one.code: one.text for one in identity_of(mislabelled("<script>GB2312", "gb18030")).findings}
    assert "<" not in hostile[REPAIRED]


def test_what_cannot_be_walked_through_is_served_as_it_came() -> None:
    sent = mislabelled("ISO_IR 100", "gb18030")
    at = sent.index(b"\x40\0\x75\x02SQ\0\0") + 8
    broken = sent[:at] + struct.pack("<I", 0x7FFFFFFF) + sent[at + 4 :]
    with repaired(io.BytesIO(broken), "gb18030") as out:
        assert out.read() == broken


def test_a_group_length_goes_where_its_group_changes() -> None:
    sent = mislabelled("ISO_IR 100", "gb18030")
    at = data_set_offset(sent)
    with_length = sent[:at] + struct.pack("<HH2sHI", 0x0008, 0, b"UL", 4, 999) + sent[at:]
    out = served(with_length)
    assert str(out.PatientName) == NAME
    assert (0x0008, 0x0000) not in out


def test_a_file_head_of_ours_is_kept() -> None:
    sent = mislabelled("ISO_IR 100", "gb18030")
    head = header(sop_class="1.2", sop_uid="1.2.3.4", transfer_syntax=ExplicitVRLittleEndian, sender="DR")
    with repaired(io.BytesIO(head + sent[data_set_offset(sent) :]), "gb18030") as out:
        assert out.read(len(head)) == head
