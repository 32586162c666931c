"""Which entities of a channel do we call, and how? Those that listen: for objects, for results, or for questions."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

from engine.config import DicomChannel
from pacs_gateway.scu.peer import Peer


def called_of(channel: DicomChannel, contexts: Mapping[str, ssl.SSLContext]) -> dict[str, Peer]:
    """By destination. `contexts` has, by destination, what the connection to each that has TLS is protected with."""
    called: dict[str, Peer] = {}
    for entry in channel.ae_entries:
        if entry.address is None or entry.port is None:
            continue
        destination = channel.destination_of(entry)
        called[destination] = Peer(
            entry.ae_title,
            entry.address,
            entry.port,
            channel.stall_timeout_secs,
            tls=contexts[destination] if entry.tls is not None else None,
            server_name=entry.tls.server_name if entry.tls is not None else None,
        )
    return called
