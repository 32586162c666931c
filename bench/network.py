"""What does the network half of C-STORE cost alone? `python -m bench.network`: storescu, and nothing is kept.

Both rates are told: by the clock, which storescu and the other processes of the machine have a part in, and by the
processor time of our process, which only we have.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from rich.console import Console
from rich.table import Table

from bench.cpu import used_secs
from engine.config import DicomChannel
from pacs_gateway.scp.acceptor import Acceptor
from pacs_gateway.scp.reception import Announced
from pacs_gateway.scp.service import Services
from pacs_gateway.scp.storage import Storage

ASSOCIATIONS = (1, 4)
OBJECTS = 200
PIXEL_BYTES = 512 * 1024
ROUNDS = 5
MEGABYTE = 1_000_000
_UID = "1.2.826.0.1.3680043.10.1.{}"


class Nothing:
    """Implements `Reception` and `Arriving`."""

    def begin(self, announced: Announced) -> Nothing:
        return self

    def write(self, pieces: Sequence[memoryview]) -> None:
        pass

    async def finish(self) -> None:
        pass

    def abandon(self) -> None:
        pass


def main() -> None:
    table = Table(title=f"C-STORE of {OBJECTS} objects of 0.5 MB each, kept nowhere")
    for column in ("associations", "MB/s by the clock", "MB/s of processor time"):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        files = [_object(Path(folder), number) for number in range(OBJECTS)]
        total = ROUNDS * sum(file.stat().st_size for file in files) / MEGABYTE
        for associations in ASSOCIATIONS:
            clock, processor = _measured(files, associations)
            table.add_row(str(associations), f"{total / clock:.0f}", f"{total / processor:.0f}")
    Console().print(table)


def _measured(files: Sequence[Path], associations: int) -> tuple[float, float]:
    """Seconds by the clock and of processor time for all rounds."""
    server = subprocess.Popen([sys.executable, "-m", "bench.network", "listen"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None, "the port is told on a pipe"
        port = int(server.stdout.readline())
        used, begun = used_secs(server.pid), time.perf_counter()
        for _ in range(ROUNDS):
            _send(port, files, associations)
        return time.perf_counter() - begun, used_secs(server.pid) - used
    finally:
        server.kill()
        server.wait()


def _send(port: int, files: Sequence[Path], associations: int) -> None:
    command = ["storescu", "-aec", "HUTONG", "127.0.0.1", str(port)]
    senders = [
        subprocess.Popen([*command, *map(str, files[lane::associations])], env={**os.environ, "TCP_NODELAY": "1"})
        for lane in range(associations)
    ]
    ended = [sender.wait() for sender in senders]
    if any(ended):
        raise RuntimeError("storescu was refused")


def _object(folder: Path, number: int) -> Path:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, _UID.format(number + 1)
    dataset.StudyInstanceUID = dataset.SeriesInstanceUID = _UID.format(0)
    dataset.PatientName, dataset.PatientID, dataset.Modality = "Test^One", "P0001", "CT"
    dataset.Rows = dataset.Columns = 512
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 15, 0, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = os.urandom(PIXEL_BYTES)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = folder / f"{number:03}.dcm"
    dcmwrite(file, dataset, enforce_file_format=True)
    return file


async def _listen() -> None:
    channel = DicomChannel(type="dicom", name="bench", ae_title="HUTONG", port=0, default_facility="bench")
    acceptor = Acceptor(channel, Services((Storage(channel.name, Nothing()),)))
    await acceptor.start()
    print(acceptor.port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    if sys.argv[1:] == ["listen"]:
        uvloop.run(_listen())
    else:
        main()
