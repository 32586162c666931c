"""Is a port ours before it is announced, and does somebody answer on it?"""

from __future__ import annotations

import asyncio
import errno
import socket

from engine.errors import ConfigurationError


class ReservedPort:
    """Holds a port while the HTTP server, which cannot say which free one it took, begins to listen on it."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._address = (host, port)

    def __enter__(self) -> int:
        """Raises ConfigurationError when the port is another program's."""
        host, port = self._address
        try:
            if port:
                self._refuse_to_share()
            self._socket.bind(self._address)
        except OSError as error:
            self._socket.close()
            raise cannot_listen("http", host, port, error) from error
        had: int = self._socket.getsockname()[1]
        return had

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _refuse_to_share(self) -> None:
        """With SO_REUSEPORT alone two hubs of one account would take turns in answering."""
        with socket.socket(self._socket.family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(self._address)


def cannot_listen(what: str, host: str, port: int, error: OSError) -> ConfigurationError:
    if error.errno == errno.EADDRINUSE:
        why = "is taken by another program: stop that one (`hutong doctor --config DIR` tells of all ports at once)"
    else:
        why = f"cannot be listened on ({error.strerror or error}): give its host: an address of this machine"
    return ConfigurationError(f"{what}: {host}:{port} {why}, or give it another port", code="cannot-listen")


async def listening(host: str, port: int, serving: asyncio.Task[None]) -> None:
    while True:
        if serving.done():
            await serving
            raise OSError(f"the HTTP server ended before it listened on {host}:{port}")
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return
