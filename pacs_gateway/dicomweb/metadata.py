"""What do the data sets of a study say, pixels apart? DICOM JSON, prepared when it is first asked for and then kept.

What is kept is named by the contents it tells of, so it is never wrong, only forgotten when a study grows.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Sequence
from hashlib import sha256
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

MEDIA_TYPES = ("application/dicom+json", "application/json")
_FORMAT = b"1"
"""To be raised with every change of what is written, so that nothing prepared before is served."""
_PREPARED_AT_ONCE = 1
"""It is work of the processor, and answers of other kinds go on beside it."""
_EFFORT = 6


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
        headers = {**HEADERS, "Cache-Control": "private, no-cache", "ETag": f'W/"{name}"'}
        if f'"{name}"' in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        compressed = await self._compressed(name, wanted, held, base)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(compressed, headers={**headers, "Content-Encoding": "gzip"}, media_type=media_type)
        return Response(await asyncio.to_thread(gzip.decompress, compressed), headers=headers, media_type=media_type)

    async def _compressed(self, name: str, wanted: Wanted, held: Sequence[Held], base: str) -> bytes:
        study, file = held[0].study_uid, f"{name}.json.gz"
        if (kept := await self._kept.get(study, file)) is not None:
            return kept
        async with self._turns:
            if (kept := await self._kept.get(study, file)) is not None:
                return kept  # who waited for the turn before has prepared it
            compressed = await asyncio.to_thread(self._prepare, held, base)
            if not wanted.sop:
                await self._kept.put(study, file, compressed)
        return compressed

    def _prepare(self, held: Sequence[Held], base: str) -> bytes:
        return gzip.compress(b"[%b]" % b",".join(self._of_one(one, base) for one in held), _EFFORT, mtime=0)

    def _of_one(self, held: Held, base: str) -> bytes:
        from pacs_gateway.dicomweb.data_set import DataSet

        root = base + Wanted(held.study_uid, held.series_uid, held.sop_uid).path
        with self._looking.open(held) as file:
            try:
                data_set = DataSet(file, held.transfer_syntax)
                return written(
                    data_set, held.transfer_syntax, held.declared, held.charset, lambda path: f"{root}/bulkdata/{path}"
                )
            except ParseError:
                return _least(held)


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


def _name(held: Sequence[Held], wanted: Wanted, base: str) -> str:
    about = f"{base}{wanted.path}".encode()
    contents = b"".join(one.series_uid.encode() + one.sha256 + edition(one.location) for one in held)
    return sha256(b"\0".join((_FORMAT, about, contents))).hexdigest()[:40]
