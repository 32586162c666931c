"""Which archives do the gateway's tests fetch from, and send to? DCMTK's dcmqrscp and Orthanc, as Debian has them."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from pydicom.filereader import read_file_meta_info
from pynetdicom import AE, build_context

from tests.integration.gateway.sending import SUCCESS, until

ARCHIVE = "ARCHIVE"


@dataclass(frozen=True)
class Archive:
    port: int
    folder: Path

    def keep(self, files: Sequence[Path]) -> None:
        """Has it store files. Blocking."""
        entity = AE("DR_BAISHI")
        metas = [read_file_meta_info(file) for file in files]
        kinds = sorted({(str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)) for meta in metas})
        entity.requested_contexts = [build_context(*kind) for kind in kinds]
        association = entity.associate("127.0.0.1", self.port, ae_title=ARCHIVE)
        assert association.is_established
        assert {int(association.send_c_store(file).Status) for file in files} == {SUCCESS}
        association.release()


@asynccontextmanager
async def dcmqrscp(folder: Path, port: int, ours: int) -> AsyncIterator[Archive]:
    """`ours` is the port on which it finds HUTONG."""
    (folder / "kept").mkdir(parents=True)
    (folder / "dcmqrscp.cfg").write_text(
        f"""NetworkTCPPort = {port}
MaxPDUSize = 131072
MaxAssociations = 16
HostTable BEGIN
hutong = (HUTONG, 127.0.0.1, {ours})
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
{ARCHIVE} {folder / "kept"} RW (200, 1024mb) ANY
AETable END
"""
    )
    async with at_work((port,), "dcmqrscp", "-c", str(folder / "dcmqrscp.cfg")):
        yield Archive(port, folder)


@asynccontextmanager
async def orthanc(
    folder: Path, port: int, ours: int, http: int | None = None, dicomweb: tuple[str, str] | None = None
) -> AsyncIterator[Archive]:
    """`http` is where it takes orders of its own, unless it takes none; `dicomweb` our address and a token for it."""
    folder.mkdir(parents=True)
    settings = {
        "Name": "archive",
        "StorageDirectory": str(folder / "kept"),
        "IndexDirectory": str(folder / "kept"),
        "HttpServerEnabled": http is not None,
        "HttpPort": http or 0,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": ARCHIVE,
        "DicomPort": port,
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "DicomAlwaysAllowFind": True,
        "DicomModalities": {"hutong": ["HUTONG", "127.0.0.1", ours]},
        "Plugins": [],
    }
    if dicomweb is not None:
        url, token = dicomweb
        server = {"Url": url, "HttpHeaders": {"Authorization": f"Bearer {token}"}}
        settings["Plugins"] = ["/usr/share/orthanc/plugins/libOrthancDicomWeb.so"]
        settings["DicomWeb"] = {"Enable": True, "Servers": {"hutong": server}}
    (folder / "orthanc.json").write_text(json.dumps(settings))
    ports = (port,) if http is None else (port, http)
    async with at_work(ports, "Orthanc", str(folder / "orthanc.json")):
        yield Archive(port, folder)


ARCHIVES = {"dcmqrscp": dcmqrscp, "orthanc": orthanc}


@asynccontextmanager
async def at_work(
    ports: Sequence[int], *command: str | Path, output: int | BinaryIO = asyncio.subprocess.DEVNULL
) -> AsyncIterator[None]:
    """A program, once it listens on all of its ports, and until it is killed; `output` gets what it says."""
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, "TCP_NODELAY": "1"}, stdout=output, stderr=output
    )
    try:
        for port in ports:
            await until(partial(listens, port))
        yield
    finally:
        process.kill()
        await process.wait()


async def listens(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
