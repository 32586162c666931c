"""What cannot be kept is refused with the right status, and nothing of it is left."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pydicom
import pytest
from pynetdicom import AE, evt

from engine.errors import ConfigurationError
from pacs_gateway.gateway import Gateway
from tests.integration.gateway.conftest import Run, Start, Write
from tests.integration.gateway.sending import (
    CANNOT_UNDERSTAND,
    DATA_SET_MISMATCH,
    NO_ANSWER,
    OUT_OF_RESOURCES,
    SUCCESS,
    bytes_of,
    data_set_of,
    indexed,
    real,
    send_raw,
    spooled,
    stored,
    until,
)

BALLAST_BYTES = 5 * 1024 * 1024


def with_data_set(file: Path, data_set: bytes) -> Path:
    """The file with other bytes behind its meta information."""
    head = file.read_bytes().removesuffix(data_set_of(file))
    file.write_bytes(head + data_set)
    return file


def uid_of(file: Path) -> str:
    return str(pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID)


async def nothing_is_left(pool: asyncpg.Pool, objects: Path) -> bool:
    stores = list((objects / "store").rglob("*.dcm")) if (objects / "store").exists() else []
    return await stored(pool, objects) == {} and spooled(objects) == [] and stores == []


@pytest.mark.parametrize("kept", [0.5, 0.99, 1])
async def test_a_truncated_object_is_refused(
    gateway: Gateway, pool: asyncpg.Pool, objects: Path, radiograph: Write, kept: float
) -> None:
    file = radiograph()
    whole = data_set_of(file)
    with_data_set(file, whole[: min(int(len(whole) * kept), len(whole) - 1)])
    assert await asyncio.to_thread(send_raw, gateway.port, [file]) == [CANNOT_UNDERSTAND]
    assert await nothing_is_left(pool, objects)


@pytest.mark.parametrize(
    "rubbish",
    [b"\xff\xd8\xff\xe0 a photograph" * 40, b"%PDF-1.7 a document" * 40, bytes(range(256)) * 8, b"x"],
    ids=["jpeg", "pdf", "binary", "a byte"],
)
async def test_what_is_no_dicom_is_refused(
    gateway: Gateway, pool: asyncpg.Pool, objects: Path, radiograph: Write, rubbish: bytes
) -> None:
    file = with_data_set(radiograph(), rubbish)
    assert await asyncio.to_thread(send_raw, gateway.port, [file]) == [CANNOT_UNDERSTAND]
    assert await nothing_is_left(pool, objects)


async def test_really_truncated_files_are_refused_and_the_rest_of_the_association_goes_on(
    gateway: Gateway, pool: asyncpg.Pool, radiograph: Write, objects: Path
) -> None:
    files = [radiograph(), real("MR_truncated"), radiograph()]
    assert await asyncio.to_thread(send_raw, gateway.port, files) == [SUCCESS, CANNOT_UNDERSTAND, SUCCESS]
    assert len(await stored(pool, objects)) == 2


async def test_an_object_that_is_not_the_one_announced_is_refused(
    gateway: Gateway, pool: asyncpg.Pool, objects: Path
) -> None:
    other_uid_in_its_meta_information = real("rtplan")
    assert await asyncio.to_thread(send_raw, gateway.port, [other_uid_in_its_meta_information]) == [DATA_SET_MISMATCH]
    assert await nothing_is_left(pool, objects)


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
async def test_an_object_of_no_study_is_refused(
    gateway: Gateway, pool: asyncpg.Pool, objects: Path, radiograph: Write, keyword: str
) -> None:
    file = radiograph(**{keyword: ""})
    assert await asyncio.to_thread(send_raw, gateway.port, [file]) == [DATA_SET_MISMATCH]
    assert await nothing_is_left(pool, objects)


async def test_a_study_uid_that_is_a_path_is_refused(
    gateway: Gateway, pool: asyncpg.Pool, objects: Path, radiograph: Write
) -> None:
    file = radiograph(StudyInstanceUID="1.2.3.4.5.6.7.8")
    file.write_bytes(file.read_bytes().replace(b"1.2.3.4.5.6.7.8", b"../../../../etc"))
    assert await asyncio.to_thread(send_raw, gateway.port, [file]) == [CANNOT_UNDERSTAND]
    assert await nothing_is_left(pool, objects)


async def test_a_class_that_is_no_storage_class_is_not_accepted(
    gateway: Gateway, dcmtk: Run, radiograph: Write
) -> None:
    entity = AE("DR_BAISHI")
    entity.add_requested_context("1.2.826.0.1.3680043.9.9999.1")  # a private class
    entity.add_requested_context("1.2.840.10008.1.1")
    association = await asyncio.to_thread(entity.associate, "127.0.0.1", gateway.port)
    try:
        assert [context.abstract_syntax for context in association.accepted_contexts] == ["1.2.840.10008.1.1"]
        assert association.rejected_contexts[0].result == 0x03  # abstract syntax not supported
    finally:
        await asyncio.to_thread(association.release)


async def test_a_full_disk_refuses_and_service_resumes_when_there_is_room(
    start: Start, pool: asyncpg.Pool, small_disk: Path, radiograph: Write
) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(BALLAST_BYTES))
    gateway = await start(objects_root=small_disk)
    files = [radiograph(PixelData=bytes(300_000), Rows=300, Columns=500) for _ in range(6)]
    statuses = await asyncio.to_thread(send_raw, gateway.port, files)
    assert statuses[0] == SUCCESS
    assert set(statuses) == {SUCCESS, OUT_OF_RESOURCES}
    kept = {announced for announced, status in zip(map(uid_of, files), statuses, strict=True) if status == SUCCESS}

    async def all_indexed() -> bool:
        return set(await indexed(pool)) == kept

    await until(all_indexed)

    ballast.unlink()
    refused = [file for file, status in zip(files, statuses, strict=True) if status != SUCCESS]

    async def all_taken() -> bool:
        """Some may be refused again while the spool still holds what the store takes from it."""
        again = await asyncio.to_thread(send_raw, gateway.port, refused)
        refused[:] = [file for file, status in zip(refused, again, strict=True) if status != SUCCESS]
        return not refused

    await until(all_taken)
    for row in (await stored(pool, small_disk)).values():
        assert len(bytes_of(small_disk, row["location"])) > row["bytes"]


async def test_what_the_index_cannot_take_now_is_kept_and_indexed_when_it_can(
    gateway: Gateway, pool: asyncpg.Pool, objects: Path, radiograph: Write
) -> None:
    file = radiograph()
    await pool.execute("alter table instance rename to instance_elsewhere")
    assert await asyncio.to_thread(send_raw, gateway.port, [file]) == [SUCCESS]
    await pool.execute("alter table instance_elsewhere rename to instance")
    (row,) = (await stored(pool, objects)).values()
    assert bytes_of(objects, row["location"]).endswith(data_set_of(file))


async def test_an_association_aborted_within_an_object_leaves_nothing(
    gateway: Gateway, dcmtk: Run, pool: asyncpg.Pool, objects: Path, radiograph: Write
) -> None:
    file = radiograph(PixelData=bytes(4_000_000), Rows=1000, Columns=2000)
    entity = AE("DR_BAISHI")
    entity.add_requested_context(pydicom.dcmread(file, stop_before_pixels=True).SOPClassUID, "1.2.840.10008.1.2.1")
    sent = 0

    def cut(event: evt.Event) -> None:
        nonlocal sent
        sent += 1
        if sent == 4 and event.assoc.dul.socket is not None:
            event.assoc.dul.socket.close()

    association = await asyncio.to_thread(
        entity.associate, "127.0.0.1", gateway.port, evt_handlers=[(evt.EVT_PDU_SENT, cut)]
    )
    status = await asyncio.to_thread(association.send_c_store, file)
    assert status.get("Status", NO_ANSWER) != SUCCESS
    said = await dcmtk("echoscu", "-aet", "DR_BAISHI", "-aec", "HUTONG", "127.0.0.1", gateway.port)
    assert said.code == 0
    assert await nothing_is_left(pool, objects)


async def test_two_gateways_of_one_channel_keep_what_each_of_them_is_sent(
    gateway: Gateway, start: Start, pool: asyncpg.Pool, objects: Path, radiograph: Write
) -> None:
    second = await start()
    lanes = [[radiograph() for _ in range(5)] for _ in range(4)]
    ports = (gateway.port, second.port, gateway.port, second.port)
    sent = await asyncio.gather(
        *(asyncio.to_thread(send_raw, port, lane) for port, lane in zip(ports, lanes, strict=True))
    )
    assert sent == [[SUCCESS] * 5] * 4
    rows = await stored(pool, objects)
    for file in (file for lane in lanes for file in lane):
        assert bytes_of(objects, rows[uid_of(file)]["location"]).endswith(data_set_of(file))


async def test_an_address_in_use_is_named(gateway: Gateway, start: Start) -> None:
    with pytest.raises(ConfigurationError, match=str(gateway.port)):
        await start(name="other", port=gateway.port)
