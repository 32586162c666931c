"""Who does not take what is stored as it is gets it encoded anew, or is told what cannot be."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import UID, RLELossless

from pacs_gateway.gateway import Gateway
from tests.integration.gateway.conftest import Write
from tests.integration.gateway.fetching import RELATED, kept, parts_of, series_of, study_of
from tests.integration.gateway.framing import with_frames
from tests.integration.gateway.sending import real


@pytest.mark.parametrize(
    ("name", "stored"), [("RG1_J2KI", "1.2.840.10008.1.2.4.91"), ("MR_small_RLE", "1.2.840.10008.1.2.5")]
)
async def test_one_instance_is_encoded_anew_for_who_does_not_take_it_as_it_is_stored(
    gateway: Gateway, viewer: httpx.AsyncClient, objects: Path, name: str, stored: str
) -> None:
    path = await kept(gateway, objects, real(name))
    explicit = "transfer-syntax=1.2.840.10008.1.2.1"
    as_stored = await viewer.get(path, headers={"accept": "application/dicom"})
    alone = await viewer.get(path, headers={"accept": f"application/dicom; {explicit}"})
    ((kind, body),) = parts_of(await viewer.get(path, headers={"accept": f"{RELATED}; {explicit}"}))
    assert as_stored.headers["content-type"] == f"application/dicom; transfer-syntax={stored}"
    assert alone.headers["content-type"] == kind == f"application/dicom; {explicit}"
    assert body == alone.content
    one, other = (pydicom.dcmread(io.BytesIO(answer.content)) for answer in (as_stored, alone))
    assert other.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert other.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID == other.SOPInstanceUID
    assert (one.pixel_array == other.pixel_array).all()


async def test_what_holds_no_picture_or_cannot_be_decoded_is_not_encoded_anew(
    gateway: Gateway, viewer: httpx.AsyncClient, radiograph: Write, objects: Path
) -> None:
    broken = with_frames(radiograph(), RLELossless, encapsulate([b"\1\0" * 40]), 1)
    for file, target in ((broken, "1.2.840.10008.1.2.1"), (real("test-SR"), "1.2.840.10008.1.2.4.80")):
        path = await kept(gateway, objects, file)
        answer = await viewer.get(path, headers={"accept": f"application/dicom; transfer-syntax={target}"})
        assert answer.status_code == 406


def of_study(file: Path, study: str, number: int, target: Path) -> Path:
    dataset = pydicom.dcmread(file)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.InstanceNumber = study, f"{study}.1", number
    dataset.SOPInstanceUID = f"{study}.1.{number}"
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(dataset.SOPInstanceUID)
    dataset.save_as(target)
    return target


async def test_a_study_in_a_named_transfer_syntax_has_what_is_kept_otherwise_encoded_anew(
    gateway: Gateway, viewer: httpx.AsyncClient, radiograph: Write, objects: Path, tmp_path: Path
) -> None:
    study = "1.2.826.0.1.4"
    names = ("MR_small", "MR_small_jpeg_ls_lossless", "MR_small_RLE")
    files = [of_study(real(name), study, number, tmp_path / name) for number, name in enumerate(names, 1)]
    path = await kept(gateway, objects, *files)
    for address, syntax in ((study_of(path), "1.2.840.10008.1.2.1"), (series_of(path), "1.2.840.10008.1.2.4.80")):
        answer = await viewer.get(address, headers={"accept": f"{RELATED}; transfer-syntax={syntax}"})
        assert (answer.status_code, answer.headers.get("warning")) == (200, None)
        told = parts_of(answer)
        assert {kind for kind, _ in told} == {f"application/dicom; transfer-syntax={syntax}"}
        read = [pydicom.dcmread(io.BytesIO(body)) for _, body in told]
        assert [one.SOPInstanceUID for one in read] == [f"{study}.1.{number}" for number in (1, 2, 3)]
        for one, file in zip(read, files, strict=True):
            assert one.file_meta.TransferSyntaxUID == syntax
            assert (one.pixel_array == pydicom.dcmread(file).pixel_array).all()


async def test_what_cannot_be_had_in_a_transfer_syntax_that_is_taken_is_left_out_and_said_to_be(
    gateway: Gateway, viewer: httpx.AsyncClient, radiograph: Write, objects: Path
) -> None:
    study = "1.2.826.0.1.2"
    packed = with_frames(radiograph(StudyInstanceUID=study), RLELossless, encapsulate([b"\1\0" * 40]), 1)
    path = await kept(gateway, objects, radiograph(StudyInstanceUID=study), packed)
    explicit = f"{RELATED}; transfer-syntax=1.2.840.10008.1.2.1"
    assert (await viewer.get(path, headers={"accept": explicit})).status_code == 200
    partly = await viewer.get(study_of(path), headers={"accept": explicit})
    assert (partly.status_code, len(parts_of(partly))) == (206, 1)
    assert partly.headers["warning"].startswith('299 hutong "1 of 2 instances')
    assert "etag" not in partly.headers
    lossy = f"{RELATED}; transfer-syntax=1.2.840.10008.1.2.4.50"
    assert (await viewer.get(study_of(path), headers={"accept": lossy})).status_code == 406
    alone = "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"
    assert (await viewer.get(study_of(path), headers={"accept": alone})).status_code == 406
    assert (await viewer.get(path, headers={"accept": "text/html"})).status_code == 406
    assert (await viewer.get(path, params={"accept": "image/png"})).status_code == 406


async def test_a_study_that_broke_off_at_what_cannot_be_encoded_comes_without_it_the_next_time(
    gateway: Gateway, viewer: httpx.AsyncClient, radiograph: Write, objects: Path, tmp_path: Path
) -> None:
    study = "1.2.826.0.1.6"
    garbage = with_frames(radiograph(), RLELossless, encapsulate([b"\1\0" * 40]), 1)
    files = (real("MR_small_RLE"), garbage, real("MR_small_jpeg_ls_lossless"))
    path = await kept(
        gateway,
        objects,
        *(of_study(file, study, number, tmp_path / f"{number}") for number, file in enumerate(files, 1)),
    )
    explicit = {"accept": f"{RELATED}; transfer-syntax=1.2.840.10008.1.2.1"}
    with pytest.raises(ConnectionAbortedError):  # as a server has it, that breaks off what it has begun to answer
        await viewer.get(study_of(path), headers=explicit)
    answer = await viewer.get(study_of(path), headers=explicit)
    read = [pydicom.dcmread(io.BytesIO(body)) for _, body in parts_of(answer)]
    assert (answer.status_code, [one.InstanceNumber for one in read]) == (206, [1, 3])
