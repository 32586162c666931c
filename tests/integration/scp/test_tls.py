"""DICOM over TLS: who shows no certificate, a strange one or another's is not served."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme

from engine.config import AeEntry
from engine.config.tls import listener_context
from engine.config.transport import ListenerTls
from pacs_gateway.scp.acceptor import Acceptor
from pacs_gateway.upper_layer.events import AssociationAccepted, AssociationRejected
from pacs_gateway.upper_layer.pdus import CALLING_AE_TITLE_NOT_RECOGNIZED
from tests.integration.gateway.sending import until
from tests.integration.scp.conftest import Call, Reception, Run, Start
from tests.integration.scp.peer import PATIENCE_SECS, store_request

OBJECT = bytes(range(256)) * 4000


@pytest.fixture(scope="module")
def county() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def protected(start: Start, county: trustme.CA, tmp_path: Path) -> Acceptor:
    """Two modalities, one of which must show its own certificate."""
    ours = county.issue_cert("localhost")
    ours.cert_chain_pems[0].write_to_path(tmp_path / "hub.pem")
    ours.private_key_pem.write_to_path(tmp_path / "hub.key")
    county.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = ListenerTls(certificate="hub.pem", key="hub.key", client_ca="ca.pem")
    entries = (
        AeEntry(ae_title="CT_BAISHI", facility="baishi"),
        AeEntry(ae_title="CT_OWN", facility="qingxi", client_names=("ct.qingxi.example",)),
    )
    return await start(context=listener_context(tls, tmp_path), tls=tls, ae_entries=entries)


def client(county: trustme.CA, certificate: trustme.LeafCert | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    county.configure_trust(context)
    if certificate is not None:
        certificate.configure_cert(context)
    return context


async def test_an_object_comes_in_whole(
    protected: Acceptor, reception: Reception, call: Call, county: trustme.CA
) -> None:
    peer = await call(protected, tls=client(county, county.issue_cert("any.example")))
    assert isinstance(await peer.associate(), AssociationAccepted)
    for number in range(3):
        peer.ask(3, store_request(f"1.2.{number}"), OBJECT)
        assert await peer.status() == 0
    await peer.release()
    assert list(reception.kept.values()) == [OBJECT] * 3


async def test_objects_sent_ahead_wait_here_too(
    protected: Acceptor, reception: Reception, call: Call, county: trustme.CA
) -> None:
    peer = await call(protected, tls=client(county, county.issue_cert("any.example")))
    await peer.associate()
    reception.open.clear()
    for number in range(8):
        peer.ask(3, store_request(f"1.2.{number}"), OBJECT)
    await reception.until(lambda reception: len(reception.arrived) == 1)
    reception.open.set()
    assert [await peer.status() for _ in range(8)] == [0] * 8
    assert list(reception.kept.values()) == [OBJECT] * 8


@pytest.mark.parametrize(("name", "let_in"), [("ct.qingxi.example", True), ("ct.baishi.example", False)])
async def test_an_entry_with_a_name_takes_only_its_certificate(
    protected: Acceptor, call: Call, county: trustme.CA, name: str, let_in: bool
) -> None:
    peer = await call(protected, tls=client(county, county.issue_cert(name)))
    answer = await peer.associate("CT_OWN")
    if let_in:
        assert isinstance(answer, AssociationAccepted)
    else:
        assert answer == AssociationRejected(CALLING_AE_TITLE_NOT_RECOGNIZED)


@pytest.mark.parametrize("shown", ["nothing", "a stranger's"])
async def test_who_shows_no_certificate_of_ours_is_not_heard(
    protected: Acceptor, call: Call, county: trustme.CA, shown: str
) -> None:
    certificate = None if shown == "nothing" else trustme.CA().issue_cert("ct.qingxi.example")
    try:
        answer = await (await call(protected, tls=client(county, certificate))).associate()
    except (ssl.SSLError, ConnectionError):
        answer = None
    assert answer is None


async def test_plain_dicom_is_not_answered(protected: Acceptor, dcmtk: Run) -> None:
    said = await dcmtk("echoscu", "-aet", "CT_BAISHI", "127.0.0.1", protected.port)
    assert said.code != 0


async def test_who_never_begins_to_greet_keeps_no_gateway_from_ending(protected: Acceptor) -> None:
    async def arrives() -> bool:
        return len(protected._handshakes) > 0

    reader, writer = await asyncio.open_connection("127.0.0.1", protected.port)
    try:
        await until(arrives)
        async with asyncio.timeout(PATIENCE_SECS):
            await protected.close(0.0)
            assert await reader.read() == b""
    finally:
        writer.close()
