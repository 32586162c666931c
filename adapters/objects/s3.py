"""How do objects get into a bucket, and out of it? Each is sent, read back and hashed before the spool forgets it.

Read back, because a checksum that a service tells is one that it worked out over what came, not over what it kept.
"""

from __future__ import annotations

import io
import logging
import ssl
from collections.abc import Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

from minio import Minio
from urllib3 import PoolManager, Retry, Timeout
from urllib3.response import BaseHTTPResponse

from adapters.objects.keys import key_of
from adapters.objects.ranged import RangedFile
from adapters.objects.refusals import as_ours
from engine.errors import NotFoundError, StorageError
from engine.ports import Finished

AT_ONCE = 4
"""Objects on their way: a distant service is waited for, not worked for."""
PART_BYTES = 8 * 1024 * 1024
"""Held of each object on its way; one that is longer goes in parts of this size."""
MOST_PARTS = 10_000
"""Of one object; one for which that is not enough goes in longer parts."""
CONNECTIONS = 40
"""Kept open, for readers and for what is on its way."""
CONNECT_TIMEOUT_SECS = 5.0
_BUFFER_BYTES = 64 * 1024
_MEDIA_TYPE = "application/dicom"
_PROBE = b"hutong was here\n"


class S3ObjectStore:
    """Implements `ObjectStore` in one bucket."""

    def __init__(
        self,
        address: str,
        bucket: str,
        access_key: str,
        secret_key: str,
        *,
        region: str = "us-east-1",
        prefix: str = "",
        timeout_secs: float = 30.0,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
    ) -> None:
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # whoever puts or reads tells what failed
        where = urlsplit(address)
        shown: dict[str, Any] = {}
        if tls is not None:
            shown["ssl_context"] = tls
        if server_name is not None:
            shown.update(server_hostname=server_name, assert_hostname=server_name)
        connections = PoolManager(
            maxsize=CONNECTIONS,
            timeout=Timeout(connect=min(CONNECT_TIMEOUT_SECS, timeout_secs), read=timeout_secs),
            retries=Retry(total=1, backoff_factor=0.1, status_forcelist=(500, 502, 503, 504), raise_on_status=False),
            **shown,
        )
        self._client = Minio(
            where.netloc,
            access_key=access_key,
            secret_key=secret_key,
            secure=where.scheme == "https",
            region=region,
            http_client=connections,
        )
        self._bucket = bucket
        self._prefix = prefix
        self._workers = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="object store")

    def put(self, objects: Sequence[Finished]) -> None:
        """As the port says; some at once, each in one thread and one part in memory."""
        jobs = [self._workers.submit(self._keep, one) for one in objects]
        wait(jobs)
        try:
            for job in jobs:
                job.result()
        except CancelledError:
            raise StorageError("the object store is being closed") from None

    def open(self, key: str) -> BinaryIO:
        """As the port says. Raises StorageError too, here and at every read, when the service does not answer."""
        return cast(BinaryIO, self._opened(key_of(key, self._prefix)))

    def probe(self) -> None:
        """Writes a few bytes and reads them again. Raises StorageError, which says what is wrong."""
        key = f"{self._prefix}hutong-doctor"
        with as_ours():
            self._client.put_object(self._bucket, key, io.BytesIO(_PROBE), len(_PROBE), "text/plain")
        with self._opened(key) as file:
            if file.read() != _PROBE:
                raise StorageError("the object store gives back something else than was sent", code="hash-differs")

    def close(self) -> None:
        """What is on its way is not waited for: it stands in the spool too."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _keep(self, one: Finished) -> None:
        key = key_of(one.key, self._prefix)
        if self._stands(key, one):
            return
        try:
            self._send(key, one)
            whole = self._holds(key, one)
        except NotFoundError:  # it shows later what it took, or has lost it: whoever asks again will see
            raise StorageError("the object store does not show an object that it took", code="not-shown") from None
        if not whole:
            raise StorageError("an object has another hash in the store than in the index", code="hash-differs")

    def _send(self, key: str, one: Finished) -> None:
        with as_ours(), one.opened() as source:
            self._client.put_object(
                self._bucket,
                key,
                source,
                one.length,
                _MEDIA_TYPE,
                part_size=max(PART_BYTES, -(-one.length // MOST_PARTS)),
                num_parallel_uploads=1,
            )

    def _stands(self, key: str, one: Finished) -> bool:
        """Whether it is there already: sent before a process ended, while an answer was lost, or by somebody else."""
        try:
            with as_ours():
                there = self._client.stat_object(self._bucket, key)
            return bool(there.size) and self._holds(key, one)  # of an empty one there is no range to ask for
        except NotFoundError:
            return False

    def _holds(self, key: str, one: Finished) -> bool:
        """Whether the service has it whole. Raises NotFoundError and StorageError."""
        with self._opened(key) as file:
            return one.stands_in(cast(BinaryIO, file))

    def _opened(self, key: str) -> io.BufferedReader:
        return io.BufferedReader(RangedFile(partial(self._range, key)), _BUFFER_BYTES)

    def _range(self, key: str, at: int, length: int) -> BaseHTTPResponse:
        return self._client.get_object(self._bucket, key, offset=at, length=length)
