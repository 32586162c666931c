"""How do the parts fit together? The only place that wires adapters, gateway and core into the processes of a hub.

Each process imports what it runs inside its own function: a hub idles in few megabytes.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import random
import secrets
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import asyncpg

from engine import config
from engine.cli.cycles import collect_seldom
from engine.clock import now
from engine.config import Community, DicomEndpoint, HutongEndpoint, MllpEndpoint
from engine.config.loader import COMMUNITY
from engine.config.objects import S3Objects
from engine.config.secret import secret
from engine.config.tls import endpoint_context, listener_context
from engine.config.transport import EndpointTls
from engine.envelope import EnvelopeIds
from engine.errors import ConfigurationError, StorageError
from engine.ports import Sender
from engine.store.database import connect, connect_pool, refuse_unsafe

if TYPE_CHECKING:
    from adapters.objects.s3 import S3ObjectStore
    from engine.alerts.receivers import Receiver
    from engine.alerts.watch import Watch
    from engine.mapping import MappingSet
    from pacs_gateway.dicomweb.receiving import Posted
    from pacs_gateway.gateway import Gateway
    from pacs_gateway.location import Objects
    from pacs_gateway.sending.courier import Errand
    from pacs_gateway.sending.couriers import ImagingCouriers
    from pacs_gateway.transfer.incoming import Incoming

logger = logging.getLogger(__name__)

OnReady = Callable[[dict[str, Any]], None]
"""Told once, when everything listens: the part of run.json that this process answers for."""

WAITING_THREADS = 32
"""Python has four more than there are processors, which a slow service fills with a few readers."""
PARTITION_CHECK_SECS = 6 * 3600.0


def mappings_of(community: Community, own: Path | None = None) -> MappingSet:
    """The mappings of this distribution, and over them those of `own`: the configuration's folder `mappings`."""
    from engine.mapping import MappingSet

    return MappingSet.load(shipped_mappings(), list(community.facilities), own or own_mappings(community))


def shipped_mappings() -> Path:
    """The mappings of this distribution."""
    import mappings as mapping_files

    return Path(mapping_files.__file__).parent


def own_mappings(community: Community) -> Path | None:
    """The folder `mappings` of a configuration; None where it has none."""
    own = community.folder / "mappings"
    return own if (community.folder / COMMUNITY).is_file() and own.is_dir() else None


def new_ids() -> EnvelopeIds:
    """Ids of this process. They must differ, not be secret: the system is asked for randomness once, not for each."""
    return EnvelopeIds(random.Random(secrets.randbits(256)).getrandbits)


async def prepare(database_url: str, data: Path) -> None:
    """What must be true of the database before anything runs: schema, partitions, durability, an administrator."""
    from engine.store.access import ensure_admin_token
    from engine.store.migrations import migrate
    from engine.store.partitions import ensure_partitions

    await asyncio.to_thread(migrate, database_url)
    connection = await connect(database_url)
    try:
        await refuse_unsafe(connection)
        await ensure_partitions(connection, now())
        await ensure_admin_token(connection, data, now())
    finally:
        await connection.close()


async def run_engine(folder: Path, data: Path, database_url: str, ports: dict[str, Any], ready: OnReady) -> None:
    """Receives, acknowledges and delivers HL7 v2 until it is cancelled."""
    from adapters.folder.receiver import FolderReceiver
    from adapters.folder.shelf import Shelf
    from adapters.mllp.door import Door
    from adapters.mllp.limits import ReceiverLimits
    from adapters.mllp.receiver import MllpReceiver
    from adapters.mllp.sender import MllpSender
    from engine.answering.queries import PatientQueries
    from engine.delivery import Couriers
    from engine.intake import JournalIntake

    def make_sender(endpoint: MllpEndpoint) -> Sender:
        address = urlsplit(endpoint.address)
        return MllpSender(
            address.hostname or "",
            address.port or 0,
            connect_timeout_secs=endpoint.connect_timeout_secs,
            answer_timeout_secs=endpoint.answer_timeout_secs,
            tls=endpoint_context(endpoint.tls, folder) if endpoint.tls else None,
            server_name=endpoint.tls.server_name if endpoint.tls else None,
        )

    community = config.load(folder)
    before: dict[str, int] = ports.get("mllp", {})
    queries = PatientQueries(database_url, community, mappings_of)
    channels = {c.name: c for c in community.hl7_channels}
    intake = JournalIntake(database_url, channels, now, new_ids(), queries)
    await intake.start()
    receivers = {
        channel.name: MllpReceiver(
            channel.host,
            before.get(channel.name, channel.port),
            channel.name,
            intake,
            ReceiverLimits(
                max_message_bytes=channel.max_message_bytes,
                max_connections=channel.max_connections,
                idle_timeout_secs=channel.idle_timeout_secs,
            ),
            Door(
                channel.allow_from,
                listener_context(channel.tls, folder) if channel.tls else None,
                channel.tls.client_names if channel.tls else (),
            ),
        )
        for channel in community.mllp_channels
    }
    watchers = [
        FolderReceiver(
            channel.name,
            Shelf(folder / channel.folder, channel.pattern, channel.settle_secs, channel.max_file_bytes, now),
            intake,
        )
        for channel in community.folder_channels
    ]
    try:
        for channel in community.mllp_channels:
            try:
                await receivers[channel.name].start()
            except OSError as error:
                asked = before.get(channel.name, channel.port)
                raise _cannot_listen(f"channel {channel.name}", channel.host, asked, error) from error
        for watcher in watchers:
            watcher.start()
        ready({"mllp": {name: receiver.port for name, receiver in receivers.items()}})
        async with asyncio.TaskGroup() as running:
            running.create_task(Couriers(database_url, community, make_sender, now).run())
            running.create_task(_keep_partitions(database_url))
            running.create_task(_watch_of(community, data, database_url).run())
    finally:
        await asyncio.gather(*(watcher.close() for watcher in watchers))
        await asyncio.gather(*(receiver.close() for receiver in receivers.values()))
        await intake.close()
        await queries.close()


def _watch_of(community: Community, data: Path, database_url: str) -> Watch:
    from engine.alerts.watch import Watch

    receivers: dict[str, Receiver] = {}
    if community.alerts.webhooks or community.alerts.emails:
        from engine.alerts.receivers import receivers_of

        receivers = receivers_of(community)
    return Watch(database_url, community, receivers, data, now, new_ids())


async def run_pipeline(folder: Path, data: Path, database_url: str, ports: dict[str, Any], ready: OnReady) -> None:
    """Maps, records and routes what was accepted until it is cancelled."""
    from engine import pinyin
    from engine.completion import Completion
    from engine.pipeline import Pipeline
    from engine.recording.facilities import record_facilities

    community = config.load(folder)
    pipeline = Pipeline(database_url, community, mappings_of(community), now, new_ids())
    connection = await connect(database_url)
    try:
        await record_facilities(connection, community, now())
    finally:
        await connection.close()
    pinyin.readings("石")  # loads its dictionary, a quarter of a second, now rather than with the first patient
    collect_seldom()
    ready({})
    completion = asyncio.create_task(Completion(database_url, now).run())
    try:
        await pipeline.run()
    finally:
        completion.cancel()


async def run_web(folder: Path, data: Path, database_url: str, ports: dict[str, Any], ready: OnReady) -> None:
    """Answers HTTP until it is cancelled."""
    from granian.constants import Interfaces, SSLProtocols
    from granian.server.embed import Server

    from engine.api.app import create_app
    from engine.api.reading import routers as reading_routers
    from engine.api.services import Services
    from engine.intake import JournalIntake
    from engine.store import changes
    from pacs_gateway.dicomweb.receiving import Posted
    from pacs_gateway.dicomweb.routes import DicomWeb
    from pacs_gateway.transfer.routes import router as transfer_routes
    from web import static_folder

    community = config.load(folder)
    pool = await connect_pool(database_url, max_size=8)
    services = Services(pool=pool, config=community, clock=now, mapping_set=mappings_of(community))
    intake = JournalIntake(database_url, {}, now, new_ids())
    await intake.start()
    store = object_store_of(community)
    posted = (
        Posted(community.dicom_channels, pool, intake, data / "objects", now, store)
        if community.dicom_channels
        else None
    )
    if posted is not None:
        await posted.start()
    imaging = DicomWeb(pool, data / "objects", posted, store=store)
    incoming = _incoming(community, data, pool, posted) if posted is not None else None
    heard = changes.Changes(
        database_url,
        [(changes.ACCESS_TOKEN, services.callers), (changes.INSTANCE, imaging.recollection.objects)],
    )
    heard.start()
    imaging.start()
    routers = [*reading_routers, *([transfer_routes(incoming)] if incoming is not None else [])]
    app = create_app(services, routers, mounted=imaging.mounts(), static_folder=static_folder())
    tls = community.http.tls
    with _ReservedPort(community.http.host, ports.get("http_port", community.http.port)) as port:
        server = Server(
            app,
            address=community.http.host,
            port=port,
            interface=Interfaces.ASGINL,
            websockets=False,
            log_enabled=False,
            static_path_mount=None,
            ssl_cert=folder / tls.certificate if tls else None,
            ssl_key=folder / tls.key if tls else None,
            ssl_protocol_min=SSLProtocols.tls12,
        )
        serving = asyncio.create_task(server.serve())
        try:
            await _listening(community.http.host, port, serving)
            collect_seldom()
            address = {"http": f"{community.http.scheme}://{community.http.host}:{port}", "http_port": port}
            ready({**address, "http_certificate": str((folder / tls.certificate).absolute())} if tls else address)
            await serving
        finally:
            server.stop()  # type: ignore[no-untyped-call]  # granian's own
            await asyncio.gather(serving, return_exceptions=True)
            await heard.close()
            await imaging.close()
            if incoming is not None:
                await incoming.close()
            if posted is not None:
                await posted.close()
            if store is not None:
                store.close()
            await intake.close()
            await pool.close()


def _incoming(community: Community, data: Path, pool: asyncpg.Pool, posted: Posted) -> Incoming:
    """What takes studies that other hubs send; started."""
    from pacs_gateway.transfer.incoming import Incoming

    incoming = Incoming(pool, posted, data / "objects" / "transfers", community.dicom_channels[0].name, now)
    incoming.start()
    return incoming


async def run_gateway(folder: Path, data: Path, database_url: str, ports: dict[str, Any], ready: OnReady) -> None:
    """Receives DICOM until it is cancelled."""
    from engine.intake import JournalIntake
    from pacs_gateway.gateway import Gateway

    community = config.load(folder)
    before: dict[str, int] = ports.get("dicom_ports", {})
    pool = await connect_pool(database_url, max_size=4)
    intake = JournalIntake(database_url, {}, now, new_ids())
    store = object_store_of(community)
    await intake.start()
    gateways = [
        Gateway(
            channel.model_copy(update={"port": before.get(channel.name, channel.port)}),
            pool,
            intake,
            data / "objects",
            now,
            listener_context(channel.tls, folder) if channel.tls else None,
            store,
            community.dicom_endpoints,
            {e.name: endpoint_context(e.tls, folder) for e in community.dicom_endpoints.values() if e.tls},
        )
        for channel in community.dicom_channels
    ]
    sending: asyncio.Task[None] | None = None
    try:
        for gateway in gateways:
            await gateway.start()
        sending = asyncio.create_task(_imaging_couriers(community, data, database_url, pool, store, gateways).run())
        first = community.dicom_channels[0] if gateways else None
        ready(
            {
                "dicom": {"ae_title": first.ae_title, "port": gateways[0].port} if first else None,
                "dicom_ports": {
                    channel.name: gateway.port
                    for channel, gateway in zip(community.dicom_channels, gateways, strict=True)
                },
            }
        )
        await sending
    finally:
        if sending is not None:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        await asyncio.gather(*(gateway.close() for gateway in gateways))
        if store is not None:
            store.close()
        await intake.close()
        await pool.close()


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


def object_store_of(community: Community) -> S3ObjectStore | None:
    """Where finished objects go, if not into the object folder; to be closed. Raises as `s3_of` does.

    To be called on the event loop, which gets threads enough to wait for a distant service in.
    """
    if not isinstance(community.objects, S3Objects):
        return None
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(WAITING_THREADS, thread_name_prefix="waiting"))
    return s3_of(community.objects, community.folder)


def s3_of(place: S3Objects, folder: Path) -> S3ObjectStore:
    """Connects to nothing yet. Raises ConfigurationError for a secret or a certificate that is not there."""
    from adapters.objects.s3 import S3ObjectStore

    return S3ObjectStore(
        place.address,
        place.bucket,
        secret(place.access_key, folder),
        secret(place.secret_key, folder),
        region=place.region,
        prefix=place.prefix,
        timeout_secs=place.timeout_secs,
        tls=endpoint_context(place.tls or EndpointTls(), folder) if place.is_protected else None,
        server_name=place.tls.server_name if place.tls else None,
    )


async def _keep_partitions(database_url: str) -> None:
    """A hub that runs for months still has a journal partition for next month."""
    from engine.store.partitions import ensure_partitions

    while True:
        await asyncio.sleep(PARTITION_CHECK_SECS)
        try:
            connection = await connect(database_url)
            try:
                await ensure_partitions(connection, now())
            finally:
                await connection.close()
        except (StorageError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            # Partitions are made months ahead, and the default one takes what has none: the next turn is early enough.
            logger.warning("partitions were not looked after: %s", type(error).__name__)


class _ReservedPort:
    """Holds a port while the HTTP server, which cannot say which free one it took, begins to listen on it."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._address = (host, port)

    def __enter__(self) -> int:
        """Raises ConfigurationError when the port is another program's."""
        host, port = self._address
        try:
            if port:
                self._refuse_to_share()
            self._socket.bind(self._address)
        except OSError as error:
            self._socket.close()
            raise _cannot_listen("http", host, port, error) from error
        had: int = self._socket.getsockname()[1]
        return had

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _refuse_to_share(self) -> None:
        """With SO_REUSEPORT alone two hubs of one account would take turns in answering."""
        with socket.socket(self._socket.family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(self._address)


def _cannot_listen(what: str, host: str, port: int, error: OSError) -> ConfigurationError:
    if error.errno == errno.EADDRINUSE:
        why = "is taken by another program: stop that one (`hutong doctor --config DIR` tells of all ports at once)"
    else:
        why = f"cannot be listened on ({error.strerror or error}): give its host: an address of this machine"
    return ConfigurationError(f"{what}: {host}:{port} {why}, or give it another port", code="cannot-listen")


async def _listening(host: str, port: int, serving: asyncio.Task[None]) -> None:
    while True:
        if serving.done():
            await serving
            raise OSError(f"the HTTP server ended before it listened on {host}:{port}")
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return
