"""At which sockets does a channel listen? One for each address of its host, all on one port."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.config import DicomChannel
from engine.errors import ConfigurationError

BACKLOG = 1024
"""A county's modalities call again all at once after a power cut."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Sockets that listen, and how many processes take connections from them."""

    sockets: tuple[socket.socket, ...]
    processes: int = 1

    @property
    def port(self) -> int:
        port: int = self.sockets[0].getsockname()[1]
        return port

    def close(self) -> None:
        """In this process: whoever shares them goes on."""
        for one in self.sockets:
            one.close()


def listen(channel: DicomChannel, processes: int = 1) -> Listening:
    """Blocking, where the host is a name. Raises ConfigurationError when its address cannot be listened on."""
    opened: list[socket.socket] = []
    port = channel.port
    try:
        for family, address in _addresses(channel.host):
            one = socket.create_server((address[0], port, *address[2:]), family=family, backlog=BACKLOG)
            opened.append(one)
            port = one.getsockname()[1]
    except OSError as error:
        for one in opened:
            one.close()
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise ConfigurationError(
            f"channel {channel.name}: cannot listen on {channel.host}:{port}: {why}; stop the program that "
            "has it, or choose another port: or host:"
        ) from error
    return Listening(tuple(opened), processes)


def inherited(numbers: Sequence[int], processes: int) -> Listening:
    """Sockets that listen already, by the file descriptors that this process inherited, and no other shall."""
    for number in numbers:
        os.set_inheritable(number, False)
    return Listening(tuple(socket.socket(fileno=number) for number in numbers), processes)


def _addresses(host: str) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    """Each once, in the resolver's order; without those of IPv6 where the system has none."""
    found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    every: dict[tuple[socket.AddressFamily, tuple[Any, ...]], None] = dict.fromkeys(
        (family, address) for family, _, _, _, address in found
    )
    return [one for one in every if one[0] != socket.AF_INET6 or _has_ipv6()] or list(every)


def _has_ipv6() -> bool:
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close()
    except OSError:
        return False
    return True
