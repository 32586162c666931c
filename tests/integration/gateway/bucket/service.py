"""What do the tests keep objects in? A real S3 service (rclone serves a folder), and a line to it to be spoilt."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

from minio import Minio

from adapters.objects.s3 import S3ObjectStore
from pacs_gateway.part10 import data_set_offset
from tests.integration.gateway.sending import PATIENCE_SECS

ACCESS_KEY, SECRET_KEY = "hutong-test", "secret-of-the-test"
BUCKET = "pictures"
_LISTENING = re.compile(rb"\[http://127\.0\.0\.1:(\d+)/\]")
_PIECE_BYTES = 64 * 1024


class Line:
    """The way to the service: a port that stays the same, whatever becomes of the service behind it.

    down      nobody gets through
    hold      while it is not set, nothing that the service answers arrives
    spoil     the services' answers arrive with another byte in them
    answered  bytes that the service has answered
    """

    def __init__(self) -> None:
        self.down = False
        self.spoil = False
        self.hold = asyncio.Event()
        self.hold.set()
        self.answered = 0
        self.port = 0
        self.to_port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """Ends every connection that there is."""
        for writer in self._open:
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            if self.down:
                return
            there, back = await asyncio.open_connection("127.0.0.1", self.to_port)
            self._open.add(back)
            await asyncio.gather(self._asks(reader, back), self._answers(there, writer))
        except OSError:
            return
        finally:
            writer.transport.abort()

    async def _asks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(_PIECE_BYTES):
                writer.write(piece)
                await writer.drain()
        writer.transport.abort()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(_PIECE_BYTES):
                await self.hold.wait()
                self.answered += len(piece)
                if self.spoil and b"PIXELS" in piece:
                    piece = piece.replace(b"PIXELS", b"PIXELZ")
                writer.write(piece)
                await writer.drain()
        writer.transport.abort()


class Service:
    """An S3 service with one bucket, behind a line."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.bucket = folder / BUCKET
        self.line = Line()
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Begins to serve, behind the line that is there."""
        self.bucket.mkdir(parents=True, exist_ok=True)
        if not self.line.port:
            await self.line.start()
        process = self._process = await asyncio.create_subprocess_exec(
            Path(sys.executable).parent / "rclone",
            "serve",
            "s3",
            *(
                "--config",
                os.devnull,
                "--addr",
                "127.0.0.1:0",
                "--auth-key",
                f"{ACCESS_KEY},{SECRET_KEY}",
            ),
            self._folder,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        async with asyncio.timeout(PATIENCE_SECS):
            while (said := await process.stderr.readline()) and not (listens := _LISTENING.search(said)):
                continue
        assert listens, "rclone did not begin to serve"
        self.line.to_port = int(listens[1])
        self._drained = asyncio.create_task(process.stderr.read())

    async def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            await self.kill()
        await self.line.close()

    def store(self, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY, bucket: str = BUCKET) -> S3ObjectStore:
        """A client of it, over the line."""
        address = f"http://127.0.0.1:{self.line.port}"
        return S3ObjectStore(address, bucket, access_key, secret_key, timeout_secs=PATIENCE_SECS)

    def remove(self, key: str) -> None:
        """Blocking. Deletes an object behind the back of the gateway."""
        address = f"127.0.0.1:{self.line.to_port}"
        client = Minio(address, access_key=ACCESS_KEY, secret_key=SECRET_KEY, secure=False, region="us-east-1")
        client.remove_object(BUCKET, key)

    def keys(self) -> list[str]:
        return [str(path.relative_to(self.bucket)) for path in self.bucket.rglob("*.dcm")]

    def data_sets(self) -> list[bytes]:
        """What is in the bucket, file meta information left out."""
        files = [path.read_bytes() for path in self.bucket.rglob("*.dcm")]
        return [file[data_set_offset(file) :] for file in files]
