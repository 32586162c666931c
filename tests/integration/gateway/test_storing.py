"""An object sent to the gateway is kept exactly, indexed and announced to the engine."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import asyncpg
import pydicom
import pytest

from engine import clock
from engine.store.statements import as_sent
from pacs_gateway.gateway import Gateway
from pacs_gateway.storage_classes import STORAGE_CLASSES
from tests.integration.gateway.conftest import RecordingIntake, Run, Start, Write
from tests.integration.gateway.sending import SUCCESS, bytes_of, data_set_of, real, send_raw, settled, stored

WHOLE = [
    "693_J2KR", "CT_small", "ExplVR_BigEnd", "image_dfl", "JPEG2000", "JPEG-LL", "JPEG-lossy", "JPGExtended",
    "JPGLosslessP14SV1_1s_1f_8b", "MR_small_bigendian", "MR_small_implicit", "MR_small_jpeg_ls_lossless",
    "MR_small_RLE", "MR_small_padded", "OBXXXX1A_rle_2frame", "RG1_J2KI", "RG3_UNCR", "SC_rgb_jpeg_gdcm",
    "SC_rgb_small_odd", "color3d_jpeg_baseline", "emri_small_jpeg_2k_lossless", "examples_ybr_color",
    "explicit_VR-UN", "liver_1frame", "reportsi", "test-SR", "waveform_ecg",
]  # fmt: skip
"""Real files: every kind of transfer syntax, odd lengths, padding, private sequences, no pixels."""


async def test_a_known_station_is_echoed(gateway: Gateway, dcmtk: Run) -> None:
    said = await dcmtk("echoscu", "-aet", "DR_BAISHI", "-aec", "HUTONG", "127.0.0.1", gateway.port)
    assert said.code == 0, said.output


@pytest.mark.parametrize("calling", ["STRANGER", "DR_ELSEWHERE"], ids=["in no entry", "from another host than its own"])
async def test_an_unknown_station_is_refused_with_the_reason(gateway: Gateway, dcmtk: Run, calling: str) -> None:
    said = await dcmtk("echoscu", "-aet", calling, "-aec", "HUTONG", "127.0.0.1", gateway.port)
    assert said.code != 0
    assert "Calling AE Title Not Recognized" in said.output


async def test_an_unknown_station_is_taken_where_a_default_facility_says_so(
    start: Start, dcmtk: Run, intake: RecordingIntake, radiograph: Write
) -> None:
    gateway = await start(default_facility="liushu")
    file = radiograph()
    said = await dcmtk("storescu", "-aet", "STRANGER", "-aec", "HUTONG", "127.0.0.1", gateway.port, file)
    assert said.code == 0, said.output
    assert (await intake.of(pydicom.dcmread(file).StudyInstanceUID)).facility == "liushu"


async def test_the_bytes_of_real_objects_are_kept_exactly(gateway: Gateway, pool: asyncpg.Pool, objects: Path) -> None:
    files = {name: real(name) for name in WHOLE}
    for name, file in files.items():
        assert await asyncio.to_thread(send_raw, gateway.port, [file]) == [SUCCESS], name
    await settled(objects)
    rows = {row["sha256"]: row for row in await pool.fetch("select * from instance")}
    for name, file in files.items():  # several are one instance in other encodings
        sent = pydicom.filereader.read_file_meta_info(file)
        row = rows[sha256(data_set_of(file)).digest()]
        kept = bytes_of(objects, row["location"])
        read = pydicom.dcmread(BytesIO(kept))
        assert kept.endswith(data_set_of(file)), name
        assert read.file_meta.TransferSyntaxUID == sent.TransferSyntaxUID == row["transfer_syntax"], name
        assert read.SOPInstanceUID == row["sop_uid"] == sent.MediaStorageSOPInstanceUID, name


PROPOSALS = {
    "-R": ["CT_small", "ExplVR_BigEnd", "waveform_ecg", "test-SR", "examples_rgb_color"],
    "-xi": ["MR_small_implicit"],
    "-xd": ["image_dfl"],
    "-xs": ["SC_rgb_jpeg_gdcm"],
    "-xv": ["RG1_J2KR"],
    "-xw": ["JPEG2000"],
    "-xt": ["emri_small_jpeg_ls_lossless"],
    "-xr": ["SC_rgb_rle"],
}


async def test_storescu_of_dcmtk_is_served_in_whatever_it_proposes(
    gateway: Gateway, dcmtk: Run, pool: asyncpg.Pool, objects: Path
) -> None:
    to_us = ("-aet", "DR_BAISHI", "-aec", "HUTONG", "127.0.0.1", gateway.port)
    for proposing, names in PROPOSALS.items():
        said = await dcmtk("storescu", proposing, *to_us, *(real(name) for name in names))
        assert said.code == 0, (proposing, said.output)
    rows = await stored(pool, objects)
    sent = {str(pydicom.dcmread(real(name)).SOPInstanceUID) for names in PROPOSALS.values() for name in names}
    assert set(rows) == sent
    for row in rows.values():
        kept = bytes_of(objects, row["location"])
        assert sha256(kept[-row["bytes"] :]).digest() == row["sha256"]
        assert pydicom.dcmread(BytesIO(kept)).file_meta.TransferSyntaxUID == row["transfer_syntax"]
    syntaxes = {row["transfer_syntax"] for row in rows.values()}
    assert len(syntaxes) == len(PROPOSALS)


async def test_a_study_is_announced_once_it_is_quiet(
    start: Start, dcmtk: Run, intake: RecordingIntake, radiograph: Write, objects: Path
) -> None:
    now = [clock.now()]
    gateway = await start(at=lambda: now[0])
    first = radiograph(PatientName="张^智宏", SpecificCharacterSet="GB18030")
    study = pydicom.dcmread(first)
    second = radiograph(
        StudyInstanceUID=study.StudyInstanceUID, SeriesInstanceUID=study.SeriesInstanceUID, InstanceNumber=2
    )
    said = await dcmtk("storescu", "-aet", "DR_BAISHI", "-aec", "HUTONG", "127.0.0.1", gateway.port, second, first)
    assert said.code == 0, said.output
    await settled(objects)
    assert intake.submitted == []
    now[0] += timedelta(seconds=1)
    submitted = await intake.of(study.StudyInstanceUID)
    told = json.loads(submitted.payload)
    assert (submitted.channel, submitted.facility, submitted.patient_ids) == ("imaging", "baishi", ["P0001"])
    assert [instance["number"] for instance in told["series"][0]["instances"]] == [1, 2]
    assert told["ae_title"] == "DR_BAISHI"


async def test_an_instance_that_comes_late_announces_the_study_again(
    gateway: Gateway, dcmtk: Run, intake: RecordingIntake, radiograph: Write
) -> None:
    first = radiograph()
    study_uid = pydicom.dcmread(first).StudyInstanceUID
    store = ("storescu", "-aet", "DR_BAISHI", "-aec", "HUTONG", "127.0.0.1", gateway.port)
    await dcmtk(*store, first)
    await intake.of(study_uid)
    await dcmtk(*store, radiograph(StudyInstanceUID=study_uid, InstanceNumber=2))
    told = json.loads((await intake.of(study_uid, count=2)).payload)
    assert sum(len(series["instances"]) for series in told["series"]) == 2


async def test_the_same_object_again_is_a_repeat(
    gateway: Gateway, dcmtk: Run, pool: asyncpg.Pool, intake: RecordingIntake, radiograph: Write, objects: Path
) -> None:
    file = radiograph()
    store = ("storescu", "-aet", "DR_BAISHI", "-aec", "HUTONG", "127.0.0.1", gateway.port, file)
    assert (await dcmtk(*store)).code == 0
    assert (await dcmtk(*store)).code == 0
    await settled(objects)
    assert await pool.fetchval("select count(*) from instance") == 1
    assert await pool.fetchval("select revision from study") == 1


async def test_other_content_under_a_used_uid_is_kept_apart_and_found(
    gateway: Gateway, dcmtk: Run, pool: asyncpg.Pool, intake: RecordingIntake, objects: Path, radiograph: Write
) -> None:
    first = radiograph()
    sent = pydicom.dcmread(first)
    uids = {keyword: sent[keyword].value for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")}
    second = radiograph(**uids, PatientName="Other^Person")
    store = ("storescu", "-aet", "DR_BAISHI", "-aec", "HUTONG", "127.0.0.1", gateway.port)
    assert (await dcmtk(*store, first)).code == 0
    await intake.of(sent.StudyInstanceUID)
    assert (await dcmtk(*store, second)).code == 0
    told = json.loads((await intake.of(sent.StudyInstanceUID, count=2)).payload)
    assert [finding["code"] for finding in told["findings"]] == ["sop-uid-conflict"]
    assert told["patient_name"] == "Test^One"
    await settled(objects)
    rows = await pool.fetch("select conflict, location from instance order by conflict")
    assert [row["conflict"] for row in rows] == [False, True]
    assert bytes_of(objects, rows[0]["location"]) != bytes_of(objects, rows[1]["location"])


async def test_the_same_uid_at_two_facilities_is_no_conflict(
    gateway: Gateway, dcmtk: Run, pool: asyncpg.Pool, radiograph: Write, objects: Path
) -> None:
    file = radiograph()
    for calling in ("DR_BAISHI", "DR_QINGXI"):
        said = await dcmtk("storescu", "-aet", calling, "-aec", "HUTONG", "127.0.0.1", gateway.port, file)
        assert said.code == 0
    await settled(objects)
    rows = await pool.fetch("select facility, conflict from instance order by facility")
    assert [(row["facility"], row["conflict"]) for row in rows] == [("baishi", False), ("qingxi", False)]


async def test_a_mislabelled_name_is_repaired_in_index_and_manifest_and_kept_in_the_object(
    gateway: Gateway, intake: RecordingIntake, pool: asyncpg.Pool, objects: Path, radiograph: Write
) -> None:
    file = radiograph(PatientName="XXXXXX", SpecificCharacterSet="ISO_IR 100")
    file.write_bytes(file.read_bytes().replace(b"XXXXXX", "张智宏".encode("gbk")))
    assert await asyncio.to_thread(send_raw, gateway.port, [file]) == [SUCCESS]
    (row,) = (await stored(pool, objects)).values()
    assert json.loads(row["tags"])["patient_name"] == "张智宏"
    assert "张智宏".encode("gbk") in bytes_of(objects, as_sent(row["location"]))
    told = json.loads((await intake.of(row["study_uid"])).payload)
    assert (told["patient_name"], told["charset"]["declared"]) == ("张智宏", "ISO_IR 100")
    assert "charset-mislabelled" in {finding["code"] for finding in told["findings"]}


async def test_many_associations_at_once_are_all_served(
    gateway: Gateway, pool: asyncpg.Pool, radiograph: Write, objects: Path
) -> None:
    files = [radiograph(InstanceNumber=number) for number in range(24)]
    sent = await asyncio.gather(*(asyncio.to_thread(send_raw, gateway.port, files[at::8]) for at in range(8)))
    assert sent == [[SUCCESS] * 3] * 8
    await settled(objects)
    assert await pool.fetchval("select count(*) from instance") == 24


async def test_one_object_sent_by_many_at_once_is_stored_once(
    gateway: Gateway, pool: asyncpg.Pool, objects: Path, radiograph: Write
) -> None:
    file = radiograph()
    sent = await asyncio.gather(*(asyncio.to_thread(send_raw, gateway.port, [file]) for _ in range(6)))
    assert sent == [[SUCCESS]] * 6
    await settled(objects)
    (row,) = await pool.fetch("select location, conflict from instance")
    assert bytes_of(objects, row["location"]).endswith(data_set_of(file))


def test_every_storage_class_that_the_libraries_know_is_accepted() -> None:
    from pynetdicom import AllStoragePresentationContexts

    assert {str(context.abstract_syntax) for context in AllStoragePresentationContexts} <= set(STORAGE_CLASSES)
    assert "1.2.840.10008.5.1.4.1.1.9.1.1" in STORAGE_CLASSES  # 12-lead ECG
    assert "1.2.840.10008.5.1.4.1.1.6" in STORAGE_CLASSES  # ultrasound, retired in 1995 and still sent
