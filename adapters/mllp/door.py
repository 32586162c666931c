"""Who may come in? The addresses a channel allows, and the names a client's certificate must carry."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any, Protocol

from engine.config.transport import Network, allows, certificate_names

HANDSHAKE_SECS = 10.0
"""A client that connects and says nothing must not hold a socket for long."""

Certificate = dict[str, Any]
"""What `ssl.SSLSocket.getpeercert()` gives."""


class Client(Protocol):
    """What is known of a client when it has connected."""

    address: str
    certificate: Certificate | None


@dataclass(frozen=True, slots=True)
class Door:
    """How one channel decides about a client; by default it lets everybody in.

    networks  addresses that may connect; none allows all
    tls       what its connections are protected with; it demands a client's certificate itself where it should
    names     one of these must stand in the certificate; none allows every verified one
    """

    networks: tuple[Network, ...] = ()
    tls: ssl.SSLContext | None = None
    names: tuple[str, ...] = ()

    def refuses(self, client: Client) -> str | None:
        """The reason to close the connection at once, or None."""
        if not allows(self.networks, client.address):
            return "its address is not in allow_from"
        if self.names and not {name.lower() for name in self.names} & set(certificate_names(client.certificate or {})):
            return "its certificate carries none of client_names"
        return None
