"""An object with a wrong label of characters is served in Unicode whoever asks, and its own bytes stay to be had."""

from __future__ import annotations

import asyncio
import json
from io import BytesIO
from pathlib import Path

import asyncpg
import httpx
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from pacs_gateway.gateway import Gateway
from tests.integration.gateway.conftest import RecordingIntake, Write
from tests.integration.gateway.fetching import path_of
from tests.integration.gateway.sending import SUCCESS, data_set_of, indexed, send_raw, settled
from tests.integration.gateway.test_getting import CR, fetch
from tests.integration.gateway.test_querying import identifier

NAME, VIEW = "张^智宏", "胸部正位片"


@pytest.fixture
def mislabelled(radiograph: Write) -> Path:
    """GBK under ISO_IR 100, in a sequence too."""
    view = Dataset()
    view.CodeMeaning = VIEW
    file = radiograph(SpecificCharacterSet="GB18030", PatientName=NAME, ViewCodeSequence=[view])
    content = file.read_bytes()
    assert content.count(b"CS\x08\0GB18030 ") == 1
    file.write_bytes(content.replace(b"CS\x08\0GB18030 ", b"CS\x0a\0ISO_IR 100"))
    return file


async def keep(gateway: Gateway, objects: Path, file: Path) -> None:
    assert await asyncio.to_thread(send_raw, gateway.port, [file]) == [SUCCESS]
    await settled(objects)


def is_repaired(dataset: Dataset) -> bool:
    return (dataset.SpecificCharacterSet, dataset.PatientName, dataset.ViewCodeSequence[0].CodeMeaning) == (
        "ISO_IR 192",
        NAME,
        VIEW,
    )


async def test_a_viewer_gets_it_in_unicode_and_as_it_was_sent_when_it_asks_for_that(
    gateway: Gateway, objects: Path, viewer: httpx.AsyncClient, mislabelled: Path
) -> None:
    await keep(gateway, objects, mislabelled)
    path, accept = path_of(mislabelled), {"accept": "application/dicom"}
    instance = await viewer.get(path, headers=accept)
    read = pydicom.dcmread(BytesIO(instance.content))
    assert is_repaired(read)
    assert read.PixelData == pydicom.dcmread(mislabelled).PixelData
    as_sent = await viewer.get(f"{path}?as-sent=true", headers=accept)
    assert as_sent.content.endswith(data_set_of(mislabelled))
    study = await viewer.get(path.partition("/series")[0])
    assert "智宏".encode() in study.content
    assert "智宏".encode("gbk") not in study.content

    (metadata,) = (await viewer.get(f"{path}/metadata")).json()
    assert metadata["00080005"]["Value"] == ["ISO_IR 192"]
    assert metadata["00540220"]["Value"][0]["00080104"]["Value"] == [VIEW]
    (found,) = (await viewer.get("/dicomweb/studies?PatientName=zhang*&fuzzymatching=true")).json()
    assert found["00100010"]["Value"][0]["Alphabetic"] == NAME
    frame = await viewer.get(f"{path}/frames/1", headers={"accept": "application/octet-stream"})
    assert frame.content == read.PixelData
    assert (await viewer.get(f"{path}/rendered")).headers["content-type"] == "image/png"


async def test_a_workstation_gets_it_in_unicode(gateway: Gateway, objects: Path, mislabelled: Path) -> None:
    await keep(gateway, objects, mislabelled)
    one = pydicom.dcmread(mislabelled, stop_before_pixels=True)
    asked = identifier("STUDY", StudyInstanceUID=str(one.StudyInstanceUID))
    got = await asyncio.to_thread(fetch, gateway.port, asked, [(CR, [ExplicitVRLittleEndian])])
    assert got.status == SUCCESS
    (data_set,) = got.objects.values()
    read = pydicom.dcmread(BytesIO(data_set), force=True)
    assert is_repaired(read)


async def test_one_with_a_right_label_goes_out_with_the_bytes_that_came(
    gateway: Gateway, objects: Path, viewer: httpx.AsyncClient, radiograph: Write
) -> None:
    file = radiograph(SpecificCharacterSet="GB18030", PatientName=NAME)
    await keep(gateway, objects, file)
    instance = await viewer.get(path_of(file), headers={"accept": "application/dicom"})
    assert instance.content.endswith(data_set_of(file))


async def test_the_same_bytes_again_are_a_repeat_and_the_manifest_says_what_was_found(
    gateway: Gateway, objects: Path, pool: asyncpg.Pool, intake: RecordingIntake, mislabelled: Path
) -> None:
    await keep(gateway, objects, mislabelled)
    await keep(gateway, objects, mislabelled)
    (row,) = (await indexed(pool)).values()
    assert not row["conflict"]
    told = json.loads((await intake.of(row["study_uid"])).payload)
    assert told["charset"] == {"declared": "ISO_IR 100", "used": "gb18030", "doubtful": False}
    evidence = {one["code"]: one for one in told["findings"]}
    assert "ISO_IR 100" in evidence["charset-repaired"]["text"]
    assert evidence["charset-repaired"]["severity"] == "information"
    assert evidence["charset-mislabelled"]["severity"] == "warning"
