"""What is sent goes as it is stored where a system takes that, smaller where it is to, and never as another picture."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, HTJ2KLossless, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from pacs_gateway.gateway import Gateway
from pacs_gateway.query.identifier import decoded
from tests.integration.gateway.owing import delivery_reaches, endpoint, owe_study, sending, system
from tests.integration.gateway.sending import SUCCESS, broken_off, data_set_of, real, send_raw, stored


@pytest.mark.parametrize("name", ["JPEG2000", "emri_small_jpeg_ls_lossless", "image_dfl", "ExplVR_BigEnd"])
async def test_what_is_stored_compressed_goes_as_it_is(
    name: str, gateway: Gateway, pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int
) -> None:
    assert await asyncio.to_thread(send_raw, gateway.port, [real(name)]) == [SUCCESS]
    (row,) = (await stored(pool, objects)).values()
    await owe_study(pool, row["study_uid"])
    with system(free_port) as pacs:
        async with sending(database_url, objects, endpoint(free_port)):
            await delivery_reaches(pool, "delivered", row["study_uid"])
    assert pacs.syntaxes[row["sop_uid"]] == row["transfer_syntax"]
    assert pacs.held[row["sop_uid"]] == data_set_of(real(name))


@pytest.mark.parametrize(
    ("wanted", "syntax"),
    [("jpeg-ls", JPEGLSLossless), ("jpeg2000", JPEG2000Lossless), ("htj2k", HTJ2KLossless), ("rle", RLELossless)],
)
async def test_over_a_thin_line_pictures_go_smaller_and_the_same(
    wanted: str, syntax: str, gateway: Gateway, pool: asyncpg.Pool, database_url: str, objects: Path,
    free_port: int
) -> None:  # fmt: skip
    small, report = await _stored_too(gateway, pool, objects, real("CT_small"), real("reportsi"))
    with system(free_port) as pacs:
        async with sending(database_url, objects, endpoint(free_port, transfer_syntax=wanted)):
            for row in (small, report):
                await owe_study(pool, row["study_uid"])
                await delivery_reaches(pool, "delivered", row["study_uid"])
    assert pacs.syntaxes == {small["sop_uid"]: syntax, report["sop_uid"]: report["transfer_syntax"]}
    arrived = decoded(pacs.held[small["sop_uid"]], syntax)
    arrived.file_meta = FileMetaDataset()
    arrived.file_meta.TransferSyntaxUID = UID(syntax)
    assert len(pacs.held[small["sop_uid"]]) < small["bytes"]
    assert np.array_equal(arrived.pixel_array, pydicom.dcmread(real("CT_small")).pixel_array)


async def test_a_system_without_decoders_gets_what_it_can_read_and_is_told_of_what_it_cannot(
    gateway: Gateway, pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int, tmp_path: Path
) -> None:
    good, bad = await _stored_too(gateway, pool, objects, real("JPEG2000"), broken_off("JPEG-lossy", tmp_path))
    with system(free_port, syntaxes=[ImplicitVRLittleEndian]) as pacs:
        async with sending(database_url, objects, endpoint(free_port)):
            await owe_study(pool, good["study_uid"])
            delivery = await delivery_reaches(pool, "refused", bad["study_uid"])  # they are of one study
    assert pacs.syntaxes == {good["sop_uid"]: ImplicitVRLittleEndian}
    arrived = decoded(pacs.held[good["sop_uid"]], ImplicitVRLittleEndian)
    arrived.file_meta = FileMetaDataset()
    arrived.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    assert np.array_equal(arrived.pixel_array, pydicom.dcmread(real("JPEG2000")).pixel_array)
    text = await pool.fetchval("select text from finding where about = $1", f"Delivery/{delivery['id']}")
    assert "1 of 2 objects have arrived; 1 refused: it does not take the encoding, and it cannot be changed" in text


async def _stored_too(
    gateway: Gateway, pool: asyncpg.Pool, objects: Path, *files: Path
) -> tuple[asyncpg.Record, asyncpg.Record]:
    assert await asyncio.to_thread(send_raw, gateway.port, files) == [SUCCESS] * len(files)
    rows = await stored(pool, objects)
    uids = [str(pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID) for file in files]
    return rows[uids[0]], rows[uids[1]]
