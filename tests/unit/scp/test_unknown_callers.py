"""Why is a caller nobody that is known: its title, its address or its certificate?"""

from __future__ import annotations

import socket
from typing import Any

import pytest

from engine.config import AeEntry, DicomChannel
from engine.config.transport import ListenerTls
from pacs_gateway.scp.admission import Calling, Rejected, decide
from pacs_gateway.scp.callers import Caller, Callers, Unclear, Unknown
from pacs_gateway.scp.service import Services
from pacs_gateway.upper_layer.items import UserInformation
from pacs_gateway.upper_layer.pdus import CALLING_AE_TITLE_NOT_RECOGNIZED, AAssociateRQ

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
    assert await callers.admit(title, host, _certificate(certificate)) is why


async def test_a_certificate_that_the_channel_does_not_take_is_wrong_for_every_title() -> None:
    tls = ListenerTls(certificate="hub.pem", key="hub.key", client_ca="ca.pem", client_names=("ct.a",))
    entries = (AeEntry(ae_title=CT, facility="a"),)
    callers = Callers(DicomChannel(type="dicom", name="imaging", ae_title="HUTONG", ae_entries=entries, tls=tls))
    assert await callers.admit(CT, A, None) is Unknown.CERTIFICATE
    assert await callers.admit("MR", A, _certificate("ct.b")) is Unknown.CERTIFICATE


class _Heard:
    def __init__(self) -> None:
        self.refusals: list[tuple[str, str, Unknown]] = []

    def refused(self, ae_title: str, host: str, why: Unknown) -> None:
        self.refusals.append((ae_title, host, why))

    def admitted(self, ae_title: str, host: str) -> None:
        raise AssertionError("nobody is let in here")


async def _refused(heard: _Heard, *addresses: str) -> str:
    """What the log says of a caller whose title has entries with these addresses."""
    request = AAssociateRQ("HUTONG", CT, (), UserInformation(16384, "1.2.3"))
    decided = await decide(request, Calling(A, None, one_too_many=False), _of(*addresses), Services(()), heard)
    assert isinstance(decided, Rejected)
    assert decided.answer == CALLING_AE_TITLE_NOT_RECOGNIZED
    return decided.why


def _of(*addresses: str) -> Callers:
    entries = tuple(AeEntry(ae_title=CT, facility=f"f{place}", address=one) for place, one in enumerate(addresses))
    return Callers(DicomChannel(type="dicom", name="imaging", ae_title="HUTONG", ae_entries=entries))


@pytest.fixture
def no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name server does not answer."""

    def fails(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fails)


@pytest.mark.usefixtures("no_names")
async def test_a_caller_whose_host_cannot_be_looked_up_is_refused_and_nobody_unknown() -> None:
    heard = _Heard()
    assert await _refused(heard, "ct.example.cn") == "the host name of its entry cannot be looked up"
    assert await _refused(heard, "ct.example.cn", B) == Unclear.HOST
    assert heard.refusals == []


async def test_what_is_no_name_of_a_host_cannot_be_looked_up() -> None:
    assert await _refused(_Heard(), "x" * 64 + ".example.cn") == Unclear.HOST


async def test_a_caller_from_elsewhere_than_its_host_is_told_of() -> None:
    heard = _Heard()
    assert await _refused(heard, "localhost", B) == Unknown.ADDRESS
    assert heard.refusals == [(CT, A, Unknown.ADDRESS)]


@pytest.mark.usefixtures("no_names")
async def test_an_entry_whose_host_cannot_be_looked_up_keeps_nobody_from_another() -> None:
    caller = await _of("ct.example.cn", A).admit(CT, A, None)
    assert isinstance(caller, Caller)
    assert caller.facility == "f1"
