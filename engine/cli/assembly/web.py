"""Which parts answer HTTP: the API, the pages, DICOMweb, and the studies other hubs send?"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from engine import config
from engine.cli.assembly.ids import new_ids
from engine.cli.assembly.listening import ReservedPort, listening
from engine.cli.assembly.mapping_sets import mappings_of
from engine.cli.assembly.object_store import object_store_of
from engine.cli.assembly.ready import OnReady
from engine.cli.cycles import collect_seldom
from engine.clock import now
from engine.config import Community
from engine.store.database import connect_pool

if TYPE_CHECKING:
    from pacs_gateway.dicomweb.receiving import Posted
    from pacs_gateway.transfer.incoming import Incoming


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
    with ReservedPort(community.http.host, ports.get("http_port", community.http.port)) as port:
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
            await listening(community.http.host, port, serving)
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
