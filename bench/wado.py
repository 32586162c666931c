"""How fast do stored instances come by WADO-RS? `python -m bench.wado [CONNECTIONS]`, beside granian and plain files.

Instances of 0.5 MB are fetched by a token's holder, each look audited, over 8 kept connections or as many as are named;
a search of 25 studies and the metadata of a series, which are prepared before, are asked for in the same run. Orthanc's
DICOMweb plugin is measured where Debian's packages `orthanc` and `orthanc-dicomweb` are installed.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from statistics import median

import asyncpg
import httpx
import psutil
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from rich.console import Console
from rich.table import Table

from bench.ready import free_port, listens, until
from engine.cli.assembly import prepare
from engine.clock import now
from engine.store import access
from engine.store.embedded import EmbeddedPostgres

INSTANCES = 100
STUDIES = 25
CONNECTIONS = 8
SECONDS = 3.0
ROUNDS = 3
_SIDE = 512
_UID = "1.2.826.0.1.3680043.10.2.{}"
_BUFFER_BYTES = 1024 * 1024
_PLAIN = "application/dicom"
_PARTS = 'multipart/related; type="application/dicom"'
_BOUNDARY = "between-objects-of-noise"
"""Orthanc looks for it without the line break before, so a short one would be found in the pixels."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of a server, one path after another."""

    what: str
    server: psutil.Process
    port: int
    paths: Sequence[str]
    headers: str = ""


@dataclass(frozen=True, slots=True)
class Rate:
    """`milliseconds` of the server's process, on all cores, for one request."""

    requests: float
    megabytes: float
    milliseconds: float


def main() -> None:
    connections = int(sys.argv[1]) if len(sys.argv) > 1 else CONNECTIONS
    with tempfile.TemporaryDirectory(prefix="hutong-bench-") as name, EmbeddedPostgres(Path(name) / "pg") as url:
        folder = Path(name)
        folder.chmod(0o755)
        asyncio.run(prepare(url, folder))
        objects = [_object(number) for number in range(INSTANCES)]
        with ExitStack() as stack:
            port, process, token = stack.enter_context(_hutong(folder, url))
            floor = stack.enter_context(_floor(folder / "plain", objects))
            _post(f"http://127.0.0.1:{port}/dicomweb/studies", objects, {"Authorization": f"Bearer {token}"})
            until(lambda: len(list((folder / "objects" / "store").rglob("*.dcm"))) == INSTANCES)
            loads = [
                Load("plain files, by path", *floor, [f"/{number}" for number in range(INSTANCES)]),
                *_loads("hutong", process, port, "/dicomweb", f"Authorization: Bearer {token}\r\n"),
            ]
            if shutil.which("Orthanc"):
                orthanc = stack.enter_context(_orthanc(folder / "orthanc"))
                _post(f"http://127.0.0.1:{orthanc[1]}/dicom-web/studies", objects, {})
                loads += _loads("Orthanc", *orthanc, "/dicom-web", "")[1:]
            _report(loads, process, connections)


def _loads(who: str, server: psutil.Process, port: int, root: str, headers: str) -> list[Load]:
    paths = [f"{root}{_path(number)}" for number in range(INSTANCES)]
    return [
        Load(f"{who}, one instance by itself", server, port, paths, f"{headers}Accept: {_PLAIN}\r\n"),
        Load(f"{who}, one instance in a multipart", server, port, paths, f"{headers}Accept: {_PARTS}\r\n"),
        Load(f"{who}, 25 studies found", server, port, [f"{root}/studies?limit=25"], headers),
        Load(
            f"{who}, metadata of a series",
            server,
            port,
            [f"{root}{_path(0).rpartition('/instances/')[0]}/metadata"],
            f"{headers}Accept-Encoding: gzip\r\n",
        ),
    ]


def _report(loads: Sequence[Load], process: psutil.Process, connections: int) -> None:
    for load in loads:
        _measured(load, 0.3, connections)
    rounds = [[_measured(load, SECONDS, connections) for load in loads] for _ in range(ROUNDS)]
    table = Table(title=f"{connections} connections, {INSTANCES} instances of 0.5 MB in {STUDIES} studies")
    for heading in ("", "requests/s", "MB/s", "ms of processor"):
        table.add_column(heading, justify="right" if heading else "left")
    for load, rates in zip(loads, zip(*rounds, strict=True), strict=True):
        requests, megabytes = median(rate.requests for rate in rates), median(rate.megabytes for rate in rates)
        worked = median(rate.milliseconds for rate in rates)
        table.add_row(load.what, f"{requests:,.0f}", f"{megabytes:,.0f}", f"{worked:.2f}")
    console = Console()
    console.print(table)
    console.print(f"{ROUNDS} rounds in turn, medians. The web process has {process.memory_info().rss / 1e6:.0f} MB.")


# ── who asks ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _measured(load: Load, seconds: float, connections: int) -> Rate:
    counts: list[tuple[int, int]] = []
    begun, worked = time.perf_counter(), _worked(load.server)
    lanes = [
        threading.Thread(target=lambda lane=lane: counts.append(_asked(load, lane, begun + seconds)))
        for lane in range(connections)
    ]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    took = time.perf_counter() - begun
    if len(counts) < connections:
        raise RuntimeError(f"{load.what}: a connection broke")
    requests, size = (sum(column) for column in zip(*counts, strict=True))
    return Rate(requests / took, size / took / 1e6, (_worked(load.server) - worked) / requests * 1000)


def _worked(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _asked(load: Load, lane: int, until: float) -> tuple[int, int]:
    """Requests answered and bytes of their bodies, over one connection that is kept."""
    buffer = memoryview(bytearray(_BUFFER_BYTES))
    answered = received = 0
    with socket.create_connection(("127.0.0.1", load.port)) as connection:
        while time.perf_counter() < until:
            path = load.paths[(lane + answered * CONNECTIONS) % len(load.paths)]
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{load.headers}\r\n".encode())
            received += _answer(connection, buffer)
            answered += 1
    return answered, received


def _answer(connection: socket.socket, buffer: memoryview) -> int:
    """Reads one answer; bytes of its body, those that mark chunks included."""
    size = connection.recv_into(buffer)
    while b"\r\n\r\n" not in bytes(buffer[:4096]):
        size += connection.recv_into(buffer[size:])
    head, _, body = bytes(buffer[: min(size, 4096)]).partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head[:100].decode("latin-1"))
    got = size - len(head) - 4
    lower = head.lower()
    if b"content-length:" in lower:
        length = int(lower.split(b"content-length:")[1].split(b"\r\n")[0])
        while got < length:
            got += connection.recv_into(buffer)
        return got
    tail = (body if got < 4096 else bytes(buffer[size - 5 : size]))[-5:]
    while tail != b"0\r\n\r\n":
        size = connection.recv_into(buffer)
        got += size
        tail = (tail + bytes(buffer[max(0, size - 5) : size]))[-5:]
    return got


# ── what is asked for ────────────────────────────────────────────────────────────────────────────────────────────────


def _path(number: int) -> str:
    study = number % STUDIES
    uid = _UID.format(study + 1)
    return f"/studies/{uid}/series/{uid}.1/instances/{uid}.{number + 2}"


def _object(number: int) -> bytes:
    _, _, study, _, series, _, sop = _path(number).split("/")
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, sop
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.PatientName, dataset.PatientID = "Test^One", "P0001"
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber = "20260102", "101500", "A0001"
    dataset.Modality, dataset.InstanceNumber = "CT", number
    dataset.Rows = dataset.Columns = _SIDE
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = os.urandom(_SIDE * _SIDE * 2)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def _post(address: str, objects: Sequence[bytes], headers: dict[str, str]) -> None:
    between = b"--%b\r\nContent-Type: application/dicom\r\n\r\n" % _BOUNDARY.encode()
    body = b"".join(between + one + b"\r\n" for one in objects) + b"--%b--\r\n" % _BOUNDARY.encode()
    content_type = {"Content-Type": f"{_PARTS}; boundary={_BOUNDARY}", "Accept": "application/dicom+json"}
    begun = time.perf_counter()
    told = httpx.post(address, content=body, headers=headers | content_type, timeout=60).raise_for_status().json()
    if len(told["00081199"]["Value"]) != len(objects):
        raise RuntimeError(f"{address} did not store every object")
    Console().print(
        f"{len(body) / 1e6:.0f} MB posted to {address} at {len(body) / 1e6 / (time.perf_counter() - begun):.0f} MB/s"
    )


# ── who answers ──────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _hutong(folder: Path, url: str) -> Iterator[tuple[int, psutil.Process, str]]:
    (folder / "channels").mkdir()
    (folder / "community.yaml").write_text(
        "name: 测量\nfacilities:\n  bench: {name: 测量医院, level: county}\nhttp: {port: 0}\n"
    )
    (folder / "channels" / "imaging.yaml").write_text(
        "type: dicom\nae_title: HUTONG\nport: 0\ndefault_facility: bench\nmax_associations: 64\n"
    )
    (folder / "users.yaml").write_text("users:\n  bench: {display: 测量, facility: bench, roles: [sender]}\n")
    token = asyncio.run(_token(url))
    command = [sys.executable, "-m", "engine.cli.process", "web", str(folder), str(folder)]
    environment = {**os.environ, "HUTONG_DATABASE_URL": url}
    with _running(command, environment, subprocess.PIPE, subprocess.PIPE) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        yield said["http_port"], psutil.Process(process.pid), token


async def _token(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return await access.issue(connection, "bench", now())
    finally:
        await connection.close()


@contextmanager
def _floor(folder: Path, objects: Sequence[bytes]) -> Iterator[tuple[psutil.Process, int]]:
    folder.mkdir()
    for number, one in enumerate(objects):
        (folder / str(number)).write_bytes(one)
    port = free_port()
    with _running([sys.executable, "-m", "bench.floor_files", str(port), str(folder)], {**os.environ}) as process:
        until(lambda: listens(port))
        yield psutil.Process(process.pid), port


@contextmanager
def _orthanc(folder: Path) -> Iterator[tuple[psutil.Process, int]]:
    folder.mkdir()
    port = free_port()
    plugins = next(iter(Path("/usr").rglob("libOrthancDicomWeb.so*")), None)
    if plugins is None:
        raise RuntimeError("Orthanc has no DICOMweb plugin: apt-get install orthanc-dicomweb")
    (folder / "orthanc.json").write_text(
        json.dumps(
            {
                "StorageDirectory": str(folder / "storage"),
                "IndexDirectory": str(folder / "index"),
                "DicomServerEnabled": False,
                "HttpPort": port,
                "AuthenticationEnabled": False,
                "TcpNoDelay": True,
                "KeepAlive": True,
                "Plugins": [str(plugins)],
            }
        )
    )
    with _running(["Orthanc", str(folder / "orthanc.json")], {**os.environ, "TCP_NODELAY": "1"}) as process:
        until(lambda: listens(port))
        yield psutil.Process(process.pid), port


@contextmanager
def _running(
    command: Sequence[str],
    environment: dict[str, str],
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env=environment, stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
