"""How do the gateway's tests send objects, and look at what became of them?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import asyncpg
import pydicom
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames
from pydicom.filereader import _read_file_meta_info, read_file_meta_info
from pynetdicom import AE, _config, build_context

from engine.errors import HutongError, StorageError
from pacs_gateway.keeping import Keeping
from pacs_gateway.location import Objects, open_object
from pacs_gateway.scp.reception import Announced
from pacs_gateway.segments.record import GENERATION_BYTES
from pacs_gateway.segments.segment import SUFFIX, Segment

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DATA_SET_MISMATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
NO_ANSWER = -1

PATIENCE_SECS = 60.0
"""Only what hangs takes so long, also on a machine that does much else."""
MANY_ASSOCIATIONS = 100
"""A system of pynetdicom takes ten at once, of which some may have ended without its threads having noticed."""


def real(name: str) -> Path:
    """A file of pydicom or pydicom-data, by its name without `.dcm`."""
    return Path(str(get_testdata_file(f"{name}.dcm")))


def broken_off(name: str, folder: Path) -> Path:
    """The same compressed picture without the second half of its only frame."""
    dataset = pydicom.dcmread(real(name))
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = encapsulate([frame[: len(frame) // 2]])
    file = folder / f"{name}-broken-off.dcm"
    dataset.save_as(file)
    return file


def data_set_of(file: Path) -> bytes:
    """The bytes behind the file meta information."""
    content = file.read_bytes()
    stream = BytesIO(content)
    stream.seek(132)
    _read_file_meta_info(stream)
    return content[stream.tell() :]


def send_raw(port: int, files: Sequence[Path], calling: str = "DR_BAISHI") -> list[int]:
    """Sends files over one association, the bytes of each data set untouched. Blocking.

    The statuses answered; NO_ANSWER for an object whose answer never came, and for those after it.
    """
    _config.STORE_SEND_CHUNKED_DATASET = True
    metas = [read_file_meta_info(file) for file in files]
    proposals = sorted({(str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)) for meta in metas})
    entity = AE(calling)
    entity.requested_contexts = [build_context(*proposal) for proposal in proposals]
    association = entity.associate("127.0.0.1", port, ae_title="HUTONG")
    statuses = [NO_ANSWER] * len(files)
    if not association.is_established:
        return statuses
    for number, file in enumerate(files):
        statuses[number] = int(association.send_c_store(file).get("Status", NO_ANSWER))
        if statuses[number] == NO_ANSWER:
            association.abort()  # pynetdicom would send on, and wait half a minute for a peer that has gone
            return statuses
    association.release()
    return statuses


async def until(reached: Callable[[], Awaitable[bool]]) -> None:
    """Waits for a condition that another process brings about."""
    async with asyncio.timeout(PATIENCE_SECS):
        while not await reached():  # noqa: ASYNC110 - another process brings it about, without an event
            await asyncio.sleep(0.005)


async def settled(objects: Path) -> None:
    """Waits until everything that was answered is in index and store: the spool is empty then."""
    async with asyncio.timeout(PATIENCE_SECS):
        while spooled(objects):  # noqa: ASYNC110 - another process may empty it, without an event
            await asyncio.sleep(0.005)


async def stored(pool: asyncpg.Pool, objects: Path) -> dict[str, asyncpg.Record]:
    """Index rows by SOP Instance UID, once all of them are there."""
    await settled(objects)
    return await indexed(pool)


async def indexed(pool: asyncpg.Pool) -> dict[str, asyncpg.Record]:
    """Index rows by SOP Instance UID, those that are there now."""
    rows = await pool.fetch("select * from instance order by sop_uid, stored_at")
    return {row["sop_uid"]: row for row in rows}


def bytes_of(objects: Path, location: str) -> bytes:
    with open_object(Objects(objects), location) as file:
        return file.read()


def spooled(objects: Path) -> list[str]:
    """SOP Instance UIDs of the objects in every spool, and names of what the store has not finished."""
    found = [path.name for path in (objects / "store" / ".unfinished").glob("*/*")]
    for path in objects.glob(f"spool/*/*/*{SUFFIX}"):
        try:
            segment = Segment.open(path, bytes(GENERATION_BYTES))
        except StorageError:
            if path.exists():
                raise
            continue  # a gateway at work has just removed it, because it was empty
        found += [head.sop_uid for head in segment.heads()]
        segment.close()
    return sorted(found)


def announced(file: Path) -> Announced:
    sent = pydicom.dcmread(file, stop_before_pixels=True)
    return Announced(
        sop_class_uid=str(sent.SOPClassUID),
        sop_instance_uid=str(sent.SOPInstanceUID),
        transfer_syntax_uid=str(sent.file_meta.TransferSyntaxUID),
        calling_ae="DR_BAISHI",
        called_ae="HUTONG",
        facility="baishi",
        peer="DR_BAISHI@127.0.0.1:4711",
    )


async def keep(keeping: Keeping, file: Path, piece_bytes: int = 100) -> None:
    data = memoryview(data_set_of(file))
    arriving = keeping.reception.begin(announced(file))
    try:
        for at in range(0, len(data), piece_bytes):
            arriving.write([data[at : at + piece_bytes]])
    except HutongError:
        arriving.abandon()
        raise
    await arriving.finish()


async def shelved(pool: asyncpg.Pool, objects: Path, count: int) -> None:
    """Waits until so many objects are in the store, and nothing is left in the spool."""

    async def so_many() -> bool:
        rows = await indexed(pool)
        there = sorted((objects / "store").rglob("*.dcm"))
        return len(rows) == len(there) == count and spooled(objects) == []

    await until(so_many)


async def holds(pool: asyncpg.Pool, objects: Path, file: Path) -> bool:
    row = (await indexed(pool))[announced(file).sop_instance_uid]
    with open_object(Objects(objects), row["location"]) as opened:
        content = opened.read()
    data = data_set_of(file)
    return content.endswith(data) and row["sha256"] == sha256(data).digest() and row["bytes"] == len(data)
