"""Why is a caller nobody that is known: its title, its address or its certificate?"""

from __future__ import annotations

from typing import Any

import pytest

from engine.config import AeEntry, DicomChannel
from engine.config.transport import ListenerTls
from pacs_gateway.scp.callers import Callers, Unknown

CT, A, B = "CT", "192.0.2.1", "192.0.2.2"


def _certificate(name: str) -> dict[str, Any]:
    """As `ssl` reports it."""
    return {"subjectAltName": (("DNS", name),)}


@pytest.mark.parametrize(
    ("title", "host", "certificate", "why"),
    [
        ("MR", A, "ct.a", Unknown.TITLE),
        (CT, B, "ct.a", Unknown.ADDRESS),
        (CT, A, "ct.b", Unknown.CERTIFICATE),
        (CT, B, "ct.b", Unknown.CERTIFICATE),
    ],
)
async def test_the_first_that_is_wrong_is_named(title: str, host: str, certificate: str, why: Unknown) -> None:
    entry = AeEntry(ae_title=CT, facility="a", address=A, client_names=("ct.a",))
    tls = ListenerTls(certificate="hub.pem", key="hub.key", client_ca="ca.pem")
    callers = Callers(DicomChannel(type="dicom", name="imaging", ae_title="HUTONG", ae_entries=(entry,), tls=tls))
    assert await callers.admit(title, host, _certificate(certificate)) is None
    assert callers.unknown(title, _certificate(certificate)) is why


async def test_a_certificate_that_the_channel_does_not_take_is_wrong_for_every_title() -> None:
    tls = ListenerTls(certificate="hub.pem", key="hub.key", client_ca="ca.pem", client_names=("ct.a",))
    entries = (AeEntry(ae_title=CT, facility="a"),)
    callers = Callers(DicomChannel(type="dicom", name="imaging", ae_title="HUTONG", ae_entries=entries, tls=tls))
    assert callers.unknown(CT, None) is Unknown.CERTIFICATE
    assert callers.unknown("MR", _certificate("ct.b")) is Unknown.CERTIFICATE
