"""Metadata of what is stored say everything but pixels, are prepared once, and do not fill the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from pacs_gateway.dicomweb import dicom_json
from pacs_gateway.dicomweb import kept as kept_files
from pacs_gateway.gateway import Gateway
from tests.integration.gateway.conftest import Write
from tests.integration.gateway.fetching import kept, parts_of, series_of, study_of
from tests.integration.gateway.sending import data_set_of


async def test_metadata_say_everything_but_pixels_and_name_those_by_an_address_that_works(
    gateway: Gateway, viewer: httpx.AsyncClient, radiograph: Write, objects: Path
) -> None:
    item = Dataset()
    item.add_new(0x00091010, "OB", bytes(range(256)) * 8)
    file = radiograph(WindowCenter="40.50", ReferencedImageSequence=Items([item]))
    path = await kept(gateway, objects, file)
    answer = await viewer.get(f"{path}/metadata")
    assert answer.headers["content-type"] == "application/dicom+json"
    (told,) = answer.json()
    assert '"00281050":{"vr":"DS","Value":[40.50]}' in answer.text
    assert told["00083002"]["Value"] == ["1.2.840.10008.1.2.1"]
    assert Dataset.from_json({k: v for k, v in told.items() if "BulkDataURI" not in v}).PatientID == "P0001"
    ((_, body),) = parts_of(await viewer.get(told["7FE00010"]["BulkDataURI"]))
    assert body == pydicom.dcmread(file).PixelData
    nested = told["00081140"]["Value"][0]["00091010"]["BulkDataURI"]
    single = await viewer.get(nested, headers={"accept": "application/octet-stream"})
    assert single.content == bytes(range(256)) * 8
    for wrong in ("00081140/7/00091010", "00081140", "xx", "00091010", "00081140/0/00091010/1"):
        assert (await viewer.get(f"{path}/bulkdata/{wrong}")).status_code == 404


@pytest.mark.parametrize("label", ["ISO_IR 100", "", "GB2312", "ISO IR 192"])
async def test_chinese_text_of_a_wrong_label_is_told_in_utf_8(
    gateway: Gateway, viewer: httpx.AsyncClient, radiograph: Write, objects: Path, label: str
) -> None:
    file = radiograph(SpecificCharacterSet="GB18030", PatientName="Wang^Xiaoming=王^小明", OperatorsName="李^护士")
    content = file.read_bytes()
    at = content.index(b"\x08\x00\x05\x00CS")
    written = label.encode() + b" " * (len(label) % 2)
    length = int.from_bytes(content[at + 6 : at + 8], "little")
    content = content[: at + 6] + len(written).to_bytes(2, "little") + written + content[at + 8 + length :]
    file.write_bytes(content)
    path = await kept(gateway, objects, file)
    (told,) = (await viewer.get(f"{path}/metadata")).json()
    assert told["00080005"]["Value"] == ["ISO_IR 192"]
    assert told["00100010"]["Value"] == [{"Alphabetic": "Wang^Xiaoming", "Ideographic": "王^小明"}]
    assert told["00081070"]["Value"][0]["Alphabetic"] == "李^护士"


async def test_metadata_are_prepared_once_and_not_sent_to_who_has_them(
    gateway: Gateway,
    viewer: httpx.AsyncClient,
    radiograph: Write,
    objects: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = "1.2.826.0.1.3"
    path = await kept(gateway, objects, *(radiograph(StudyInstanceUID=study) for _ in range(3)))
    written: list[Any] = []

    def writes(*arguments: Any) -> bytes:
        written.append(arguments)
        return dicom_json.written(*arguments)

    monkeypatch.setattr("pacs_gateway.dicomweb.metadata.written", writes)
    first = await viewer.get(f"{study_of(path)}/metadata", headers={"accept-encoding": "gzip"})
    again = await viewer.get(f"{study_of(path)}/metadata", headers={"accept-encoding": "identity"})
    assert first.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in again.headers
    assert first.json() == again.json()
    assert len(written) == 3
    tag = first.headers["etag"]
    known = await viewer.get(f"{study_of(path)}/metadata", headers={"if-none-match": tag})
    assert (known.status_code, known.content) == (304, b"")
    await kept(gateway, objects, radiograph(StudyInstanceUID=study))
    grown = await viewer.get(f"{study_of(path)}/metadata", headers={"if-none-match": tag})
    assert (grown.status_code, len(grown.json())) == (200, 4)


async def test_kept_metadata_do_not_fill_the_disk(
    gateway: Gateway, viewer: httpx.AsyncClient, radiograph: Write, objects: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_files, "MOST_OF_A_STUDY", 3)
    path = await kept(gateway, objects, radiograph())
    for number in range(10):
        answer = await viewer.get(f"{series_of(path)}/metadata", headers={"host": f"host{number}"})
        assert f"http://host{number}/dicomweb/" in answer.text
    assert len(list((objects / "metadata").rglob("*.gz"))) <= 3


async def test_an_object_that_cannot_be_walked_through_is_told_as_the_index_knows_it(
    gateway: Gateway, viewer: httpx.AsyncClient, radiograph: Write, objects: Path
) -> None:
    item = Dataset()
    item.PatientComments = "x" * 10
    file = radiograph(ReferencedImageSequence=Items([item]))
    content = bytearray(file.read_bytes())
    at = content.index(b"\x10\x00\x00\x40LT")
    content[at + 6] = 250  # longer than the item it is in, which the reception does not look into
    file.write_bytes(content)
    path = await kept(gateway, objects, file)
    (told,) = (await viewer.get(f"{path}/metadata")).json()
    assert told["00080018"]["Value"] == [path.rsplit("/", 1)[1]]
    assert (await viewer.get(path, headers={"accept": "application/dicom"})).content.endswith(data_set_of(file))


async def test_what_is_kept_is_there_whole_and_alone(tmp_path: Path) -> None:
    folder = kept_files.Kept(tmp_path)
    assert await folder.get("study", "one.json.gz") is None
    await folder.put("study", "one.json.gz", b"[]")
    assert await folder.get("study", "one.json.gz") == b"[]"
    assert [one.name for one in (tmp_path / "study").iterdir()] == ["one.json.gz"]
