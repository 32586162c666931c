"""Whom does a gateway tell of what? Who asked it something, and endpoints that are to hear of steps and studies."""

from __future__ import annotations

import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from engine.config import DicomChannel, DicomEndpoint, Retry
from pacs_gateway.notifying import Destination
from pacs_gateway.scu.peer import Peer


@dataclass(frozen=True, slots=True)
class Audience:
    """All by destination.

    destinations     whom to call
    steps_of         facilities whose performed steps it hears of
    availability_of  facilities whose studies it hears of
    """

    destinations: Mapping[str, Destination]
    steps_of: Mapping[str, Collection[str]] = field(default_factory=dict)
    availability_of: Mapping[str, Collection[str]] = field(default_factory=dict)


def audience_of(
    channel: DicomChannel, endpoints: Mapping[str, DicomEndpoint], contexts: Mapping[str, ssl.SSLContext]
) -> Audience:
    """The entities of a channel, where they listen, and every endpoint; `contexts` are of the endpoints with TLS."""
    callers = {
        channel.destination_of(entry): Destination(
            Peer(entry.ae_title, entry.address, entry.port, channel.stall_timeout_secs), channel.ae_title, Retry()
        )
        for entry in channel.ae_entries
        if entry.address is not None and entry.port is not None
    }
    called = {name: _destination(endpoint, contexts.get(name)) for name, endpoint in endpoints.items()}
    return Audience(
        callers | called,
        {name: endpoint.performed_steps_of for name, endpoint in endpoints.items() if endpoint.performed_steps_of},
        {name: endpoint.availability_of for name, endpoint in endpoints.items() if endpoint.availability_of},
    )


def _destination(endpoint: DicomEndpoint, context: ssl.SSLContext | None) -> Destination:
    peer = Peer(
        endpoint.ae_title,
        endpoint.host,
        endpoint.port,
        endpoint.answer_timeout_secs,
        endpoint.connect_timeout_secs,
        context,
        endpoint.tls.server_name if endpoint.tls else None,
    )
    return Destination(peer, endpoint.calling_ae_title, endpoint.retry)
