"""How do the gateway's tests fetch what is stored? Where WADO-RS has it, and what is in an answer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pydicom

from pacs_gateway.gateway import Gateway
from tests.integration.gateway.sending import SUCCESS, send_raw, settled

RELATED = 'multipart/related; type="application/dicom"'


async def kept(gateway: Gateway, objects: Path, *files: Path, calling: str = "DR_BAISHI") -> str:
    """Stores files; the path of the first."""
    assert set(await asyncio.to_thread(send_raw, gateway.port, files, calling)) == {SUCCESS}
    await settled(objects)
    return path_of(files[0])


def path_of(file: Path) -> str:
    """Where an object is, once it is stored."""
    one = pydicom.dcmread(file, stop_before_pixels=True)
    return f"/dicomweb/studies/{one.StudyInstanceUID}/series/{one.SeriesInstanceUID}/instances/{one.SOPInstanceUID}"


def study_of(path: str) -> str:
    return path.split("/series/")[0]


def series_of(path: str) -> str:
    return path.split("/instances/")[0]


def parts_of(answer: httpx.Response) -> list[tuple[str, bytes]]:
    """Content-Type and content of each part."""
    boundary = answer.headers["content-type"].partition("boundary=")[2].encode()
    assert answer.content.endswith(b"\r\n--%b--\r\n" % boundary)
    found = []
    for part in (b"\r\n" + answer.content).split(b"\r\n--%b" % boundary)[1:-1]:
        head, _, body = part.partition(b"\r\n\r\n")
        found.append((head.decode().split("Content-Type: ")[1].split("\r\n")[0], body))
    return found
