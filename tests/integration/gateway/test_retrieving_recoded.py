"""Whoever does not take the encoding in which an object is stored gets it in one that it takes, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import asyncpg
import pydicom
import pytest
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless
from pynetdicom import AE, build_context, build_role, evt

from engine.config import AeEntry
from pacs_gateway.gateway import Gateway
from pacs_gateway.query.models import STUDY_ROOT
from pacs_gateway.scu import requestor
from pacs_gateway.sending import proposing
from tests.integration.gateway.conftest import Run, Start, Write
from tests.integration.gateway.sending import SUCCESS, data_set_of, send_raw, stored
from tests.integration.gateway.storescp import storescp
from tests.integration.gateway.test_getting import CR, SOME_FAILED, fetch, study
from tests.integration.gateway.test_moving import move, viewer
from tests.ports import free_port

JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
IMPLICIT, COMPRESSED, BROKEN = "1.2.1.1.1", "1.2.1.1.2", "1.2.1.1.3"


@pytest.fixture
def files(radiograph: Write) -> dict[str, Path]:
    """A study as two devices send it: one object in implicit VR, one compressed; by SOP Instance UID."""
    pixels = b"".join(number.to_bytes(2, "little") for number in range(64 * 64))
    written = {
        uid: radiograph(StudyInstanceUID="1.2.1", SeriesInstanceUID="1.2.1.1", SOPInstanceUID=uid,
                        Rows=64, Columns=64, PixelData=pixels)
        for uid in (IMPLICIT, COMPRESSED)
    }  # fmt: skip
    implicit = pydicom.dcmread(written[IMPLICIT])
    implicit.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    pydicom.dcmwrite(written[IMPLICIT], implicit, implicit_vr=True, little_endian=True)
    compressed = pydicom.dcmread(written[COMPRESSED])
    compressed.compress(JPEG2000Lossless, generate_instance_uid=False)
    compressed.save_as(written[COMPRESSED])
    return written


@pytest.fixture
def listening() -> int:
    return free_port()


@pytest.fixture
async def archive(start: Start, files: dict[str, Path], pool: asyncpg.Pool, objects: Path, listening: int) -> Gateway:
    gateway = await start(
        ae_entries=(
            AeEntry(ae_title="DR_BAISHI", facility="baishi"),
            AeEntry(ae_title="VIEWER", facility="baishi", address="127.0.0.1", port=listening),
        )
    )
    await keep(gateway, files.values(), pool, objects)
    return gateway


async def keep(gateway: Gateway, files: Iterable[Path], pool: asyncpg.Pool, objects: Path) -> None:
    assert set(await asyncio.to_thread(send_raw, gateway.port, list(files))) == {SUCCESS}
    await stored(pool, objects)


def broken(files: dict[str, Path]) -> Path:
    """An object of the study that cannot be decoded: its picture is cut."""
    dataset = pydicom.dcmread(files[COMPRESSED])
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(BROKEN)
    dataset.PixelData = dataset.PixelData[:40] + bytes(len(dataset.PixelData) - 40)
    file = files[COMPRESSED].with_name("broken.dcm")
    dataset.save_as(file)
    return file


def same_pictures(folder: Path, files: dict[str, Path]) -> None:
    got = {str(one.SOPInstanceUID): one for one in map(pydicom.dcmread, folder.iterdir())}
    assert got.keys() == files.keys()
    for uid, file in files.items():
        sent = pydicom.dcmread(file)
        assert (got[uid].pixel_array == sent.pixel_array).all()
        assert got[uid].PatientName == sent.PatientName


async def test_getscu_with_its_default_options_gets_every_object(
    archive: Gateway, files: dict[str, Path], dcmtk: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "got"
    folder.mkdir()
    said = await dcmtk("getscu", "-v", "-S", "-aet", "DR_BAISHI", "-od", folder, "-k", "QueryRetrieveLevel=STUDY",
                       "-k", "StudyInstanceUID=1.2.1", "127.0.0.1", archive.port)  # fmt: skip
    assert said.code == 0, said.output
    same_pictures(folder, files)


@pytest.mark.parametrize("options", [(), ("+xi",)], ids=["default", "implicit-only"])
async def test_movescu_has_every_object_sent_to_a_storescp_that_takes_no_compression(
    archive: Gateway, files: dict[str, Path], listening: int, dcmtk: Run, tmp_path: Path, options: tuple[str, ...]
) -> None:
    folder = tmp_path / "moved"
    async with storescp(folder, listening, "-aet", "VIEWER", *options):
        said = await dcmtk("movescu", "-v", "-S", "-aet", "DR_BAISHI", "-aem", "VIEWER", "-k",
                           "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.1",
                           "127.0.0.1", archive.port)  # fmt: skip
    assert said.code == 0, said.output
    same_pictures(folder, files)


async def test_whoever_takes_the_stored_encoding_gets_the_bytes_that_came(
    archive: Gateway, files: dict[str, Path], listening: int
) -> None:
    sent = {uid: data_set_of(file) for uid, file in files.items()}
    kinds = [(CR, (ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless))]
    got = await asyncio.to_thread(fetch, archive.port, study("1.2.1"), kinds)
    assert (got.status, got.objects) == (SUCCESS, sent)
    with viewer(listening) as received:
        moved = await asyncio.to_thread(move, archive.port, study("1.2.1"), "VIEWER")
    assert (moved.status, received.objects) == (SUCCESS, sent)


async def test_what_cannot_be_decoded_is_one_failure_that_is_named(
    archive: Gateway, files: dict[str, Path], pool: asyncpg.Pool, objects: Path, listening: int
) -> None:
    await keep(archive, [broken(files)], pool, objects)
    got = await asyncio.to_thread(fetch, archive.port, study("1.2.1"), [(CR, (ExplicitVRLittleEndian,))])
    assert (got.status, got.counts, got.failed) == (SOME_FAILED, (2, 1, 0), [BROKEN])
    with viewer(listening, [ImplicitVRLittleEndian]) as received:
        moved = await asyncio.to_thread(move, archive.port, study("1.2.1"), "VIEWER")
    assert (moved.status, moved.counts, moved.failed) == (SOME_FAILED, (2, 1, 0), [BROKEN])
    assert received.objects.keys() == files.keys()


async def test_a_workstation_that_names_compression_first_gets_what_is_stored_otherwise(archive: Gateway) -> None:
    """With one context for each class, as many propose, what is accepted must serve every object."""
    got = await asyncio.to_thread(
        fetch_in_one, archive.port, (JPEG_LOSSLESS, ExplicitVRLittleEndian, ImplicitVRLittleEndian)
    )
    assert got == [SUCCESS, 2]


def fetch_in_one(port: int, syntaxes: tuple[str, ...]) -> list[int]:
    """The status and how many objects came. Blocking."""
    entity = AE("DR_BAISHI")
    entity.requested_contexts = [build_context(STUDY_ROOT.get), build_context(CR, list(syntaxes))]
    association = entity.associate(
        "127.0.0.1", port, ext_neg=[build_role(CR, scp_role=True)], evt_handlers=[(evt.EVT_C_STORE, lambda _: SUCCESS)]
    )
    *_, (last, _) = association.send_c_get(study("1.2.1"), STUDY_ROOT.get)
    association.release()
    return [int(last.Status), int(last.NumberOfCompletedSuboperations)]


async def test_more_kinds_than_one_association_has_contexts_for_go_over_several(
    archive: Gateway, files: dict[str, Path], listening: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (requestor, proposing):
        monkeypatch.setattr(module, "CONTEXT_LIMIT", 2)
    with viewer(listening) as received:
        moved = await asyncio.to_thread(move, archive.port, study("1.2.1"), "VIEWER")
    assert moved.status == SUCCESS
    assert received.objects.keys() == files.keys()
