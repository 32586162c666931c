"""Every storable object that ships with pydicom and pydicom-data goes in, and comes back with the bytes that came."""

from __future__ import annotations

import asyncio
from functools import cache
from pathlib import Path

import asyncpg
import data_store
import pydicom
import pydicom.data
import pytest
from pydicom.errors import InvalidDicomError
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pynetdicom import AllStoragePresentationContexts

from engine.config import AeEntry
from pacs_gateway.gateway import Gateway
from pacs_gateway.storage_classes import STORAGE_CLASSES
from tests.integration.gateway.conftest import Start
from tests.integration.gateway.sending import SUCCESS, data_set_of, send_raw, stored
from tests.integration.gateway.serving import Somebody, application, client_of
from tests.integration.gateway.test_getting import fetch
from tests.integration.gateway.test_moving import move, viewer
from tests.integration.gateway.test_querying import identifier

FOLDERS = (Path(pydicom.data.__file__).parent, Path(data_store.__file__).parent)
KNOWN_TO_VIEWER = {str(context.abstract_syntax) for context in AllStoragePresentationContexts}
"""pynetdicom ends an association over which a retired class comes."""
FEWEST = 150
"""So many there are at least in the versions that are pinned."""


@cache
def storable() -> dict[str, Path]:
    """One file for each SOP Instance UID: of a storage class, in a study."""
    found: dict[str, Path] = {}
    for file in sorted(file for folder in FOLDERS for file in folder.rglob("*") if file.is_file()):
        try:
            head = pydicom.dcmread(file, stop_before_pixels=True)
        except InvalidDicomError:
            continue
        if (
            head.get("SOPInstanceUID")
            and head.get("StudyInstanceUID")
            and head.get("SeriesInstanceUID")
            and head.get("SOPClassUID") in STORAGE_CLASSES
        ):
            found.setdefault(str(head.SOPInstanceUID), file)
    return found


def announced(file: Path, folder: Path) -> Path:
    """The same data set behind a head that says what it says: senders announce an object by the head of its file."""
    head = pydicom.dcmread(file, stop_before_pixels=True)
    meta = head.file_meta
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = head.SOPClassUID, head.SOPInstanceUID
    path = folder / f"{head.SOPInstanceUID}.dcm"
    encoded = DicomBytesIO()
    write_file_meta_info(encoded, meta, enforce_standard=False)
    path.write_bytes(bytes(128) + b"DICM" + encoded.getvalue() + data_set_of(file))
    return path


@pytest.fixture
async def archive(start: Start, free_port: int) -> Gateway:
    """An archive to whose viewer objects can be moved; `free_port` is the viewer's."""
    return await start(
        ae_entries=(
            AeEntry(ae_title="DR_BAISHI", facility="baishi"),
            AeEntry(ae_title="VIEWER", facility="baishi", address="127.0.0.1", port=free_port),
        )
    )


async def test_each_comes_back_by_every_way_as_the_bytes_that_came(
    archive: Gateway, pool: asyncpg.Pool, objects: Path, free_port: int, tmp_path: Path
) -> None:
    sent = {uid: data_set_of(file) for uid, file in storable().items()}
    assert len(sent) >= FEWEST
    files = [announced(file, tmp_path) for file in storable().values()]
    statuses = await asyncio.to_thread(send_raw, archive.port, files)
    assert set(statuses) == {SUCCESS}
    rows = list((await stored(pool, objects)).values())
    studies = sorted({row["study_uid"] for row in rows})
    kinds = sorted({(row["sop_class"], (row["transfer_syntax"],)) for row in rows})
    asked = identifier("STUDY", StudyInstanceUID=studies)

    got = await asyncio.to_thread(fetch, archive.port, asked, kinds)
    assert got.objects == sent

    beyond = {row["study_uid"] for row in rows if row["sop_class"] not in KNOWN_TO_VIEWER}
    assert len(beyond) <= 1
    asked = identifier("STUDY", StudyInstanceUID=sorted(set(studies) - beyond))
    with viewer(free_port) as received:
        moved = await asyncio.to_thread(move, archive.port, asked, "VIEWER")
    assert moved.counts == (len(received.objects), 0, 0)
    assert received.objects == {row["sop_uid"]: sent[row["sop_uid"]] for row in rows if row["study_uid"] not in beyond}

    async with client_of(application(pool, objects, Somebody())) as browser:
        for row in rows:
            path = "/dicomweb/studies/{study_uid}/series/{series_uid}/instances/{sop_uid}".format(**row)
            answer = await browser.get(path, headers={"accept": "application/dicom; transfer-syntax=*"})
            assert answer.content.endswith(sent[row["sop_uid"]]), row["sop_uid"]
