"""A running gateway takes what is odd but whole, refuses what is not, and goes on storing for everybody else."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

import asyncpg
import pydicom

from pacs_gateway.gateway import Gateway
from pacs_gateway.storage_classes import STORAGE_CLASSES
from pacs_gateway.upper_layer.events import AssociationAccepted
from tests.integration.gateway.conftest import Write
from tests.integration.gateway.sending import SUCCESS, data_set_of, real, send_raw, settled, spooled, stored
from tests.integration.gateway.serving import Somebody, application, client_of
from tests.integration.scp.peer import CT_STORAGE, EXPLICIT, IMPLICIT, VERIFICATION, Peer, store_request

CALLING = "DR_BAISHI"


async def test_one_that_lies_about_lengths_or_leaves_in_the_middle_leaves_nothing_behind(
    gateway: Gateway, pool: asyncpg.Pool, radiograph: Write, objects: Path
) -> None:
    data = data_set_of(radiograph())
    lies = {
        "a PDU of 4 GB": struct.pack(">BxIIBB", 4, 0xFFFFFFFF, 0xFFFFFFFB, 3, 2) + bytes(200_000),
        "a fragment longer than its PDU": struct.pack(">BxIIBB", 4, 100, 0xFFFFFFF0, 3, 2) + bytes(94),
        "a fragment shorter than its header": struct.pack(">BxIIBB", 4, 6, 1, 3, 2),
        "an abort": struct.pack(">BxIBBBB", 7, 4, 0, 0, 0, 0),
        "silence, and a line that is cut": b"",
    }
    for what, said in lies.items():
        peer = await Peer.connect(gateway.port)
        assert isinstance(await peer.associate(CALLING), AssociationAccepted), what
        whole = list(peer.association.message(3, store_request(), data))
        peer.say(b"".join(whole[:-1]) + whole[-1][: len(whole[-1]) // 2 if not said else 0] + said)
        if said:
            await peer.event()
        peer.vanish()
    assert await asyncio.to_thread(send_raw, gateway.port, [radiograph()]) == [SUCCESS]
    assert len(await stored(pool, objects)) == 1
    assert spooled(objects) == []


async def test_one_that_proposes_128_contexts_stores_under_the_last_of_them(
    gateway: Gateway, pool: asyncpg.Pool, radiograph: Write, objects: Path
) -> None:
    file = radiograph()
    said = pydicom.dcmread(file)
    classes = [one for one in STORAGE_CLASSES if one not in (CT_STORAGE, str(said.SOPClassUID))]
    proposed = [(VERIFICATION, IMPLICIT), *((classes[n % len(classes)], EXPLICIT) for n in range(126))]
    proposed.append((str(said.SOPClassUID), EXPLICIT))
    contexts = {2 * number + 1: one for number, one in enumerate(proposed)}
    assert len(contexts) == 128
    peer = await Peer.connect(gateway.port)
    accepted = await peer.associate(CALLING, contexts)
    assert isinstance(accepted, AssociationAccepted)
    peer.ask(255, store_request(str(said.SOPInstanceUID), sop_class=str(said.SOPClassUID)), data_set_of(file))
    assert await peer.status() == SUCCESS
    await peer.release()
    assert list(await stored(pool, objects)) == [said.SOPInstanceUID]


async def test_odd_lengths_and_old_encodings_are_kept_as_they_came_and_served(
    gateway: Gateway, pool: asyncpg.Pool, radiograph: Write, objects: Path
) -> None:
    files = [odd(radiograph(ImageComments="abc")), real("image_dfl"), real("ExplVR_BigEnd")]
    assert await asyncio.to_thread(send_raw, gateway.port, files) == [SUCCESS] * 3
    await settled(objects)
    async with client_of(application(pool, objects, Somebody())) as viewer:
        for file in files:
            sent = pydicom.dcmread(file, stop_before_pixels=True)
            study = f"/dicomweb/studies/{sent.StudyInstanceUID}"
            path = f"{study}/series/{sent.SeriesInstanceUID}/instances/{sent.SOPInstanceUID}"
            kept = await viewer.get(path, headers={"accept": "application/dicom; transfer-syntax=*"})
            assert kept.content.endswith(data_set_of(file))
            (told,) = (await viewer.get(f"{study}/metadata")).json()
            assert told["0020000D"]["Value"] == [sent.StudyInstanceUID]


async def test_nesting_without_end_is_refused_and_the_association_goes_on(
    gateway: Gateway, pool: asyncpg.Pool, radiograph: Write, objects: Path
) -> None:
    deep, harmless = radiograph(), radiograph()
    level = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    ends = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    with_sequences(deep, level * 20_000 + ends * 20_000)
    refused, taken = await asyncio.to_thread(send_raw, gateway.port, [deep, harmless])
    assert refused & 0xF000 in (0xA000, 0xC000)
    assert taken == SUCCESS
    assert list(await stored(pool, objects)) == [pydicom.dcmread(harmless).SOPInstanceUID]


def odd(file: Path) -> Path:
    """The comment of three letters takes three bytes."""
    content = file.read_bytes()
    padded = struct.pack("<HH2sH", 0x0020, 0x4000, b"LT", 4) + b"abc "
    assert padded in content
    file.write_bytes(content.replace(padded, struct.pack("<HH2sH", 0x0020, 0x4000, b"LT", 3) + b"abc"))
    return file


def with_sequences(file: Path, sequences: bytes) -> None:
    """Between the comments and what describes the pixels, where their tag belongs."""
    content = file.read_bytes()
    at = content.index(struct.pack("<HH2s", 0x7FE0, 0x0010, b"OW"))
    file.write_bytes(content[:at] + sequences + content[at:])
