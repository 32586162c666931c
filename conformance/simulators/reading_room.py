"""What does a reader do at the centre? Takes a request, looks, writes, submits; another one reviews and signs."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from pydicom import Dataset, dcmread

from conformance.pictures import Picture, picture_of
from conformance.simulators.http import HubHttp


class ReadingRoom:
    """The browser of one person at the centre, without the browser."""

    def __init__(self, http: HubHttp) -> None:
        self._http = http

    async def waiting(self, centre: str, accession: str) -> dict[str, Any] | None:
        """The waiting request of that accession number, as a line of the worklist; None while there is none."""
        worklist = await self._http.get("/api/requests", state="waiting", centre=centre)
        return next((row for row in worklist["requests"] if row["accession"] == accession), None)

    async def open(self, request: str) -> dict[str, Any]:
        """Everything of one request: images, earlier reports, the draft."""
        opened: dict[str, Any] = await self._http.get(f"/api/requests/{request}")
        return opened

    async def claim(self, request: str) -> None:
        await self._http.post(f"/api/requests/{request}/claim")

    async def write(self, request: str, observed: str, conclusion: str) -> None:
        await self._http.post(f"/api/requests/{request}/draft", {"observed": observed, "conclusion": conclusion})

    async def submit(self, request: str) -> None:
        await self._http.post(f"/api/requests/{request}/submit")

    async def approve(self, request: str) -> None:
        await self._http.post(f"/api/requests/{request}/review", {"decision": "approve"})

    async def sign(self, request: str) -> None:
        await self._http.post(f"/api/requests/{request}/sign")

    async def look(self, rendered: str) -> Picture:
        """The picture of an instance, at the path that the request named."""
        _, content = await self._http.get_bytes(rendered, accept="image/png, image/svg+xml")
        return picture_of(content)

    async def original(self, study: str, series: str, instance: str) -> Dataset:
        """The object as it is kept, by WADO-RS (PS3.18 §10.4)."""
        path = f"/dicomweb/studies/{study}/series/{series}/instances/{instance}"
        accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        media_type, content = await self._http.get_bytes(path, accept=accept)
        return dcmread(BytesIO(_first_part(media_type, content)))


def _first_part(media_type: str, content: bytes) -> bytes:
    """The object of a multipart/related answer (RFC 2387), or the answer itself when it is a single object."""
    _, found, boundary = media_type.partition("boundary=")
    if not found:
        return content
    delimiter = b"--" + boundary.split(";")[0].strip('" ').encode()
    part = content.split(delimiter)[1]
    return part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
