"""Who may talk to a DICOM channel, and can two of them be told apart? Application entities, by host and certificate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field, model_validator

from engine.config.model import Model
from engine.config.problems import written
from engine.config.transport import CertificateName, EndpointTls, host_address
from engine.config.values import AeTitle, Name, Text


class AeEntry(Model):
    """An application entity that may talk to us, and the facility whose it is."""

    ae_title: AeTitle
    facility: Name
    address: Text | None = None
    """Host it must call from; None takes it from anywhere."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Where it listens at its address for objects that are moved to it (C-MOVE) and results of storage commitment;
    None sends it neither."""
    client_names: tuple[CertificateName, ...] = ()
    """One of these names must stand in the certificate it shows; none named asks for no particular one."""
    private_classes: bool = False
    """True: it may store objects of classes that its maker has invented."""
    queryable: bool = False
    """True: it answers C-FIND at its address and port, and is asked what it has of each study that it sent."""
    tls: EndpointTls | None = None
    """What it is called with, at its address and port; None calls it in plain text, however it calls us."""

    @model_validator(mode="after")
    def _a_port_needs_its_host(self) -> AeEntry:
        if self.port is not None and self.address is None:
            raise ValueError("expected address beside port: the host on which it listens")
        if self.queryable and self.port is None:
            raise ValueError("expected address and port beside queryable: where it is asked")
        if self.tls is not None and self.port is None:
            raise ValueError("expected address and port beside tls: where it is called")
        return self


def indistinct(entries: Sequence[AeEntry]) -> Iterator[tuple[int, str, str]]:
    """Position, key and what is expected, of every entry whose callers, or whose objects, might be another's.

    The first entry of a title that fits a caller is taken: so a later one may be for everybody else.
    """
    for position, entry in enumerate(entries):
        before = [(at, one) for at, one in enumerate(entries[:position]) if one.ae_title == entry.ae_title]
        taking = next(((at, one) for at, one in before if _takes_callers_of(one, entry)), None)
        if taking is not None:
            yield position, "ae_title", _mixed_up(*taking)
            continue
        listening = next((at for at, one in before if one.port is not None), None)
        if entry.port is not None and listening is not None:
            yield position, "port", _both_listen(listening, entry.ae_title)


def _takes_callers_of(first: AeEntry, later: AeEntry) -> bool:
    """Whether some, or all, callers that the later entry is for fit the first."""
    if first.address is not None and (later.address is None or _host(first.address) != _host(later.address)):
        return False
    return not first.client_names or bool(_names(first) & _names(later))


def _host(address: str) -> object:
    try:
        return host_address(address)
    except ValueError:
        return address.lower()


def _names(entry: AeEntry) -> set[str]:
    return {name.lower() for name in entry.client_names}


def _mixed_up(at: int, first: AeEntry) -> str:
    place = written(("ae_entries", at))
    if first.address is None and not first.client_names:
        return (
            f"expected {place} to have an address or client_names, because it takes every caller of the title "
            f"'{first.ae_title}'"
        )
    return (
        f"expected another address or other client_names than in {place}, which takes these callers of "
        f"'{first.ae_title}' too"
    )


def _both_listen(at: int, title: str) -> str:
    return (
        f"expected a port in one entry of a title, because what is sent to '{title}' goes to one device; "
        f"{written(('ae_entries', at))} has one: change the title of one device, or leave one port away"
    )
