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
    channel: DicomChannel,
    entities: Mapping[str, Peer],
    endpoints: Mapping[str, DicomEndpoint],
    contexts: Mapping[str, ssl.SSLContext],
) -> Audience:
    """The entities of a channel that we call, and every endpoint; `contexts` has those of the endpoints with TLS."""
    callers = {name: Destination(peer, channel.ae_title, Retry()) for name, peer in entities.items()}
    called = {
        name: Destination(
            Peer.at(endpoint, contexts[name] if endpoint.tls is not None else None),
            endpoint.calling_ae_title,
            endpoint.retry,
        )
        for name, endpoint in endpoints.items()
    }
    return Audience(
        callers | called,
        {name: endpoint.performed_steps_of for name, endpoint in endpoints.items() if endpoint.performed_steps_of},
        {name: endpoint.availability_of for name, endpoint in endpoints.items() if endpoint.availability_of},
    )
