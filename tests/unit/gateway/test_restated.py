"""An object whose study was decided on says what was decided, and keeps every other byte."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from engine.errors import StorageError
from pacs_gateway import part10
from pacs_gateway.restated import restated

CHANGES = {
    "study_uid": "2.25.12345",
    "series_uid": "2.25.678",
    "sop_uid": "2.25.9",
    "accession": "A77",
    "patient_id": "P-77",
    "patient_name": "Li^Si=李^四",
    "birth_date": "",
}
SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)


def file_of(transfer_syntax: str, **attributes: object) -> bytes:
    """A file as the gateway stores it."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "GB18030"
    dataset.SOPClassUID, dataset.SOPInstanceUID = ComputedRadiographyImageStorage, "1.2.3.4"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    dataset.PatientID, dataset.PatientName, dataset.PatientBirthDate = "WRONG", "Zhang^San=张^三", "19700101"
    dataset.ReferencedStudySequence = [Dataset()]
    dataset.ReferencedStudySequence[0].ReferencedSOPInstanceUID = "1.2.3.9"
    dataset.Rows, dataset.Columns, dataset.BitsAllocated, dataset.PixelRepresentation = 2, 2, 16, 0
    dataset.PixelData = bytes(range(8))
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    target = io.BytesIO()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(transfer_syntax)
    pydicom.dcmwrite(target, dataset, enforce_file_format=True)
    whole = target.getvalue()
    head = part10.header(
        sop_class=ComputedRadiographyImageStorage, sop_uid="1.2.3.4", transfer_syntax=transfer_syntax, sender="DR"
    )
    return head + whole[part10.data_set_offset(whole) :]


def read(content: bytes, changes: dict[str, str], charset: str = "gb18030") -> tuple[bytes, Dataset]:
    with restated(io.BytesIO(content), changes, charset) as file:
        told = file.read()
    return told, pydicom.dcmread(io.BytesIO(told))


@pytest.mark.parametrize("transfer_syntax", SYNTAXES)
def test_what_was_decided_is_said_and_nothing_else_changes(transfer_syntax: str) -> None:
    content = file_of(transfer_syntax)
    before = pydicom.dcmread(io.BytesIO(content))
    _, after = read(content, CHANGES)
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID == "2.25.9"
    assert after.file_meta.TransferSyntaxUID == transfer_syntax
    assert after.file_meta.SourceApplicationEntityTitle == "DR"
    assert (after.StudyInstanceUID, after.SeriesInstanceUID) == ("2.25.12345", "2.25.678")
    assert (after.AccessionNumber, after.PatientID, after.PatientBirthDate) == ("A77", "P-77", "")
    assert str(after.PatientName) == "Li^Si=李^四"
    changed = {"SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "AccessionNumber", "PatientID"}
    for element in before:
        if element.keyword not in changed | {"PatientName", "PatientBirthDate"}:
            assert after[element.tag] == element, element.keyword


def test_pixels_are_the_stretch_of_the_file_they_were() -> None:
    content = file_of(ExplicitVRLittleEndian, PixelData=bytes(range(256)) * 40)
    told, _ = read(content, {"accession": "A1"})
    assert told.endswith(content[-256 * 40 :])
    assert len(told) == len(content) + 8 + 2


def test_it_can_be_read_from_any_place() -> None:
    content = file_of(ExplicitVRLittleEndian)
    told, _ = read(content, CHANGES)
    with restated(io.BytesIO(content), CHANGES, "gb18030") as file:
        for at in range(0, len(told), 7):
            file.seek(at)
            assert file.read(11) == told[at : at + 11]
        assert file.seek(0, io.SEEK_END) == len(told)
        assert file.read() == b""


def test_a_charset_that_cannot_hold_a_name_gets_its_latin_group() -> None:
    content = file_of(ExplicitVRLittleEndian, SpecificCharacterSet="ISO_IR 100", PatientName="Zhang^San")
    _, after = read(content, {"patient_name": "Li^Si=李^四"}, "latin-1")
    assert str(after.PatientName) == "Li^Si"


def test_a_lengthy_value_is_written_whole() -> None:
    _, after = read(file_of(ExplicitVRLittleEndian), {"accession": "A" * 40})
    assert after.AccessionNumber == "A" * 40


def test_lengths_of_groups_go_with_the_group_that_changes() -> None:
    content = file_of(ImplicitVRLittleEndian)
    offset = part10.data_set_offset(content)
    grouped = content[:offset] + bytes.fromhex("0800000004000000") + b"\x10\0\0\0" + content[offset:]
    told, after = read(grouped, {"accession": "A1"})
    assert after.AccessionNumber == "A1"
    assert 0x00080000 not in after
    assert len(told) == len(content) + 8 + 2


@pytest.mark.parametrize("name", ["CT_small", "MR_small_RLE", "JPEG2000", "ExplVR_BigEnd", "image_dfl", "reportsi"])
def test_real_objects_are_restated(name: str) -> None:
    whole = Path(str(get_testdata_file(f"{name}.dcm"))).read_bytes()
    before = pydicom.dcmread(io.BytesIO(whole))
    head = part10.header(
        sop_class=before.SOPClassUID,
        sop_uid=before.SOPInstanceUID,
        transfer_syntax=before.file_meta.TransferSyntaxUID,
        sender="CT",
    )
    file_start = 132 + 12 + before.file_meta.FileMetaInformationGroupLength
    _, after = read(head + whole[file_start:], {"study_uid": "2.25.1", "accession": "A1"}, "ascii")
    assert (after.StudyInstanceUID, after.AccessionNumber) == ("2.25.1", "A1")
    assert after.get("PixelData") == before.get("PixelData")


def test_what_is_no_stored_object_is_told_as_a_fault_of_the_store() -> None:
    file = io.BytesIO(b"no DICOM at all")
    with pytest.raises(StorageError):
        restated(file, {"accession": "A1"}, "ascii")
    assert file.closed
