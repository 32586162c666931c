"""Frames are found in whatever they are stored in, and come encoded as they are or as plain octets."""

from __future__ import annotations

from pathlib import Path

import httpx
import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEGBaseline8Bit, RLELossless

from pacs_gateway.gateway import Gateway
from tests.integration.gateway.conftest import Write
from tests.integration.gateway.fetching import kept, parts_of
from tests.integration.gateway.framing import with_frames
from tests.integration.gateway.sending import real


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
    gateway: Gateway, viewer: httpx.AsyncClient, objects: Path, name: str
) -> None:
    file = real(name)
    path = await kept(gateway, objects, file)
    dataset = pydicom.dcmread(file)
    count = int(dataset.get("NumberOfFrames", 1))
    pixels = dataset.pixel_array if count > 1 else [dataset.pixel_array]
    stored = list(generate_frames(dataset.PixelData, number_of_frames=count))
    octets = 'multipart/related; type="application/octet-stream"'
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


async def test_octets_of_a_frame_that_nobody_can_decode_are_refused(
    gateway: Gateway, viewer: httpx.AsyncClient, radiograph: Write, objects: Path
) -> None:
    path = await kept(gateway, objects, with_frames(radiograph(), RLELossless, encapsulate([b"\1\0" * 40]), 1))
    refused = await viewer.get(f"{path}/frames/1", headers={"accept": "application/octet-stream"})
    assert refused.status_code == 406
    assert (await viewer.get(f"{path}/frames/1")).status_code == 200
