"""Who receives in a measurement of C-STORE, and what is asked of it? hutong, DCMTK's storescp and Orthanc."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil

from bench.ready import free_port, listens, until
from engine.cli.supervisor import RUN_FILE

MEGABYTE = 1_000_000
PDU_BYTES = "131072"
ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}


@dataclass(frozen=True, slots=True)
class Server:
    """Both are told how many objects it has had by now.

    indexed  waits until each of them has its row
    settled  waits until nothing is left to be done with them
    """

    name: str
    port: int
    process: psutil.Process
    indexed: Callable[[int], None]
    settled: Callable[[int], None]


@contextmanager
def hutong(folder: Path, url: str, processes: int) -> Iterator[Server]:
    (folder / "channels").mkdir()
    (folder / "community.yaml").write_text(
        f"name: 测量\nfacilities:\n  bench: {{name: 测量医院, level: county}}\ngateway: {{processes: {processes}}}\n"
    )
    (folder / "channels" / "imaging.yaml").write_text(
        "type: dicom\nae_title: HUTONG\nport: 0\ndefault_facility: bench\nmax_associations: 64\n"
    )
    command = [sys.executable, "-m", "engine.cli.main", "serve", "--only", "gateway"]
    command += ["--config", str(folder), "--data", str(folder)]
    environment = {**ENVIRONMENT, "HUTONG_DATABASE_URL": url}
    with _running(command, environment) as process:
        until((folder / RUN_FILE).exists)
        said = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))

        settled_before = 0

        def indexed(objects: int) -> None:
            asyncio.run(_all_indexed(url, objects))

        def settled(objects: int) -> None:
            nonlocal settled_before
            indexed(objects)
            store = folder / "objects" / "store" / "bench"
            until(lambda: len(list(store.rglob("*.dcm"))) == objects - settled_before)
            shutil.rmtree(store)  # the disk is not asked to hold every round
            settled_before = objects

        yield Server("hutong", said["dicom"]["port"], psutil.Process(process.pid), indexed, settled)


async def _all_indexed(url: str, objects: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        while await connection.fetchval("select count(*) from instance") < objects:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.02)
    finally:
        await connection.close()


@contextmanager
def storescp(folder: Path) -> Iterator[Server]:
    folder.mkdir()
    port = free_port()
    command = ["storescp", "--fork", "--max-pdu", PDU_BYTES, "--output-directory", str(folder), str(port)]
    with _running(command, ENVIRONMENT) as process:
        until(lambda: listens(port))
        yield Server("storescp", port, psutil.Process(process.pid), _keeps_no_rows, lambda _: _emptied(folder))


@contextmanager
def orthanc(folder: Path) -> Iterator[Server]:
    folder.mkdir()
    port = free_port()
    (folder / "orthanc.json").write_text(
        json.dumps(
            {
                "StorageDirectory": str(folder / "storage"),
                "IndexDirectory": str(folder / "index"),
                "DicomAet": "HUTONG",
                "DicomPort": port,
                "DicomAlwaysAllowStore": True,
                "DicomCheckCalledAet": False,
                "HttpServerEnabled": False,
                "SyncStorageArea": True,
                "MaximumPduLength": int(PDU_BYTES),
            }
        )
    )
    with _running(["Orthanc", str(folder / "orthanc.json")], ENVIRONMENT) as process:
        until(lambda: listens(port))
        yield Server("Orthanc", port, psutil.Process(process.pid), _writes_rows_first, lambda _: None)


@contextmanager
def _running(command: Sequence[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _keeps_no_rows(_: int) -> None:
    """storescp has no index."""


def _writes_rows_first(_: int) -> None:
    """Orthanc answers when its rows stand."""


def _emptied(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def peak_megabytes(process: psutil.Process) -> float:
    """The most it ever had resident (VmHWM), with what it shares."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / MEGABYTE
    raise RuntimeError("the kernel does not say")
