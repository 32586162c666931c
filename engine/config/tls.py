"""Can the certificates of a configuration be used? Builds the TLS contexts of listeners and endpoints."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from engine.config.document import Document, Place
from engine.config.problems import Problem, written
from engine.config.transport import EndpointTls, HttpTls, ListenerTls
from engine.errors import ConfigurationError

_FLIGHTS = 3
"""Each side's turns in a handshake."""


def listener_context(tls: ListenerTls, folder: Path) -> ssl.SSLContext:
    """Raises ConfigurationError that names the key and the file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load_chain(context, folder, tls.certificate, tls.key)
    if tls.client_ca is not None:
        _load_authorities(context, folder, "client_ca", tls.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def http_context(tls: HttpTls, folder: Path) -> ssl.SSLContext:
    """As of a listener that asks nobody for a certificate. Raises ConfigurationError likewise."""
    return listener_context(ListenerTls(certificate=tls.certificate, key=tls.key), folder)


def trusting_only(certificate: Path) -> ssl.SSLContext:
    """For a client on the hub's own machine: what shows this very certificate is the hub, whatever address it has.

    Raises OSError and ssl.SSLError over a file that is none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(certificate)
    return context


def expires_at(server: ssl.SSLContext, certificate: Path) -> datetime:
    """Until when a certificate is valid. Raises ssl.SSLCertVerificationError where it is not now.

    A client and the server shake hands in memory: it is looked at as a client would.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting_only(certificate).wrap_bio(to_client, to_server)
    there = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, there) * _FLIGHTS:
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    shown = client.getpeercert()
    assert shown is not None, "a client that verifies has been shown a certificate"
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(shown["notAfter"])), UTC)


def endpoint_context(tls: EndpointTls, folder: Path) -> ssl.SSLContext:
    """Raises ConfigurationError that names the key and the file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.ca is not None:
        _load_authorities(context, folder, "ca", tls.ca)
    else:
        context.load_default_certs()
    if tls.certificate is not None and tls.key is not None:
        _load_chain(context, folder, tls.certificate, tls.key)
    return context


def check_tls(
    contexts: Mapping[tuple[str, Place], Callable[[], ssl.SSLContext]],
    documents: Mapping[str, Document],
    problems: list[Problem],
) -> None:
    """Adds a problem for every TLS setting, by the file and the place it stands in, whose context cannot be built."""
    for (file, place), build in contexts.items():
        try:
            build()
        except ConfigurationError as error:
            key: Place = (*place, error.location or "ca")
            line = documents[file].line(key) if file in documents else 0
            problems.append(Problem(file, line, written(key), error.message))


def _load_chain(context: ssl.SSLContext, folder: Path, certificate: str, key: str) -> None:
    for name, file in (("certificate", certificate), ("key", key)):
        _readable(folder / file, name)
    try:
        context.load_cert_chain(folder / certificate, folder / key, password=_no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise _wrong("key", "expected the key of the certificate") from error
        raise _wrong("certificate", "expected a certificate and its key in PEM, the key without a password") from error


def _load_authorities(context: ssl.SSLContext, folder: Path, name: str, file: str) -> None:
    _readable(folder / file, name)
    try:
        context.load_verify_locations(folder / file)
    except ssl.SSLError as error:
        raise _wrong(name, "expected certificates of authorities in PEM") from error


def _readable(path: Path, name: str) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise _wrong(name, f"expected a file that can be read: {path} ({error.strerror})") from error


def _no_password() -> str:
    """OpenSSL would ask the terminal."""
    return ""


def _wrong(key: str, text: str) -> ConfigurationError:
    return ConfigurationError(text, location=key)
