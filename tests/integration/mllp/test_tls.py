"""Does a channel let in only whom it should, and does a sender talk only to whom it trusts?"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
import uvloop

from adapters.mllp.door import Door
from adapters.mllp.receiver import MllpReceiver
from adapters.mllp.sender import MllpSender
from engine.codecs.mllp import frame
from engine.config.tls import endpoint_context, listener_context
from engine.config.transport import EndpointTls, ListenerTls
from engine.errors import DeliveryError, Disposition
from tests.integration.mllp.conftest import PATIENCE_SECS, FakeIntake, message


@dataclass(frozen=True)
class Papers:
    """A county's authority and another one, with certificates that they signed, as PEM files in a folder."""

    folder: Path
    county: trustme.CA
    stranger: trustme.CA

    def listener(self, *, client_ca: bool = False, client_names: tuple[str, ...] = ()) -> ListenerTls:
        return ListenerTls(
            certificate="hub.pem",
            key="hub.key",
            client_ca="county.pem" if client_ca else None,
            client_names=client_names,
        )

    def client(self, certificate: trustme.LeafCert | None = None, trusts: trustme.CA | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context()
        (trusts or self.county).configure_trust(context)
        if certificate is not None:
            certificate.configure_cert(context)
        return context


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    folder = tmp_path_factory.mktemp("papers")
    county, stranger = trustme.CA(), trustme.CA()
    county.cert_pem.write_to_path(folder / "county.pem")
    stranger.cert_pem.write_to_path(folder / "stranger.pem")
    for name, authority in (("hub", county), ("impostor", stranger)):
        certificate = authority.issue_cert("127.0.0.1", "hub.county.example")
        certificate.private_key_pem.write_to_path(folder / f"{name}.key")
        (folder / f"{name}.pem").write_bytes(b"".join(pem.bytes() for pem in certificate.cert_chain_pems))
    return Papers(folder, county, stranger)


@asynccontextmanager
async def listening(door: Door, intake: FakeIntake) -> AsyncIterator[MllpReceiver]:
    receiver = MllpReceiver("127.0.0.1", 0, "his", intake, None, door)
    await receiver.start()
    try:
        yield receiver
    finally:
        await receiver.close()


async def ask(port: int, tls: ssl.SSLContext | None, number: int = 1) -> bytes:
    """What comes back on a new connection until the other side closes or has answered; empty when it only closed."""
    async with asyncio.timeout(PATIENCE_SECS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        try:
            writer.write(frame(message(number)))
            await writer.drain()
            return await reader.readuntil(b"\x1c\r")
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""
        finally:
            writer.transport.abort()


def on_either_loop(test: Callable[[Papers], Awaitable[None]]) -> Callable[[Papers], None]:
    """Runs on uvloop, as the engine does: its TLS is not asyncio's."""

    def run(papers: Papers) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(test(papers))  # type: ignore[arg-type]  # an async def gives a coroutine

    return run


@on_either_loop
async def test_a_message_over_tls_is_taken_and_answered(papers: Papers) -> None:
    intake = FakeIntake()
    async with listening(Door(tls=listener_context(papers.listener(), papers.folder)), intake) as receiver:
        assert await ask(receiver.port, papers.client()) == frame(b"ACK M1")
    assert [payload for _, _, payload in intake.taken] == [message(1)]


@on_either_loop
async def test_a_client_in_plain_text_gets_nothing_and_harms_nobody(papers: Papers) -> None:
    intake = FakeIntake()
    async with listening(Door(tls=listener_context(papers.listener(), papers.folder)), intake) as receiver:
        assert await ask(receiver.port, None) == b""
        assert await ask(receiver.port, papers.client(), 2) == frame(b"ACK M2")
    assert [payload for _, _, payload in intake.taken] == [message(2)]


@on_either_loop
async def test_without_a_certificate_of_the_named_authority_nobody_comes_in(papers: Papers) -> None:
    intake = FakeIntake()
    door = Door(tls=listener_context(papers.listener(client_ca=True), papers.folder))
    async with listening(door, intake) as receiver:
        for certificate in (None, papers.stranger.issue_cert("his.baishi.example")):
            try:
                answer = await ask(receiver.port, papers.client(certificate))
            except ssl.SSLError:
                answer = b""
            assert answer == b""
        trusted = papers.client(papers.county.issue_cert("his.baishi.example"))
        assert await ask(receiver.port, trusted) == frame(b"ACK M1")
    assert len(intake.taken) == 1


@on_either_loop
async def test_one_township_s_certificate_does_not_open_another_s_channel(papers: Papers) -> None:
    intake = FakeIntake()
    names = ("his.baishi.example",)
    door = Door(tls=listener_context(papers.listener(client_ca=True, client_names=names), papers.folder), names=names)
    async with listening(door, intake) as receiver:
        other = papers.client(papers.county.issue_cert("his.qingxi.example"))
        assert await ask(receiver.port, other) == b""
        own = papers.client(papers.county.issue_cert("HIS.baishi.example"))
        assert await ask(receiver.port, own) == frame(b"ACK M1")
        by_common_name = papers.client(papers.county.issue_cert("10.1.1.1", common_name="his.baishi.example"))
        assert await ask(receiver.port, by_common_name, 2) == frame(b"ACK M2")
    assert len(intake.taken) == 2


@on_either_loop
async def test_an_address_outside_the_allowed_networks_is_closed_at_once(papers: Papers) -> None:
    from ipaddress import ip_network

    intake = FakeIntake()
    async with listening(Door((ip_network("10.0.0.0/8"),)), intake) as receiver:
        assert await ask(receiver.port, None) == b""
    async with listening(Door((ip_network("10.0.0.0/8"), ip_network("127.0.0.1"))), intake) as receiver:
        assert await ask(receiver.port, None) == frame(b"ACK M1")
    assert len(intake.taken) == 1


@asynccontextmanager
async def endpoint(papers: Papers, name: str) -> AsyncIterator[int]:
    """A hospital system that acknowledges over TLS under the certificate of that name."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\x1c\r")
        writer.write(frame(b"MSH|^~\\&|HIS|BS|HUB|QX|2026||ACK|9|P|2.5\rMSA|AA|M1\r"))
        await writer.drain()
        writer.close()

    context = listener_context(ListenerTls(certificate=f"{name}.pem", key=f"{name}.key"), papers.folder)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def sender(papers: Papers, port: int, tls: EndpointTls) -> MllpSender:
    return MllpSender(
        "127.0.0.1",
        port,
        connect_timeout_secs=PATIENCE_SECS,
        answer_timeout_secs=PATIENCE_SECS,
        tls=endpoint_context(tls, papers.folder),
        server_name=tls.server_name,
    )


@on_either_loop
async def test_a_sender_delivers_to_an_endpoint_it_trusts(papers: Papers) -> None:
    for tls in (EndpointTls(ca="county.pem"), EndpointTls(ca="county.pem", server_name="hub.county.example")):
        async with endpoint(papers, "hub") as port:
            out = sender(papers, port, tls)
            assert b"MSA|AA|M1" in await out.send(message(1), "M1")
            await out.close()


@on_either_loop
async def test_a_sender_says_nothing_to_one_it_does_not_trust_and_tries_again_later(papers: Papers) -> None:
    for name, tls in (
        ("impostor", EndpointTls(ca="county.pem")),
        ("hub", EndpointTls(ca="county.pem", server_name="other.example")),
    ):
        async with endpoint(papers, name) as port:
            with pytest.raises(DeliveryError) as refused:
                await sender(papers, port, tls).send(message(1), "M1")
            assert (refused.value.code, refused.value.disposition) == ("untrusted", Disposition.RETRY)
