"""Which parts receive, acknowledge and deliver HL7 v2?"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from engine import config
from engine.cli.assembly.database import keep_partitions
from engine.cli.assembly.ids import new_ids
from engine.cli.assembly.listening import cannot_listen
from engine.cli.assembly.mapping_sets import mappings_of
from engine.cli.assembly.ready import OnReady
from engine.clock import now
from engine.config import Community, MllpEndpoint
from engine.config.tls import endpoint_context, listener_context
from engine.ports import Sender

if TYPE_CHECKING:
    from engine.alerts.receivers import Receiver
    from engine.alerts.watch import Watch


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
                raise cannot_listen(f"channel {channel.name}", channel.host, asked, error) from error
        for watcher in watchers:
            watcher.start()
        ready({"mllp": {name: receiver.port for name, receiver in receivers.items()}})
        async with asyncio.TaskGroup() as running:
            running.create_task(Couriers(database_url, community, make_sender, now).run())
            running.create_task(keep_partitions(database_url))
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
