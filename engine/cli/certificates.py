"""Until when are the certificates of a configuration valid? For `hutong doctor`, before a client refuses them."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from engine.config import Community, DicomChannel, MllpChannel
from engine.config.tls import expires_at, http_context, listener_context

SOON = timedelta(days=30)


def expiring(community: Community, now: datetime) -> list[str]:
    """What listens with a certificate that is not valid, or not for long; in words."""
    return [f"{name}: {told}" for name, context, file in _listeners(community) if (told := _told(context, file, now))]


def listeners(community: Community) -> int:
    """How many listen with one."""
    return sum(1 for _ in _listeners(community))


def _told(server: ssl.SSLContext, certificate: Path, now: datetime) -> str:
    try:
        until = expires_at(server, certificate)
    except ssl.SSLCertVerificationError as error:
        return f"{certificate.name} is refused: {error.verify_message}"
    return f"{certificate.name} is valid until {until:%Y-%m-%d}" if until - now < SOON else ""


def _listeners(community: Community) -> Iterator[tuple[str, ssl.SSLContext, Path]]:
    folder = community.folder
    if (http := community.http.tls) is not None:
        yield "http", http_context(http, folder), folder / http.certificate
    channels: list[MllpChannel | DicomChannel] = [*community.mllp_channels, *community.dicom_channels]
    for channel in channels:
        if (tls := channel.tls) is not None:
            plain = tls.model_copy(update={"client_ca": None, "client_names": ()})
            yield channel.name, listener_context(plain, folder), folder / tls.certificate
