"""Who may call, and for which facility? AE titles with the hosts and certificates they must come with."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from engine.config import AeEntry, DicomChannel
from engine.config.transport import certificate_names


@dataclass(frozen=True, slots=True)
class Caller:
    """An application entity that was let in.

    private_classes  whether it may store objects of classes that are not the standard's
    """

    ae_title: str
    facility: str
    private_classes: bool = False


class Callers:
    """The entries of one channel."""

    def __init__(self, channel: DicomChannel) -> None:
        self._entries = {entry.ae_title: entry for entry in channel.ae_entries}
        self._default_facility = channel.default_facility
        self._names = channel.tls.client_names if channel.tls is not None else ()

    async def admit(self, ae_title: str, host: str, certificate: dict[str, Any] | None) -> Caller | None:
        """None refuses. Waits only where an entry's address is the name of a host."""
        if not _carries(self._names, certificate):
            return None
        entry = self._entries.get(ae_title)
        if entry is None:
            return Caller(ae_title, self._default_facility) if self._default_facility is not None else None
        if not _carries(entry.client_names, certificate) or not await _calls_from_its_host(entry, host):
            return None
        return Caller(ae_title, entry.facility, entry.private_classes)


def _carries(names: tuple[str, ...], certificate: dict[str, Any] | None) -> bool:
    """Whether the certificate has one of these names; none named is content with any."""
    return not names or not {name.lower() for name in names}.isdisjoint(certificate_names(certificate or {}))


async def _calls_from_its_host(entry: AeEntry, host: str) -> bool:
    if entry.address is None:
        return True
    caller = _plain(host)
    try:
        return _plain(entry.address) == caller
    except ValueError:
        pass  # it is a name
    try:
        known = await asyncio.get_running_loop().getaddrinfo(entry.address, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return any(_plain(str(address[0])) == caller for *_, address in known)


def _plain(host: str) -> IPv4Address | IPv6Address:
    """An address without its zone; a IPv4 caller of an IPv6 listener as the IPv4 address it is."""
    address = ip_address(host.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address
