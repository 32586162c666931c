"""DCMTK and pynetdicom are served as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, build_role
from pynetdicom.pdu_primitives import AsynchronousOperationsWindowNegotiation, UserIdentityNegotiation

from pacs_gateway.scp.acceptor import Acceptor
from tests.integration.gateway.sending import data_set_of, real, send_raw
from tests.integration.scp.conftest import Reception, Run, Start

Write = Callable[[int], Path]

US = ("-aet", "CT_BAISHI", "-aec", "HUTONG", "127.0.0.1")
CT = "CT_small"
SYNTAXES = {
    "-xe": "CT_small",
    "-xb": "ExplVR_BigEnd",
    "-xi": "MR_small_implicit",
    "-xd": "image_dfl",
    "-xs": "SC_rgb_jpeg_gdcm",
    "-xv": "RG1_J2KR",
    "-xw": "JPEG2000",
    "-xt": "emri_small_jpeg_ls_lossless",
    "-xr": "SC_rgb_rle",
}
SIZES = [("--max-pdu", 4096), ("--max-pdu", 131072), ("--max-send-pdu", 4096), ("--max-send-pdu", 131072)]


@pytest.fixture
def slice_of(tmp_path: Path) -> Write:
    """Writes a synthetic CT slice of half a megabyte that DCMTK sends byte for byte: no sequences, no padding."""
    folder = tmp_path / "slices"
    folder.mkdir()

    def write(number: int) -> Path:
        dataset = Dataset()
        dataset.SOPClassUID = CTImageStorage
        dataset.SOPInstanceUID = f"1.2.826.0.1.3680043.9.9999.7.{number}"
        dataset.StudyInstanceUID = dataset.SeriesInstanceUID = "1.2.826.0.1.3680043.9.9999.7"
        dataset.PatientName, dataset.PatientID, dataset.Modality = "Test^One", "P0001", "CT"
        dataset.Rows = dataset.Columns = 512
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 15, 0, 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.PixelData = Random(number).randbytes(512 * 1024)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        file = folder / f"{number:03}.dcm"
        pydicom.dcmwrite(file, dataset, enforce_file_format=True)
        return file

    return write


def uid_of(file: Path) -> str:
    return str(pydicom.dcmread(file).SOPInstanceUID)


async def test_echoscu(acceptor: Acceptor, dcmtk: Run) -> None:
    said = await dcmtk("echoscu", "--repeat", 5, *US, acceptor.port)
    assert said.code == 0, said.output


@pytest.mark.parametrize("sizes", SIZES, ids=[f"{name[2:]} {size}" for name, size in SIZES])
async def test_storescu_in_small_and_large_pdus(
    acceptor: Acceptor, reception: Reception, dcmtk: Run, sizes: tuple[str, int], slice_of: Write
) -> None:
    files = [slice_of(1), slice_of(2)]
    said = await dcmtk("storescu", *sizes, "-R", *US, acceptor.port, *files)
    assert said.code == 0, said.output
    for file in files:
        assert reception.kept[uid_of(file)] == data_set_of(file)


async def test_storescu_in_every_encoding(acceptor: Acceptor, reception: Reception, dcmtk: Run) -> None:
    for proposing, name in SYNTAXES.items():
        said = await dcmtk("storescu", proposing, *US, acceptor.port, real(name))
        assert said.code == 0, (proposing, said.output)
    assert set(reception.kept) == {uid_of(real(name)) for name in SYNTAXES.values()}
    assert len({one.announced.transfer_syntax_uid for one in reception.arrived}) == len(SYNTAXES)


async def test_storescu_of_a_folder(acceptor: Acceptor, reception: Reception, dcmtk: Run, slice_of: Write) -> None:
    files = [slice_of(number) for number in range(20)]
    said = await dcmtk("storescu", *US, acceptor.port, "+sd", files[0].parent)
    assert said.code == 0, said.output
    assert reception.kept == {uid_of(file): data_set_of(file) for file in files}


async def test_echoscu_that_aborts(acceptor: Acceptor, dcmtk: Run) -> None:
    assert (await dcmtk("echoscu", "--abort", *US, acceptor.port)).code == 0
    assert (await dcmtk("echoscu", *US, acceptor.port)).code == 0


async def test_storescu_that_aborts(acceptor: Acceptor, reception: Reception, dcmtk: Run) -> None:
    said = await dcmtk("storescu", "--abort", *US, acceptor.port, real(CT))
    assert said.code == 0, said.output
    assert len(reception.kept) == 1


async def test_128_contexts_of_storescu(acceptor: Acceptor, dcmtk: Run) -> None:
    said = await dcmtk("storescu", "-d", *US, acceptor.port, real(CT))
    assert said.code == 0, said.output
    assert "255" in said.output


async def test_a_termscu_is_refused(acceptor: Acceptor, dcmtk: Run) -> None:
    """It proposes a private class of OFFIS that would shut the server down."""
    await dcmtk("termscu", *US, acceptor.port)
    assert (await dcmtk("echoscu", *US, acceptor.port)).code == 0


async def test_pynetdicom_proposing_a_window_roles_and_an_identity(acceptor: Acceptor, reception: Reception) -> None:
    entity = AE("CT_BAISHI")
    entity.add_requested_context(CTImageStorage, "1.2.840.10008.1.2.1")
    entity.add_requested_context(MRImageStorage, "1.2.840.10008.1.2.1")
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked, window.maximum_number_operations_performed = 8, 8
    identity = UserIdentityNegotiation()
    identity.user_identity_type, identity.primary_field = 2, b"nurse"
    identity.secondary_field, identity.positive_response_requested = b"secret", False
    both = build_role(CTImageStorage, scu_role=True, scp_role=True)
    never = build_role(MRImageStorage, scu_role=False, scp_role=True)
    association = await asyncio.to_thread(
        entity.associate, "127.0.0.1", acceptor.port, ext_neg=[window, identity, both, never]
    )
    try:
        assert association.is_established
        (context,) = association.accepted_contexts
        assert (context.abstract_syntax, context.as_scu, context.as_scp) == (CTImageStorage, True, False)
        assert [one.abstract_syntax for one in association.rejected_contexts] == [MRImageStorage]
        assert association.acceptor.asynchronous_operations == (1, 1)
        status = await asyncio.to_thread(association.send_c_store, real(CT))
        assert status.Status == 0
    finally:
        await asyncio.to_thread(association.release)
    assert len(reception.kept) == 1


async def test_several_storescu_at_once(acceptor: Acceptor, reception: Reception, dcmtk: Run, slice_of: Write) -> None:
    reception.open.clear()  # every one holds an object that is not answered yet
    file = slice_of(1)
    sending = [asyncio.create_task(dcmtk("storescu", *US, acceptor.port, file)) for _ in range(8)]
    await reception.until(lambda reception: len(reception.arrived) == 8)
    reception.open.set()
    for said in await asyncio.gather(*sending):
        assert said.code == 0, said.output
    assert {bytes(one.data) for one in reception.arrived} == {data_set_of(file)}


async def test_one_too_many_is_told_so(start: Start, reception: Reception, dcmtk: Run) -> None:
    acceptor = await start(max_associations=1)
    reception.open.clear()
    first = asyncio.create_task(dcmtk("storescu", *US, acceptor.port, real(CT)))
    await reception.until(lambda reception: len(reception.arrived) == 1)
    said = await dcmtk("echoscu", *US, acceptor.port)
    assert said.code != 0
    assert "Local Limit Exceeded" in said.output
    reception.open.set()
    assert (await first).code == 0
    assert (await dcmtk("echoscu", *US, acceptor.port)).code == 0


async def test_the_same_entity_sends_again_and_again(acceptor: Acceptor, reception: Reception) -> None:
    for _ in range(3):
        assert await asyncio.to_thread(send_raw, acceptor.port, [real(CT)] * 3, "CT_BAISHI") == [0, 0, 0]
    assert len(reception.arrived) == 9
