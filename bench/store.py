"""How fast is C-STORE, durable? `python -m bench.store`, beside DCMTK's storescp, Orthanc and the bare disk.

`--processes 2` lets so many gateway processes share hutong's port.

Every sender of the first table is DCMTK's storescu, with TCP_NODELAY=1 on both sides: without it Debian's builds stall
40 ms an object. hutong answers when the object is flushed, and its index row follows; storescp flushes nothing;
Orthanc, measured where Debian's package is installed, flushes and indexes before it answers. Starting the senders is
part of those figures: with 50 of them it is most of it, for every server alike. In the second table the associations
stand before the time begins (`bench.associated`). "Rows" is the rate by the clock that runs until the last index row
is committed, as Orthanc's does. Beside both: the processor time of the server for one object, which a
busy machine changes less than it does any rate; without that of hutong's database.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import CTImageStorage, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian
from rich.console import Console
from rich.table import Table

from bench import associated, receivers
from bench.cpu import used_secs_with_children
from bench.receivers import ENVIRONMENT, MEGABYTE, PDU_BYTES, Server
from engine.cli.assembly import prepare
from engine.store.embedded import EmbeddedPostgres

ROUNDS = 3
_UID = "1.2.826.0.1.3680043.10.1{:012d}.1{:06d}"


@dataclass(frozen=True, slots=True)
class Load:
    """So many objects of a kind, sent over so many associations at once."""

    what: str
    side: int
    objects: int
    associations: int
    sop_class: str = str(CTImageStorage)


CT_ONE = Load("200 CT of 0.5 MB, 1 association", 512, 200, 1)
CT_FOUR = Load("200 CT of 0.5 MB, 4 associations", 512, 200, 4)
CT_FIFTY = Load("200 CT of 0.5 MB, 50 associations", 512, 200, 50)
DX_FOUR = Load("20 radiographs of 15 MB, 4 associations", 2740, 20, 4, str(DigitalXRayImageStorageForPresentation))
DX_FIFTY = Load("50 radiographs of 15 MB, 50 associations", 2740, 50, 50, str(DigitalXRayImageStorageForPresentation))
LOADS = (CT_ONE, CT_FOUR, CT_FIFTY, DX_FOUR, DX_FIFTY)
STANDING = (
    Load("400 CT of 0.5 MB, 4 associations", 512, 400, 4),
    Load("400 CT of 0.5 MB, 50 associations", 512, 400, 50),
)
"""Sent over associations that stand already."""
SINGLE = Load("1 CT of 0.5 MB", 512, 1, 1)
SINGLES = 20
"""Sent one at a time, each when the one before it has been moved to the store."""


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--processes", type=int, default=1)
    processes: int = asked.parse_args().processes
    with tempfile.TemporaryDirectory(prefix="hutong-bench-") as name, EmbeddedPostgres(Path(name) / "pg") as url:
        folder = Path(name)
        folder.chmod(0o755)
        asyncio.run(prepare(url, folder))
        with ExitStack() as stack:
            hutong = stack.enter_context(receivers.hutong(folder, url, processes))
            servers = [hutong, stack.enter_context(receivers.storescp(folder / "storescp"))]
            if shutil.which("Orthanc"):
                servers.append(stack.enter_context(receivers.orthanc(folder / "orthanc")))
            _report(servers, folder)


def _report(servers: Sequence[Server], folder: Path) -> None:
    numbers = iter(range(1, 1_000_000))
    sent = 0
    console = Console()

    def rounds(load: Load, send: Callable[[Server, Load, int], float]) -> list[list[Measured]]:
        """Of every server in turn, and of the bare disk, some times."""
        nonlocal sent
        measured: list[list[Measured]] = []
        for _ in range(ROUNDS):
            measured.append([])
            for server in servers:
                used = used_secs_with_children(server.process.pid)
                rate = send(server, load, next(numbers))
                answered = time.perf_counter()
                spent_secs = (used_secs_with_children(server.process.pid) - used) / load.objects
                sent += load.objects if server is servers[0] else 0
                server.indexed(sent)
                measured[-1].append(Measured(rate, spent_secs, time.perf_counter() - answered))
                server.settled(sent)
            measured[-1].append(Measured(_bare(load, folder / "bare"), 0, 0))
        return measured

    table = _table("C-STORE from storescu, MB/s", servers)
    for load in LOADS:
        _add(table, load, rounds(load, _sent_by_storescu))
    console.print(table)
    table = _table("C-STORE over associations that stand, MB/s", servers)
    rates = [_add(table, load, rounds(load, _sent_over_standing)) for load in STANDING]
    console.print(table)
    for server in servers:
        waited = []
        for _ in range(SINGLES):
            waited.append(_waited_ms(server, SINGLE, next(numbers)))
            sent += 1 if server is servers[0] else 0
            server.settled(sent)
        console.print(
            f"{server.name}: one object of 0.5 MB to an idle server is answered after {median(waited):.1f} ms"
        )
    console.print(
        f"{ROUNDS} rounds in turn; medians, and medians of the ratios of one round. In brackets ms of processor."
    )
    for server, four, fifty in zip(servers, *rates, strict=False):  # the last one is the disk
        console.print(f"{server.name}: 50 associations : 4 associations = {fifty / four:.2f}")
    gateways = [one for one in servers[0].process.children() if "gateway" in one.cmdline()]
    peaks = ", ".join(f"{receivers.peak_megabytes(one):.0f} MB" for one in gateways)
    console.print(f"most memory of each of {len(gateways)} gateway processes: {peaks}")


@dataclass(frozen=True, slots=True)
class Measured:
    """MB/s and the server's processor time for an object, until the last answer; and what its index took then."""

    rate: float
    spent_secs: float
    indexing_secs: float

    def rate_with_rows(self, load: Load) -> float:
        """MB/s until the last row."""
        size = load.objects * load.side * load.side * 2 / MEGABYTE
        return size / (size / self.rate + self.indexing_secs)


def _table(title: str, servers: Sequence[Server]) -> Table:
    names = [*(server.name for server in servers), "bare disk"]
    table = Table(title=title)
    for heading in ("load", *names, f"{names[0]}, rows", *(f"{names[0]} : {other}" for other in names[1:])):
        table.add_column(heading, justify="left" if heading == "load" else "right")
    return table


def _add(table: Table, load: Load, rounds: Sequence[Sequence[Measured]]) -> list[float]:
    """A row of the table; the middle rate of each column."""
    columns = list(zip(*rounds, strict=True))
    rates = [median(one.rate for one in column) for column in columns]
    spent = [median(one.spent_secs for one in column) * 1e3 for column in columns]
    ratios = [
        median(ours.rate / other.rate for ours, other in zip(columns[0], each, strict=True)) for each in columns[1:]
    ]
    table.add_row(
        load.what,
        *(f"{rate:,.0f} ({ms:.1f})" if ms else f"{rate:,.0f}" for rate, ms in zip(rates, spent, strict=True)),
        f"{median(one.rate_with_rows(load) for one in columns[0]):,.0f}",
        *(f"{ratio:.2f}" for ratio in ratios),
    )
    return rates


# ── what is sent ─────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _objects(load: Load, number: int) -> Iterator[list[Path]]:
    """Files that nobody has been sent before, in the page cache."""
    with tempfile.TemporaryDirectory(prefix="hutong-bench-objects-") as name:
        pixels = os.urandom(load.side * load.side * 2)
        files = [Path(name) / f"{place}.dcm" for place in range(load.objects)]
        for place, file in enumerate(files):
            dcmwrite(file, _dataset(load, number, place, pixels), enforce_file_format=True)
        os.sync()
        yield files


def _dataset(load: Load, number: int, place: int, pixels: bytes) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = load.sop_class
    dataset.SOPInstanceUID = _UID.format(number, place)
    dataset.StudyInstanceUID = _UID.format(number, 900_000 + place % load.associations)
    dataset.SeriesInstanceUID = _UID.format(number, 950_000 + place % load.associations)
    dataset.PatientName, dataset.PatientID = "Test^One", "P0001"
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber = "20260102", "101500", "A0001"
    dataset.Modality = "CT" if load.sop_class == CTImageStorage else "DX"
    dataset.InstanceNumber = place
    dataset.Rows = dataset.Columns = load.side
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = pixels
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def _sent_by_storescu(server: Server, load: Load, number: int) -> float:
    with _objects(load, number) as files:
        return _sent(server, load, files)


def _sent_over_standing(server: Server, load: Load, number: int) -> float:
    pixels = os.urandom(load.side * load.side * 2)
    messages = [associated.message(_dataset(load, number, place, pixels), place + 1) for place in range(load.objects)]
    return associated.sent(server.port, load.sop_class, str(ExplicitVRLittleEndian), messages, load.associations)


def _waited_ms(server: Server, load: Load, number: int) -> float:
    """From the first byte of one object to its answer, over an association that stands."""
    message = associated.message(_dataset(load, number, 0, os.urandom(load.side * load.side * 2)), 1)
    rate = associated.sent(server.port, load.sop_class, str(ExplicitVRLittleEndian), [message], load.associations)
    return len(message) / MEGABYTE / rate * 1e3


def _sent(server: Server, load: Load, files: Sequence[Path]) -> float:
    """MB/s from the first process started to the last one ended."""
    size = sum(file.stat().st_size for file in files)
    command = ["storescu", "--max-pdu", PDU_BYTES, "-aec", "HUTONG", "127.0.0.1", str(server.port)]
    begun = time.perf_counter()
    senders = [
        subprocess.Popen(
            [*command, *map(str, files[lane :: load.associations])],
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for lane in range(load.associations)
    ]
    refusals = [sender.communicate()[1].decode(errors="replace") for sender in senders]
    took = time.perf_counter() - begun
    for sender, refusal in zip(senders, refusals, strict=True):
        if sender.returncode or refusal:
            raise RuntimeError(f"{server.name} did not take everything: {refusal[:300]}")
    return size / took / MEGABYTE


def _bare(load: Load, path: Path) -> float:
    """MB/s of one writer that flushes each object into blocks written before, and does nothing else."""
    data = os.urandom(load.side * load.side * 2)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        places = range(0, 8 * len(data), len(data))
        for place in places:
            os.pwrite(descriptor, data, place)
        os.fsync(descriptor)
        begun = time.perf_counter()
        for number in range(load.objects):
            os.pwrite(descriptor, data, places[number % len(places)])
            os.fdatasync(descriptor)
        return load.objects * len(data) / (time.perf_counter() - begun) / MEGABYTE
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main()
