"""Which parts receive DICOM, and which send it on?"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from engine import config
from engine.cli.assembly.ids import new_ids
from engine.cli.assembly.object_store import object_store_of
from engine.cli.assembly.ready import OnReady
from engine.cli.cycles import collect_seldom
from engine.cli.dicom_sockets import inherited
from engine.clock import now
from engine.config import Community, DicomChannel, DicomEndpoint, HutongEndpoint
from engine.config.secret import secret
from engine.config.tls import endpoint_context, listener_context
from engine.store.database import connect_pool

if TYPE_CHECKING:
    from ssl import SSLContext

    from adapters.objects.s3 import S3ObjectStore
    from pacs_gateway.gateway import Gateway
    from pacs_gateway.location import Objects
    from pacs_gateway.scp.doors import Doors
    from pacs_gateway.scp.listening import Listening
    from pacs_gateway.sending.courier import Errand
    from pacs_gateway.sending.couriers import ImagingCouriers

_log = logging.getLogger(__name__)


async def run_gateway(folder: Path, data: Path, database_url: str, ports: dict[str, Any], ready: OnReady) -> None:
    """Receives DICOM until it is cancelled."""
    from engine.intake import JournalIntake
    from pacs_gateway.gateway import Gateway

    community = config.load(folder)
    shared = inherited(ports)
    channels = [channel for channel in community.dicom_channels if channel.name in shared]
    pool = await connect_pool(database_url, max_size=4)
    intake = JournalIntake(database_url, {}, now, new_ids())
    store = object_store_of(community)
    await intake.start()
    gateways = [
        Gateway(
            channel,
            pool,
            intake,
            data / "objects",
            now,
            listener_context(channel.tls, folder) if channel.tls else None,
            store,
            community.dicom_endpoints,
            _calling_contexts(community, channel),
            shared[channel.name],
        )
        for channel in channels
    ]
    closed = _turn_away_from_removed(community, shared)
    sending: asyncio.Task[None] | None = None
    try:
        for gateway in gateways:
            await gateway.start()
        sending = asyncio.create_task(_imaging_couriers(community, data, database_url, pool, store, gateways).run())
        first = channels[0] if channels else None
        collect_seldom()
        ready({"dicom": {"ae_title": first.ae_title, "port": gateways[0].port} if first else None})
        await sending
    finally:
        if sending is not None:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        for doors in closed:
            doors.close()
        await asyncio.gather(*(gateway.close() for gateway in gateways))
        if store is not None:
            store.close()
        await intake.close()
        await pool.close()


def _turn_away_from_removed(community: Community, shared: Mapping[str, Listening]) -> list[Doors]:
    """A process that is started again reads what was changed since; ports stay those of the hub's start."""
    from pacs_gateway.scp.doors import turning_away

    named = {channel.name for channel in community.dicom_channels}
    for name in sorted(named ^ shared.keys()):
        _log.error("channel %s was %s: restart the hub", name, "added" if name in named else "removed")
    doors = [turning_away(listening.sockets) for name, listening in shared.items() if name not in named]
    for one in doors:
        one.open()
    return doors


def _calling_contexts(community: Community, channel: DicomChannel) -> dict[str, SSLContext]:
    """What a gateway's own connections are protected with, by destination. Raises ConfigurationError."""
    protected = {name: endpoint.tls for name, endpoint in community.dicom_endpoints.items() if endpoint.tls}
    protected |= {channel.destination_of(entry): entry.tls for entry in channel.ae_entries if entry.tls}
    return {name: endpoint_context(tls, community.folder) for name, tls in protected.items()}


def _imaging_couriers(
    community: Community,
    data: Path,
    database_url: str,
    pool: asyncpg.Pool,
    store: S3ObjectStore | None,
    gateways: Sequence[Gateway],
) -> ImagingCouriers:
    """What sends to imaging systems, and asks them, in the one gateway process that leads."""
    from pacs_gateway.location import Objects
    from pacs_gateway.missing import Missing
    from pacs_gateway.query.objects import StoredDataSet
    from pacs_gateway.scu.peer import Peer
    from pacs_gateway.sending.couriers import ImagingCouriers
    from pacs_gateway.sending.encoding import Encoder
    from pacs_gateway.sending.errands import Errands

    objects = Objects(data / "objects", store, Missing(pool, now).told)
    encoder = Encoder(lambda content: StoredDataSet(objects, content))
    reception = gateways[0].reception if gateways else None
    errands: dict[str, Errand] = {
        name: Errands(
            endpoint,
            Peer.at(endpoint, endpoint_context(endpoint.tls, community.folder) if endpoint.tls else None),
            encoder,
            reception,
            now,
        )
        for name, endpoint in community.dicom_endpoints.items()
    }
    errands |= {name: _transfer_errand(one, community, objects) for name, one in community.hutong_endpoints.items()}
    endpoints: dict[str, DicomEndpoint | HutongEndpoint] = {**community.dicom_endpoints, **community.hutong_endpoints}
    return ImagingCouriers(database_url, endpoints, errands, now)


def _transfer_errand(endpoint: HutongEndpoint, community: Community, objects: Objects) -> Errand:
    """Raises ConfigurationError for a secret or a certificate that is not there."""
    from pacs_gateway.sending.line import Line
    from pacs_gateway.transfer.errands import TransferErrands
    from pacs_gateway.transfer.outgoing import Outgoing

    outgoing = Outgoing(
        endpoint.url,
        secret(endpoint.token, community.folder),
        endpoint.answer_timeout_secs,
        Line(endpoint.max_bytes_per_sec) if endpoint.max_bytes_per_sec is not None else None,
        endpoint_context(endpoint.tls, community.folder) if endpoint.tls else None,
    )
    return TransferErrands(endpoint.name, outgoing, objects, now)
