"""What an archive sends back over our own association comes in whatever encoding and class it is kept there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg
import pydicom
import pytest
from pydicom.uid import UID, ComputedRadiographyImageStorage, EnhancedPETImageStorage

from pacs_gateway.gateway import Gateway
from tests.integration.gateway.archives import ARCHIVE
from tests.integration.gateway.conftest import Start, Write
from tests.integration.gateway.odd_archives import odd_archive
from tests.integration.gateway.owing import delivery_reaches, endpoint, owe, sending
from tests.integration.gateway.sending import real, stored
from tests.integration.gateway.test_fetching_priors import ENTRIES, ORDERED, OWED, study

COMPRESSED = ("JPEG2000", "JPEG-lossy", "emri_small_jpeg_ls_lossless", "emri_small_RLE")


@pytest.fixture
async def gateway(start: Start) -> Gateway:
    return await start(ae_entries=ENTRIES)


def compressed(folder: Path) -> list[Path]:
    """One study of one class, each object encoded otherwise."""
    files = []
    for number, name in enumerate(COMPRESSED):
        dataset = pydicom.dcmread(real(name))
        dataset.PatientID, dataset.PatientName = "P0001", "Test^One"
        dataset.PatientBirthDate, dataset.PatientSex = "19700101", "F"
        dataset.StudyDate = "20260101"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.5.1", "1.5.1.1"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"1.5.1.1.{number}")
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
        files.append(folder / f"{name}.dcm")
        dataset.save_as(files[-1])
    return files


async def fetched(
    files: list[Path], gateway: Gateway, pool: asyncpg.Pool, database_url: str, objects: Path, port: int
) -> dict[str, Any]:
    """What is here once it has been fetched."""
    await owe(pool, OWED)
    to = endpoint(port, ae_title=ARCHIVE, priors={"within_days": 36_500, "retrieve": "get"})
    with odd_archive(port, gateway.port, files):
        async with sending(database_url, objects, to, reception=gateway.reception):
            await delivery_reaches(pool, "delivered", ORDERED)
    return await stored(pool, objects)


async def test_objects_of_one_class_come_in_the_encodings_in_which_they_are_kept(
    gateway: Gateway, pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int, tmp_path: Path
) -> None:
    files = compressed(tmp_path)
    rows = await fetched(files, gateway, pool, database_url, objects, free_port)
    kept = {str(one.SOPInstanceUID): str(one.file_meta.TransferSyntaxUID) for one in map(pydicom.dcmread, files)}
    assert {uid: row["transfer_syntax"] for uid, row in rows.items()} == kept


async def test_an_object_of_a_rare_class_comes_too(
    gateway: Gateway, radiograph: Write, pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int
) -> None:
    files = study(radiograph, 1, SOPClassUID=EnhancedPETImageStorage)
    assert len(await fetched(files, gateway, pool, database_url, objects, free_port)) == 2
