"""Whom do we call, what do we propose, and what comes back? The values of an association that we ask for."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.config import DicomEndpoint
from pacs_gateway.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from pacs_gateway.upper_layer.commands import CommandSet, Element

CONNECT_TIMEOUT_SECS = 10.0
PLAIN = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
"""The encodings of what holds no picture."""
PENDING_STATUSES = frozenset({0xFF00, 0xFF01})
"""They announce more answers (PS3.4 C.4.1.1.4, C.4.2.1.5)."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom we call.

    answer_timeout_secs  for each answer; it does not begin before the peer has stopped taking what is sent to it
    tls                  what the connection is protected with; its certificate must carry `server_name`, else the host
    """

    ae_title: str
    host: str
    port: int
    answer_timeout_secs: float
    connect_timeout_secs: float = CONNECT_TIMEOUT_SECS
    tls: ssl.SSLContext | None = None
    server_name: str | None = None

    @classmethod
    def at(cls, endpoint: DicomEndpoint, tls: ssl.SSLContext | None) -> Peer:
        """The system that an endpoint names; `tls` is the context of its settings, where it has them."""
        return cls(
            endpoint.ae_title,
            endpoint.host,
            endpoint.port,
            endpoint.answer_timeout_secs,
            endpoint.connect_timeout_secs,
            tls,
            endpoint.tls.server_name if endpoint.tls is not None else None,
        )


@dataclass(frozen=True, slots=True)
class Proposal:
    """One presentation context: a SOP class in one of these transfer syntaxes, our first choice first.

    as_provider  objects of the class are to be sent to us over our own association (C-GET)
    """

    sop_class: str
    transfer_syntaxes: tuple[str, ...] = PLAIN
    as_provider: bool = False


@dataclass(frozen=True, slots=True)
class Response:
    """One answer and its data set, which is empty where it has none; `transfer_syntax` is that of the data set."""

    command: CommandSet
    data_set: bytes
    transfer_syntax: str

    @property
    def status(self) -> int:
        return self.command.number(Element.STATUS)


class Taking(Protocol):
    """One object that a peer sends to us over our association."""

    def write(self, pieces: Sequence[memoryview]) -> None:
        """Takes the next bytes; must not keep the views. Does not raise: what goes wrong is in the answer."""
        ...

    async def answer(self) -> CommandSet:
        """The C-STORE response, once the object is whole."""
        ...

    def abandon(self) -> None:
        """The association ended within the object."""
        ...


class Taker(Protocol):
    def begin(self, command: CommandSet, sop_class: str, transfer_syntax: str) -> Taking: ...
