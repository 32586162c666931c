"""What is moved to an entity that listens with TLS leaves protected, and does not leave at all to anybody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import asyncpg
import pytest
import trustme
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association

from engine import clock
from engine.config import AeEntry
from engine.config.tls import endpoint_context, listener_context
from engine.config.transport import EndpointTls, ListenerTls
from pacs_gateway.gateway import Gateway
from pacs_gateway.query.models import STUDY_ROOT
from tests.integration.gateway.conftest import RecordingIntake, Write, channel, running
from tests.integration.gateway.sending import SUCCESS, stored
from tests.integration.gateway.storescp import storescp
from tests.integration.gateway.test_getting import UNABLE_TO_PERFORM, study
from tests.ports import free_port

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`ca.pem`, and of each of two certificates that it signed `NAME.pem` and `NAME.key`."""
    folder = tmp_path_factory.mktemp("papers")
    county = trustme.CA()
    county.cert_pem.write_to_path(folder / "ca.pem")
    for name in ("hub", "viewer"):
        certificate = county.issue_cert(HOST)
        certificate.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
        certificate.private_key_pem.write_to_path(folder / f"{name}.key")
    trustme.CA().cert_pem.write_to_path(folder / "stranger.pem")
    return folder


def keys(papers: Path) -> Sequence[str | Path]:
    """With these it takes nobody without TLS or without a certificate of the authority."""
    return "+tls", papers / "viewer.key", papers / "viewer.pem", "+cf", papers / "ca.pem"


@asynccontextmanager
async def protected(papers: Path, pool: asyncpg.Pool, objects: Path, ca: str, port: int) -> AsyncIterator[Gateway]:
    """A gateway with TLS, to whose workstation objects are moved that shows a certificate signed by `ca`."""
    tls = ListenerTls(certificate="hub.pem", key="hub.key", client_ca="ca.pem")
    there = EndpointTls(ca=ca, certificate="hub.pem", key="hub.key")
    settings = channel(
        tls=tls,
        ae_entries=(
            AeEntry(ae_title="DR_BAISHI", facility="baishi"),
            AeEntry(ae_title="VIEWER", facility="baishi", address=HOST, port=port, tls=there),
        ),
    )
    contexts = {"ae:imaging/VIEWER": endpoint_context(there, papers)}
    listening = listener_context(tls, papers)
    gateway = Gateway(settings, pool, RecordingIntake(), objects, clock.now, listening, contexts=contexts)
    async with running(gateway):
        yield gateway


def association_with(gateway: Gateway, papers: Path) -> Association:
    """Over TLS. Blocking."""
    context = endpoint_context(EndpointTls(ca="ca.pem", certificate="viewer.pem", key="viewer.key"), papers)
    entity = AE("DR_BAISHI")
    entity.add_requested_context(ComputedRadiographyImageStorage, ExplicitVRLittleEndian)
    entity.add_requested_context(STUDY_ROOT.move)
    association = entity.associate(HOST, gateway.port, tls_args=(context, HOST))
    assert association.is_established
    return association


async def moved(gateway: Gateway, papers: Path, file: Path, kept: Callable[[], Awaitable[object]]) -> int:
    """The status of a C-MOVE of what was stored before it."""

    def move() -> int:
        (*_, (last, _)) = association.send_c_move(study("1.2.1"), "VIEWER", STUDY_ROOT.move)
        return int(last.Status)

    association = await asyncio.to_thread(association_with, gateway, papers)
    assert (await asyncio.to_thread(association.send_c_store, file)).Status == SUCCESS
    await kept()
    answer = await asyncio.to_thread(move)
    await asyncio.to_thread(association.release)
    return answer


async def test_a_workstation_that_takes_tls_only_is_moved_to(
    papers: Path, pool: asyncpg.Pool, objects: Path, tmp_path: Path, radiograph: Write
) -> None:
    port, folder, file = free_port(), tmp_path / "moved", radiograph(StudyInstanceUID="1.2.1")
    async with storescp(folder, port, *keys(papers)), protected(papers, pool, objects, "ca.pem", port) as gateway:
        assert await moved(gateway, papers, file, partial(stored, pool, objects)) == SUCCESS
    assert len(list(folder.iterdir())) == 1


async def test_nothing_is_moved_to_whoever_shows_a_strange_certificate(
    papers: Path, pool: asyncpg.Pool, objects: Path, tmp_path: Path, radiograph: Write
) -> None:
    port, folder, file = free_port(), tmp_path / "moved", radiograph(StudyInstanceUID="1.2.1")
    async with storescp(folder, port, *keys(papers)), protected(papers, pool, objects, "stranger.pem", port) as gateway:
        assert await moved(gateway, papers, file, partial(stored, pool, objects)) == UNABLE_TO_PERFORM
    assert list(folder.iterdir()) == []
