"""Where do imaging systems call? At sockets that the supervisor holds, and that every gateway process takes from.

While a gateway process is started again, whoever calls waits in the queue and is not turned away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.config import DicomChannel

if TYPE_CHECKING:
    from pacs_gateway.scp.listening import Listening

SOCKETS = "dicom_sockets"
"""What a gateway process is handed, beside what it listened on before."""


class DicomSockets:
    """The listening sockets of every DICOM channel, for so many processes."""

    def __init__(self, channels: Sequence[DicomChannel], processes: int) -> None:
        self._channels = channels
        self._processes = processes
        self._listening: dict[str, Listening] = {}

    def open(self) -> None:
        """Raises ConfigurationError when an address cannot be listened on."""
        from pacs_gateway.scp.listening import listen

        for channel in self._channels:
            self._listening[channel.name] = listen(channel, self._processes)

    def close(self) -> None:
        """Whoever calls now is turned away, once the gateway processes have closed theirs."""
        for listening in self._listening.values():
            listening.close()
        self._listening = {}

    @property
    def numbers(self) -> list[int]:
        """The file descriptors that a child process has to inherit."""
        return [one.fileno() for listening in self._listening.values() for one in listening.sockets]

    @property
    def handed(self) -> dict[str, Any]:
        """Tells a child process which of them are which; JSON."""
        by_channel = {name: [one.fileno() for one in of.sockets] for name, of in self._listening.items()}
        return {SOCKETS: {"processes": self._processes, "channels": by_channel}}


def inherited(ports: Mapping[str, Any]) -> dict[str, Listening]:
    """By channel, what the supervisor handed to this process."""
    from pacs_gateway.scp import listening

    handed = ports[SOCKETS]
    return {name: listening.inherited(numbers, handed["processes"]) for name, numbers in handed["channels"].items()}
