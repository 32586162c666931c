"""Who may call, and for which facility? AE titles with the hosts and certificates they must come with."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from engine.config import AeEntry, DicomChannel
from engine.config.transport import certificate_names, host_address
from engine.identifiers import ae_destination


@dataclass(frozen=True, slots=True)
class Caller:
    """An application entity that was let in.

    destination      what is owed to it is owed to this
    private_classes  whether it may store objects of classes that are not the standard's
    """

    ae_title: str
    facility: str
    destination: str
    private_classes: bool = False


class Unknown(StrEnum):
    """Why a caller is nobody that is known."""

    TITLE = "its AE title is in no entry"
    ADDRESS = "its AE title has another address"
    CERTIFICATE = "its certificate bears no name that is asked for"


class Unclear(StrEnum):
    """Why nobody can say whether a caller is known."""

    HOST = "the host name of its entry cannot be looked up"


class Hears(Protocol):
    """Whoever is told, while an association is negotiated, who was let in and who was not: both return at once."""

    def refused(self, ae_title: str, host: str, why: Unknown) -> None: ...

    def admitted(self, ae_title: str, host: str) -> None: ...


class _Nobody:
    """Implements `Hears`."""

    def refused(self, ae_title: str, host: str, why: Unknown) -> None:
        """The log has it."""

    def admitted(self, ae_title: str, host: str) -> None:
        """It says itself what it wants."""


NOBODY = _Nobody()


_FIRST_TO_NAME = (Unclear.HOST, Unknown.ADDRESS, Unknown.CERTIFICATE)
"""Of entries of one title that refuse for several reasons: what may pass, then what lets in most nearly."""


class Callers:
    """The entries of one channel."""

    def __init__(self, channel: DicomChannel) -> None:
        self._channel = channel
        self._entries: dict[str, list[AeEntry]] = {}
        for entry in channel.ae_entries:
            self._entries.setdefault(entry.ae_title, []).append(entry)
        self._names = channel.tls.client_names if channel.tls is not None else ()

    async def admit(self, ae_title: str, host: str, certificate: dict[str, Any] | None) -> Caller | Unknown | Unclear:
        """By the first entry of the title that fits, or why none does. Waits only where an address is a host's name."""
        if not _carries(self._names, certificate):
            return Unknown.CERTIFICATE
        entries = self._entries.get(ae_title)
        if entries is None:
            return self._in_no_entry(ae_title)
        reasons = set()
        for entry in entries:
            why = await _refusal_of(entry, host, certificate)
            if why is None:
                return Caller(ae_title, entry.facility, self._channel.destination_of(entry), entry.private_classes)
            reasons.add(why)
        return next(why for why in _FIRST_TO_NAME if why in reasons)

    def _in_no_entry(self, ae_title: str) -> Caller | Unknown:
        facility = self._channel.default_facility
        if facility is None:
            return Unknown.TITLE
        return Caller(ae_title, facility, ae_destination(self._channel.name, ae_title))


def _carries(names: tuple[str, ...], certificate: dict[str, Any] | None) -> bool:
    """Whether the certificate has one of these names; none named is content with any."""
    return not names or not {name.lower() for name in names}.isdisjoint(certificate_names(certificate or {}))


async def _refusal_of(entry: AeEntry, host: str, certificate: dict[str, Any] | None) -> Unknown | Unclear | None:
    """Why an entry of its title is not the caller's; None where it is."""
    if not _carries(entry.client_names, certificate):
        return Unknown.CERTIFICATE
    if entry.address is None:
        return None
    caller = host_address(host)
    try:
        return None if host_address(entry.address) == caller else Unknown.ADDRESS
    except ValueError:
        pass  # it is a name
    try:
        known = await asyncio.get_running_loop().getaddrinfo(entry.address, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # the latter where a part of the name is too long for one
        return Unclear.HOST
    return None if any(host_address(str(address[0])) == caller for *_, address in known) else Unknown.ADDRESS
