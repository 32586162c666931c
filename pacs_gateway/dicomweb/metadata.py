"""What do the data sets of a study say, pixels apart? DICOM JSON, prepared before it is asked for where there was time.

What is kept is named by the contents it tells of, so it is never wrong, only forgotten when a study grows. A series is
kept as it is told whatever address a client reaches the service by; an answer, with the addresses of its client.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Sequence
from hashlib import sha256
from itertools import groupby
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from engine.errors import ParseError
from engine.store.imaging_reading import Held
from engine.store.statements import edition
from pacs_gateway.dicomweb.asking import caller_of
from pacs_gateway.dicomweb.dicom_json import written
from pacs_gateway.dicomweb.instances import accept_of
from pacs_gateway.dicomweb.kept import Kept
from pacs_gateway.dicomweb.looking import Looking, Wanted
from pacs_gateway.dicomweb.sending import HEADERS
from pacs_gateway.dicomweb.unchanged import is_had, not_modified

MEDIA_TYPES = ("application/dicom+json", "application/json")
MOST_SERIES = 200
"""Of a study whose series are kept one by one; one of more is made when it is asked for."""
_FORMAT = b"2"
"""To be raised with every change of what is written, so that nothing prepared before is served."""
_PREPARED_AT_ONCE = 1
"""It is work of the processor, and answers of other kinds go on beside it."""
_EFFORT = 6
_GZIP = 16 + zlib.MAX_WBITS
_REST = 3
"""Nobody waits for what is prepared: for each second of work, as many are left to others."""
_ADDRESS = b'"BulkDataURI":"'
"""Only a key reads so: within a text, quotation marks are escaped."""


class Documents:
    """Prepared documents in `objects/metadata`, which may be deleted at any time."""

    def __init__(self, looking: Looking, objects: Path) -> None:
        self._looking = looking
        self._kept = Kept(objects / "metadata")
        self._turns = asyncio.Semaphore(_PREPARED_AT_ONCE)

    async def answer(self, wanted: Wanted, request: Request, base: str) -> Response:
        """The metadata of a study, a series or an instance (PS3.18 §10.4.1.1.2), or 304."""
        held = await self._looking.find(caller_of(request), wanted)
        media_type = accept_of(request).best(MEDIA_TYPES)
        if media_type is None:
            raise ParseError("metadata are told as application/dicom+json", code="not-acceptable")
        name = _name(held, wanted, base)
        etag = f'W/"{name}"'
        if is_had(request, etag):
            return not_modified(etag)
        headers = {**HEADERS, "ETag": etag}
        compressed = await self._compressed(name, wanted, held, base)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(compressed, headers={**headers, "Content-Encoding": "gzip"}, media_type=media_type)
        return Response(await asyncio.to_thread(gzip.decompress, compressed), headers=headers, media_type=media_type)

    async def prepare(self, study_uid: str, views: Sequence[Sequence[Held]]) -> None:
        """Makes what is missing of the series of a study, slowly, and forgets everything else that was made of it.

        views  its objects, as each of those sees them who see something of their own. Raises what `Looking.open` does
        """
        names = set()
        for held in views:
            series = _series_of(held)
            for one in series if len(series) <= MOST_SERIES else ():
                names.add(file := _file_of(one))
                if await self._kept.get(study_uid, file) is None:
                    await self._kept.put(study_uid, file, await self._made(one, _REST))
        await self._kept.only(study_uid, names)

    async def _compressed(self, name: str, wanted: Wanted, held: Sequence[Held], base: str) -> bytes:
        study, file = held[0].study_uid, f"{name}.json.gz"
        if (kept := await self._kept.get(study, file)) is not None:
            return kept
        async with self._turns:
            if (kept := await self._kept.get(study, file)) is not None:
                return kept  # who waited for the turn before has prepared it
            series = _series_of(held)
            keeps = not wanted.sop and len(series) <= MOST_SERIES
            told = [await self._series(one, keeps=keeps) for one in series]
            compressed = await asyncio.to_thread(_told_to, base, told)
            if not wanted.sop:
                await self._kept.put(study, file, compressed)
        return compressed

    async def _series(self, held: Sequence[Held], *, keeps: bool) -> bytes:
        """The objects of a series, or some of them, with commas between; compressed."""
        if not keeps:
            return await self._made(held, 0)
        file = _file_of(held)
        if (kept := await self._kept.get(held[0].study_uid, file)) is not None:
            return kept
        made = await self._made(held, 0)
        await self._kept.put(held[0].study_uid, file, made)
        return made

    async def _made(self, held: Sequence[Held], rest: float) -> bytes:
        """One object after another is in memory, and of the others what they are compressed to."""
        compressor = zlib.compressobj(_EFFORT, zlib.DEFLATED, _GZIP)
        clock = asyncio.get_running_loop().time
        made: list[bytes] = []
        for one in held:
            began = clock()
            told = await asyncio.to_thread(self._of_one, one)
            made.append(compressor.compress(b"," + told if made else told))
            await asyncio.sleep(rest * (clock() - began))
        return b"".join([*made, compressor.flush()])

    def _of_one(self, held: Held) -> bytes:
        from pacs_gateway.dicomweb.data_set import DataSet

        root = Wanted(held.study_uid, held.series_uid, held.sop_uid).path
        with self._looking.open(held) as file:
            try:
                data_set = DataSet(file, held.transfer_syntax)
                return written(
                    data_set, held.transfer_syntax, held.declared, held.charset, lambda path: f"{root}/bulkdata/{path}"
                )
            except ParseError:
                return _least(held)


def _told_to(base: str, series: Sequence[bytes]) -> bytes:
    """A whole document, for a client that reaches the service at an address."""
    told = b"[%b]" % b",".join(gzip.decompress(one) for one in series)
    return gzip.compress(told.replace(_ADDRESS, _ADDRESS + json.dumps(base)[1:-1].encode()), _EFFORT, mtime=0)


def _least(held: Held) -> bytes:
    """What the index knows of an object whose data set cannot be walked through; the object itself can be fetched."""
    values = {
        "00080005": ("CS", "ISO_IR 192"),
        "00080016": ("UI", held.sop_class),
        "00080018": ("UI", held.sop_uid),
        "00080060": ("CS", held.modality),
        "00083002": ("UI", held.transfer_syntax),
        "0020000D": ("UI", held.study_uid),
        "0020000E": ("UI", held.series_uid),
    }
    told = {tag: {"vr": vr, "Value": [value]} if value else {"vr": vr} for tag, (vr, value) in values.items()}
    return json.dumps(told, ensure_ascii=False).encode()


def _series_of(held: Sequence[Held]) -> list[list[Held]]:
    """The objects of a study by their series, in their order."""
    return [list(of_one) for _, of_one in groupby(held, lambda one: one.series_uid)]


def _file_of(series: Sequence[Held]) -> str:
    first = series[0]
    return f"{_name(series, Wanted(first.study_uid, first.series_uid), '')}.series.gz"


def _name(held: Sequence[Held], wanted: Wanted, base: str) -> str:
    about = f"{base}{wanted.path}".encode()
    contents = b"".join(one.series_uid.encode() + one.sha256 + edition(one.location) for one in held)
    return sha256(b"\0".join((_FORMAT, about, contents))).hexdigest()[:40]
