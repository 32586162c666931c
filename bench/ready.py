"""Is a server of a measurement ready? A free port for it, and waiting until it listens."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

START_SECS = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(reached: Callable[[], bool]) -> None:
    """Raises TimeoutError when it takes too long."""
    pause, deadline = threading.Event(), time.monotonic() + START_SECS
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError("a server did not get ready")
        pause.wait(0.05)
