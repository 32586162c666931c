"""Who may connect, and how is a connection protected? Addresses that a channel allows, and TLS on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from engine.config.model import Model

Network = IPv4Network | IPv6Network


def _network(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return ip_network(value.strip())
    except ValueError:
        raise ValueError("expected an address or a network, such as 10.1.2.3 or 10.1.0.0/16") from None


def _no_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("expected the path of a PEM file")
    return value


Allowed = Annotated[Network, BeforeValidator(_network)]
PemFile = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), AfterValidator(_no_nul)]
"""A path; a relative one counts from the configuration folder."""
CertificateName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class HttpTls(Model):
    """TLS of the browser's port, 1.2 or newer: its certificate, with those that signed it behind it, and the key."""

    certificate: PemFile
    key: PemFile


class ListenerTls(Model):
    """TLS of a listener, 1.2 or newer.

    client_ca     whoever connects must show a certificate that these authorities signed
    client_names  and it must carry one of these names: a DNS name or address of its SAN, or its common name
    """

    certificate: PemFile
    key: PemFile
    client_ca: PemFile | None = None
    client_names: tuple[CertificateName, ...] = ()

    @model_validator(mode="after")
    def _names_need_an_authority(self) -> ListenerTls:
        if self.client_names and self.client_ca is None:
            raise ValueError("expected client_ca, because client_names can only be read from a verified certificate")
        return self


class EndpointTls(Model):
    """TLS toward an endpoint.

    ca           who signed its certificate; None takes the authorities of this machine
    certificate  ours, with `key`, for an endpoint that asks for one
    server_name  the name its certificate must carry; None takes the host of the address
    """

    ca: PemFile | None = None
    certificate: PemFile | None = None
    key: PemFile | None = None
    server_name: Annotated[str, Field(min_length=1, max_length=253)] | None = None

    @model_validator(mode="after")
    def _a_certificate_needs_its_key(self) -> EndpointTls:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("expected certificate and key together")
        return self


def allows(networks: tuple[Network, ...], address: str) -> bool:
    """Whether a peer's address is in one of the networks; no network at all allows everybody."""
    if not networks:
        return True
    try:
        peer = host_address(address)
    except ValueError:
        return False
    return any(peer in network for network in networks)


def host_address(host: str) -> IPv4Address | IPv6Address:
    """An address without its zone; an IPv4 caller of an IPv6 listener as the IPv4 address it is.

    Raises ValueError for the name of a host.
    """
    address = ip_address(host.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def certificate_names(certificate: dict[str, Any]) -> Iterator[str]:
    """In lower case, the names a certificate carries as `ssl` reports it: those of its SAN and its common name."""
    for _, name in certificate.get("subjectAltName", ()):
        yield name.lower()
    for relative in certificate.get("subject", ()):
        for key, value in relative:
            if key == "commonName":
                yield value.lower()
