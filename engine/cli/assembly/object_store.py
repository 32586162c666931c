"""Where do finished objects go, if not into the object folder?"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from engine.config import Community
from engine.config.objects import S3Objects
from engine.config.secret import secret
from engine.config.tls import endpoint_context
from engine.config.transport import EndpointTls

if TYPE_CHECKING:
    from adapters.objects.s3 import S3ObjectStore

WAITING_THREADS = 32
"""Python has four more than there are processors, which a slow service fills with a few readers."""


def object_store_of(community: Community) -> S3ObjectStore | None:
    """Where finished objects go, if not into the object folder; to be closed. Raises as `s3_of` does.

    To be called on the event loop, which gets threads enough to wait for a distant service in.
    """
    if not isinstance(community.objects, S3Objects):
        return None
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(WAITING_THREADS, thread_name_prefix="waiting"))
    return s3_of(community.objects, community.folder)


def s3_of(place: S3Objects, folder: Path) -> S3ObjectStore:
    """Connects to nothing yet. Raises ConfigurationError for a secret or a certificate that is not there."""
    from adapters.objects.s3 import S3ObjectStore

    return S3ObjectStore(
        place.address,
        place.bucket,
        secret(place.access_key, folder),
        secret(place.secret_key, folder),
        region=place.region,
        prefix=place.prefix,
        timeout_secs=place.timeout_secs,
        tls=endpoint_context(place.tls or EndpointTls(), folder) if place.is_protected else None,
        server_name=place.tls.server_name if place.tls else None,
    )
