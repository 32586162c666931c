"""Which port may a test take? One that nobody has, that nobody gets by chance, and that was not given lately."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from pathlib import Path

LOWEST, MOST = 12_000, 20_000
"""Below what systems usually give to outgoing connections (32768 and above)."""
_OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")
_GIVEN = Path(tempfile.gettempdir()) / f"hutong-test-ports-{os.getuid()}"
"""How many were given so far: several runs of the tests on one machine count together."""


def free_port() -> int:
    """A port of 127.0.0.1 to listen on later, or never.

    A port that the kernel chose could be given to an outgoing connection before it is listened on; and whoever connects
    to one where nobody listens may even be connected with itself.
    """
    room = min(MOST, _first_outgoing() - LOWEST)
    for _ in range(room):
        if _nobody_has(port := LOWEST + _counted() % room):
            return port
    raise AssertionError("no free port")


def _first_outgoing() -> int:
    """The lowest port that the kernel gives to outgoing connections; a system without room below it gets no promise."""
    first = int(_OUTGOING.read_text().split()[0])
    return first if first > LOWEST else LOWEST + MOST


def _counted() -> int:
    with open(os.open(_GIVEN, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        given = int(file.read() or 0)
        file.seek(0)
        file.write(str(given + 1))
    return given


def _nobody_has(port: int) -> bool:
    """Also not a connection that has only just ended."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
