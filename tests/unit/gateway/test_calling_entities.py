"""Whoever is called of a channel's entities is called with the TLS of its entry, whatever it is called for."""

from __future__ import annotations

import ssl

import pytest

from engine.config import AeEntry, DicomChannel
from engine.config.transport import EndpointTls
from pacs_gateway.audience import audience_of
from pacs_gateway.scu.entities import called_of

CONTEXT = ssl.create_default_context()
DESTINATION = "ae:imaging/WS"


def channel(**entry: object) -> DicomChannel:
    listening = AeEntry.model_validate({"ae_title": "WS", "facility": "baishi", "address": "ws", "port": 104, **entry})
    entries = (listening, AeEntry(ae_title="CT", facility="baishi", address="ct"))
    return DicomChannel(type="dicom", name="imaging", ae_title="HUTONG", ae_entries=entries)


def test_who_does_not_listen_is_not_called() -> None:
    (peer,) = called_of(channel(), {}).values()
    assert (peer.ae_title, peer.host, peer.port, peer.tls) == ("WS", "ws", 104, None)


def test_an_entry_with_tls_is_called_with_it() -> None:
    called = called_of(channel(tls=EndpointTls(server_name="ws.example")), {DESTINATION: CONTEXT})
    (peer,) = called.values()
    assert (peer.tls, peer.server_name) == (CONTEXT, "ws.example")
    assert audience_of(channel(), called, {}, {}).destinations[DESTINATION].peer is peer


def test_an_entry_with_tls_is_never_called_in_plain_text() -> None:
    with pytest.raises(KeyError):
        called_of(channel(tls=EndpointTls()), {})
