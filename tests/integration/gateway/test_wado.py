"""Stored studies are fetched by WADO-RS: as they are, as metadata, frame by frame; and nothing to whoever may not."""

from __future__ import annotations

import asyncio
import io
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, JPEGBaseline8Bit, RLELossless

from pacs_gateway.dicomweb import dicom_json
from pacs_gateway.dicomweb import kept as kept_files
from pacs_gateway.gateway import Gateway
from tests.integration.gateway.conftest import Write
from tests.integration.gateway.sending import SUCCESS, data_set_of, real, send_raw, settled
from tests.integration.gateway.serving import Somebody, application, client_of

RELATED = 'multipart/related; type="application/dicom"'


@pytest.fixture
async def viewer(pool: asyncpg.Pool, objects: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(application(pool, objects, Somebody())) as client:
        yield client


async def kept(gateway: Gateway, objects: Path, *files: Path, calling: str = "DR_BAISHI") -> str:
    """Stores files; the path of the first."""
    assert set(await asyncio.to_thread(send_raw, gateway.port, files, calling)) == {SUCCESS}
    await settled(objects)
    sent = pydicom.dcmread(files[0], stop_before_pixels=True)
    uids = (sent.StudyInstanceUID, sent.SeriesInstanceUID, sent.SOPInstanceUID)
    return "/dicomweb/studies/{}/series/{}/instances/{}".format(*uids)


def study_of(path: str) -> str:
    return path.split("/series/")[0]


def series_of(path: str) -> str:
    return path.split("/instances/")[0]


def parts_of(answer: httpx.Response) -> list[tuple[str, bytes]]:
    """Content-Type and content of each part."""
    boundary = answer.headers["content-type"].partition("boundary=")[2].encode()
    assert answer.content.endswith(b"\r\n--%b--\r\n" % boundary)
    found = []
    for part in (b"\r\n" + answer.content).split(b"\r\n--%b" % boundary)[1:-1]:
        head, _, body = part.partition(b"\r\n\r\n")
        found.append((head.decode().split("Content-Type: ")[1].split("\r\n")[0], body))
    return found


def with_frames(path: Path, syntax: str, fragments: bytes, count: int) -> Path:
    """The same object with encapsulated frames of our making."""
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.NumberOfFrames = count
    dataset["PixelData"].VR = "OB"
    dataset.PixelData = fragments
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path)
    return path


async def test_a_study_and_a_series_come_with_all_their_instances(
    gateway: Gateway, viewer: httpx.AsyncClient, radiograph: Write, objects: Path
) -> None:
    study, series = "1.2.826.0.1.1", "1.2.826.0.1.1.1"
    files = [radiograph(StudyInstanceUID=study, SeriesInstanceUID=series, InstanceNumber=n) for n in (2, 1)]
    files.append(radiograph(StudyInstanceUID=study, SeriesInstanceUID=series + ".9"))
    path = await kept(gateway, objects, *files)
    answer = await viewer.get(study_of(path), headers={"accept": RELATED})
    assert answer.status_code == 200
    bodies = [body for _, body in parts_of(answer)]
    for body, file in zip(bodies, (files[1], files[0], files[2]), strict=True):
        assert body.endswith(data_set_of(file))
    of_series = await viewer.get(series_of(path), headers={"accept": f"{RELATED}; transfer-syntax=*"})
    assert len(parts_of(of_series)) == 2


@pytest.mark.parametrize(
    ("name", "stored"), [("RG1_J2KI", "1.2.840.10008.1.2.4.91"), ("MR_small_RLE", "1.2.840.10008.1.2.5")]
)
async def test_one_instance_is_encoded_anew_for_who_does_not_take_it_as_it_is_stored(
    gateway: Gateway, pool: asyncpg.Pool, objects: Path, name: str, stored: str
) -> None:
    path = await kept(gateway, objects, real(name))
    app = application(pool, objects, Somebody())
    explicit = "transfer-syntax=1.2.840.10008.1.2.1"
    async with client_of(app) as viewer:
        as_stored = await viewer.get(path, headers={"accept": "application/dicom"})
        alone = await viewer.get(path, headers={"accept": f"application/dicom; {explicit}"})
        ((kind, body),) = parts_of(await viewer.get(path, headers={"accept": f"{RELATED}; {explicit}"}))
    await app.state.imaging.close()
    assert as_stored.headers["content-type"] == f"application/dicom; transfer-syntax={stored}"
    assert alone.headers["content-type"] == kind == f"application/dicom; {explicit}"
    assert body == alone.content
    one, other = (pydicom.dcmread(io.BytesIO(answer.content)) for answer in (as_stored, alone))
    assert other.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert other.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID == other.SOPInstanceUID
    assert (one.pixel_array == other.pixel_array).all()


async def test_what_holds_no_picture_or_cannot_be_decoded_is_not_encoded_anew(
    gateway: Gateway, pool: asyncpg.Pool, radiograph: Write, objects: Path
) -> None:
    broken = with_frames(radiograph(), RLELossless, encapsulate([b"\1\0" * 40]), 1)
    app = application(pool, objects, Somebody())
    async with client_of(app) as viewer:
        for file, target in ((broken, "1.2.840.10008.1.2.1"), (real("test-SR"), "1.2.840.10008.1.2.4.80")):
            path = await kept(gateway, objects, file)
            answer = await viewer.get(path, headers={"accept": f"application/dicom; transfer-syntax={target}"})
            assert answer.status_code == 406
    await app.state.imaging.close()


def of_study(file: Path, study: str, number: int, target: Path) -> Path:
    dataset = pydicom.dcmread(file)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.InstanceNumber = study, f"{study}.1", number
    dataset.SOPInstanceUID = f"{study}.1.{number}"
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(dataset.SOPInstanceUID)
    dataset.save_as(target)
    return target


async def test_a_study_in_a_named_transfer_syntax_has_what_is_kept_otherwise_encoded_anew(
    gateway: Gateway, pool: asyncpg.Pool, radiograph: Write, objects: Path, tmp_path: Path
) -> None:
    study = "1.2.826.0.1.4"
    names = ("MR_small", "MR_small_jpeg_ls_lossless", "MR_small_RLE")
    files = [of_study(real(name), study, number, tmp_path / name) for number, name in enumerate(names, 1)]
    path = await kept(gateway, objects, *files)
    app = application(pool, objects, Somebody())
    async with client_of(app) as viewer:
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
    await app.state.imaging.close()


async def test_what_cannot_be_had_in_a_transfer_syntax_that_is_taken_is_left_out_and_said_to_be(
    gateway: Gateway, pool: asyncpg.Pool, radiograph: Write, objects: Path
) -> None:
    study = "1.2.826.0.1.2"
    packed = with_frames(radiograph(StudyInstanceUID=study), RLELossless, encapsulate([b"\1\0" * 40]), 1)
    path = await kept(gateway, objects, radiograph(StudyInstanceUID=study), packed)
    app = application(pool, objects, Somebody())
    async with client_of(app) as viewer:
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
    await app.state.imaging.close()


async def test_a_study_that_broke_off_at_what_cannot_be_encoded_comes_without_it_the_next_time(
    gateway: Gateway, pool: asyncpg.Pool, radiograph: Write, objects: Path, tmp_path: Path
) -> None:
    study = "1.2.826.0.1.6"
    garbage = with_frames(radiograph(), RLELossless, encapsulate([b"\1\0" * 40]), 1)
    files = (real("MR_small_RLE"), garbage, real("MR_small_jpeg_ls_lossless"))
    path = await kept(
        gateway,
        objects,
        *(of_study(file, study, number, tmp_path / f"{number}") for number, file in enumerate(files, 1)),
    )
    app = application(pool, objects, Somebody())
    explicit = {"accept": f"{RELATED}; transfer-syntax=1.2.840.10008.1.2.1"}
    async with client_of(app) as viewer:
        with pytest.raises(ConnectionAbortedError):  # as a server has it, that breaks off what it has begun to answer
            await viewer.get(study_of(path), headers=explicit)
        answer = await viewer.get(study_of(path), headers=explicit)
    await app.state.imaging.close()
    read = [pydicom.dcmread(io.BytesIO(body)) for _, body in parts_of(answer)]
    assert (answer.status_code, [one.InstanceNumber for one in read]) == (206, [1, 3])


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


async def test_native_frames_are_cut_out_by_arithmetic(
    gateway: Gateway, viewer: httpx.AsyncClient, radiograph: Write, objects: Path
) -> None:
    frames = [bytes([number]) * 512 for number in range(5)]
    path = await kept(gateway, objects, radiograph(NumberOfFrames=5, PixelData=b"".join(frames)))
    parts = parts_of(await viewer.get(f"{path}/frames/5,1,3"))
    assert [body for _, body in parts] == [frames[4], frames[0], frames[2]]
    assert {kind for kind, _ in parts} == {"application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"}
    single = await viewer.get(f"{path}/frames/2", headers={"accept": "application/octet-stream"})
    assert single.content == frames[1]
    statuses = {
        numbers: (await viewer.get(f"{path}/frames/{numbers}")).status_code
        for numbers in ("6", "0", "-1", "a", "1,,2", "1;2", "9" * 12)
    }
    assert statuses == {"6": 404, "0": 400, "-1": 400, "a": 400, "1,,2": 400, "1;2": 400, "9" * 12: 400}


@pytest.mark.parametrize("table", ["basic", "none", "lying", "several fragments"])
async def test_encapsulated_frames_are_found_by_their_table_or_without(
    gateway: Gateway, viewer: httpx.AsyncClient, radiograph: Write, objects: Path, table: str
) -> None:
    frames = [b"\xff\xd8\xff" + bytes([number]) * 61 for number in range(4)]
    fragments = encapsulate(
        frames, fragments_per_frame=2 if table == "several fragments" else 1, has_bot=table in ("basic", "lying")
    )
    if table == "lying":
        fragments = fragments[:12] + b"\x07" + fragments[13:]
    path = await kept(gateway, objects, with_frames(radiograph(), JPEGBaseline8Bit, fragments, 4))
    answer = await viewer.get(f"{path}/frames/1,2,3,4")
    assert [body for _, body in parts_of(answer)] == frames
    assert parts_of(answer)[0][0] == f"image/jpeg; transfer-syntax={JPEGBaseline8Bit}"
    octets = 'multipart/related; type="application/octet-stream"'
    whole = await viewer.get(f"{path}/frames/2", headers={"accept": f"{octets}; transfer-syntax=*"})
    assert parts_of(whole)[0][1] == frames[1]
    explicit = f"{octets}; transfer-syntax=1.2.840.10008.1.2.1"
    assert (await viewer.get(f"{path}/frames/2", headers={"accept": explicit})).status_code == 406
    bulk = await viewer.get(f"{path}/bulkdata/7FE00010")
    assert [body for _, body in parts_of(bulk)] == frames


async def test_fragments_that_say_nothing_of_frames_are_refused(
    gateway: Gateway, viewer: httpx.AsyncClient, radiograph: Write, objects: Path
) -> None:
    fragments = encapsulate([b"\1" * 64] * 5, has_bot=False)
    path = await kept(gateway, objects, with_frames(radiograph(), RLELossless, fragments, 4))
    assert (await viewer.get(f"{path}/frames/1")).status_code == 406


@pytest.mark.parametrize("name", ["examples_jpeg2k", "emri_small_jpeg_2k_lossless", "SC_rgb_rle_2frame"])
async def test_frames_of_real_objects_are_those_that_pydicom_finds(
    gateway: Gateway, viewer: httpx.AsyncClient, objects: Path, name: str
) -> None:
    file = real(name)
    path = await kept(gateway, objects, file)
    dataset = pydicom.dcmread(file)
    count = int(dataset.get("NumberOfFrames", 1))
    expected = list(generate_frames(dataset.PixelData, number_of_frames=count))
    answer = await viewer.get(f"{path}/frames/{','.join(map(str, range(1, count + 1)))}")
    assert [body for _, body in parts_of(answer)] == expected


@pytest.mark.parametrize(
    "name", ["SC_rgb_rle_2frame", "examples_jpeg2k", "SC_rgb_small_odd_jpeg", "MR_small_jpeg_ls_lossless"]
)
async def test_who_asks_for_plain_octets_gets_pixels(
    gateway: Gateway, pool: asyncpg.Pool, objects: Path, name: str
) -> None:
    file = real(name)
    path = await kept(gateway, objects, file)
    dataset = pydicom.dcmread(file)
    count = int(dataset.get("NumberOfFrames", 1))
    pixels = dataset.pixel_array if count > 1 else [dataset.pixel_array]
    stored = list(generate_frames(dataset.PixelData, number_of_frames=count))
    octets = 'multipart/related; type="application/octet-stream"'
    app = application(pool, objects, Somebody())
    async with client_of(app) as viewer:
        for address in (f"{path}/frames/{','.join(map(str, range(1, count + 1)))}", f"{path}/bulkdata/7FE00010"):
            for accept in (octets, f"{octets}; transfer-syntax=1.2.840.10008.1.2.1"):
                told = parts_of(await viewer.get(address, headers={"accept": accept}))
                assert {kind for kind, _ in told} == {"application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"}
                assert [body for _, body in told] == [frame.tobytes() for frame in pixels]
        alone = await viewer.get(f"{path}/frames/{count}", headers={"accept": "application/octet-stream"})
        assert alone.content == pixels[-1].tobytes()
        for accept in (
            f"{octets}; transfer-syntax=*",
            f"{octets}; transfer-syntax={dataset.file_meta.TransferSyntaxUID}",
        ):
            told = parts_of(await viewer.get(f"{path}/frames/{count}", headers={"accept": accept}))
            assert [body for _, body in told] == stored[-1:]
    await app.state.imaging.close()


async def test_octets_of_a_frame_that_nobody_can_decode_are_refused(
    gateway: Gateway, pool: asyncpg.Pool, radiograph: Write, objects: Path
) -> None:
    path = await kept(gateway, objects, with_frames(radiograph(), RLELossless, encapsulate([b"\1\0" * 40]), 1))
    app = application(pool, objects, Somebody())
    async with client_of(app) as viewer:
        refused = await viewer.get(f"{path}/frames/1", headers={"accept": "application/octet-stream"})
        assert refused.status_code == 406
        assert (await viewer.get(f"{path}/frames/1")).status_code == 200
    await app.state.imaging.close()


async def test_a_large_object_is_not_held_in_memory(
    gateway: Gateway, radiograph: Write, objects: Path, pool: asyncpg.Pool
) -> None:
    path = await kept(gateway, objects, radiograph(PixelData=bytes(40_000_000), Rows=4000, Columns=5000))
    app = application(pool, objects, Somebody())
    sent = 0

    async def send(message: Any) -> None:
        nonlocal sent
        sent += len(message.get("body", b""))

    async def receive() -> Any:
        await asyncio.Event().wait()

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "headers": [],
        "query_string": b"",
        "scheme": "http",
        "server": ("hub", 80),
    }
    await app({**scope, "path": "/dicomweb/studies/1/metadata"}, receive, send)
    tracemalloc.start()
    await app(scope, receive, send)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sent > 40_000_000
    assert peak < 8_000_000


async def test_what_another_facility_stored_under_the_same_uids_does_not_hide_ones_own(
    gateway: Gateway, pool: asyncpg.Pool, radiograph: Write, objects: Path
) -> None:
    uids = {"StudyInstanceUID": "1.2.5", "SeriesInstanceUID": "1.2.5.1", "SOPInstanceUID": "1.2.5.1.1"}
    first, second = radiograph(**uids, PatientID="P1"), radiograph(**uids, PatientID="P2")
    path = await kept(gateway, objects, first, calling="DR_QINGXI")
    await kept(gateway, objects, second, calling="DR_BAISHI")
    for facility, file in (("qingxi", first), ("baishi", second), ("county", first)):
        async with client_of(application(pool, objects, Somebody(facility=facility))) as client:
            answer = await client.get(path, headers={"accept": "application/dicom"})
            assert answer.content.endswith(data_set_of(file))
            assert len((await client.get(f"{study_of(path)}/metadata")).json()) == 1


async def test_nothing_is_told_to_nobody_and_every_look_is_audited(
    gateway: Gateway, viewer: httpx.AsyncClient, pool: asyncpg.Pool, radiograph: Write, objects: Path
) -> None:
    path = await kept(gateway, objects, radiograph())
    asked = [path, study_of(path), f"{path}/metadata", f"{path}/frames/1", f"{path}/bulkdata/7FE00010"]
    async with client_of(application(pool, objects, None)) as stranger:
        assert {(await stranger.get(one)).status_code for one in asked} == {401}
    assert await pool.fetchval("select count(*) from audit") == 0
    await asyncio.gather(*(viewer.get(one) for one in asked))
    rows = await pool.fetch("select actor, action, subject from audit")
    # A look at an instance, or at what is in it, is one at its series; what is repeated within a minute is there once.
    assert [tuple(row) for row in rows] == [("wang", "read", f"ImagingStudy/{path.split('/')[3]}")] * 2


@pytest.mark.parametrize("uid", ["9.9", "..", "a%00b", "1" * 65, "%E4%BD%A0"])
async def test_what_is_no_uid_or_not_stored_is_not_found(viewer: httpx.AsyncClient, uid: str) -> None:
    for path in (f"/studies/1/series/1/instances/{uid}", f"/studies/1/series/{uid}/metadata"):
        assert (await viewer.get(f"/dicomweb{path}")).status_code == 404


async def test_what_is_kept_is_there_whole_and_alone(tmp_path: Path) -> None:
    folder = kept_files.Kept(tmp_path)
    assert await folder.get("study", "one.json.gz") is None
    await folder.put("study", "one.json.gz", b"[]")
    assert await folder.get("study", "one.json.gz") == b"[]"
    assert [one.name for one in (tmp_path / "study").iterdir()] == ["one.json.gz"]
