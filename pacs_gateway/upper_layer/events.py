"""What may come out of the bytes of a peer? The events of an association."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pacs_gateway.upper_layer.commands import CommandSet
from pacs_gateway.upper_layer.pdus import AAbort, AAssociateAC, AAssociateRJ, AAssociateRQ


@dataclass(frozen=True, slots=True)
class AssociationRequested:
    """To be answered with `accept` or `reject`."""

    request: AAssociateRQ


@dataclass(frozen=True, slots=True)
class AssociationAccepted:
    answer: AAssociateAC


@dataclass(frozen=True, slots=True)
class AssociationRejected:
    """The peer waits for the connection to be closed."""

    answer: AAssociateRJ


@dataclass(frozen=True, slots=True)
class CommandReceived:
    """A whole command set; its data set follows if it says so."""

    context_id: int
    command: CommandSet


@dataclass(frozen=True, slots=True)
class DataReceived:
    """The next bytes of the data set of the last command. The pieces are overwritten by the next read.

    last  whether the data set ends with them; it may end with none
    """

    pieces: Sequence[memoryview]
    last: bool


@dataclass(frozen=True, slots=True)
class ReleaseRequested:
    """To be answered with `release_response`."""


@dataclass(frozen=True, slots=True)
class ReleaseAgreed:
    """The answer to our `release_request`: the connection is to be closed."""


@dataclass(frozen=True, slots=True)
class Aborted:
    """The connection is to be closed; nothing more is read or may be sent."""

    abort: AAbort


Event = (
    AssociationRequested
    | AssociationAccepted
    | AssociationRejected
    | CommandReceived
    | DataReceived
    | ReleaseRequested
    | ReleaseAgreed
    | Aborted
)
