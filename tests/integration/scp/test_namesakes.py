"""Devices of two facilities that have one AE title stand on one channel: each stores for its own facility."""

from __future__ import annotations

import asyncio

import pytest

from engine.config import AeEntry
from pacs_gateway.scp.acceptor import Acceptor
from pacs_gateway.upper_layer.events import AssociationAccepted, AssociationRejected
from pacs_gateway.upper_layer.pdus import CALLING_AE_TITLE_NOT_RECOGNIZED
from tests.integration.scp.conftest import Reception, Start
from tests.integration.scp.peer import Peer, store_request

FIRST, SECOND, STRANGER = "127.0.0.1", "127.0.0.2", "127.0.0.3"


@pytest.fixture
async def two_facilities(start: Start) -> Acceptor:
    return await start(
        ae_entries=(
            AeEntry(ae_title="CT", facility="baishi", address=FIRST, port=104),
            AeEntry(ae_title="CT", facility="qingxi", address=SECOND),
        )
    )


async def called_from(host: str, acceptor: Acceptor) -> Peer:
    return Peer(*await asyncio.open_connection("127.0.0.1", acceptor.port, local_addr=(host, 0)))


@pytest.mark.parametrize(("host", "facility"), [(FIRST, "baishi"), (SECOND, "qingxi")])
async def test_each_stores_for_the_facility_whose_host_it_calls_from(
    two_facilities: Acceptor, reception: Reception, host: str, facility: str
) -> None:
    peer = await called_from(host, two_facilities)
    assert isinstance(await peer.associate("CT"), AssociationAccepted)
    peer.ask(3, store_request("1.2.3"), b"\x08\x00")
    assert await peer.status() == 0
    await peer.release()
    assert [one.announced.facility for one in reception.arrived] == [facility]


async def test_one_of_neither_host_is_refused(two_facilities: Acceptor) -> None:
    peer = await called_from(STRANGER, two_facilities)
    assert await peer.associate("CT") == AssociationRejected(CALLING_AE_TITLE_NOT_RECOGNIZED)
    peer.vanish()
