"""A gateway that is started again after its channels were changed serves those of the hub's start, and says so."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

from tests.integration.faults.community import community
from tests.integration.faults.conftest import Serve
from tests.integration.faults.objects import IMAGING, made_objects
from tests.integration.faults.serving import END_SECS, until
from tests.integration.gateway.sending import SUCCESS, send_raw
from tests.ports import free_port


async def test_a_channel_that_was_removed_is_turned_away_and_one_that_was_added_waits_for_the_hub(
    serve: Serve, database_url: str, tmp_path: Path
) -> None:
    removed, added = free_port(), free_port()
    channels = {"imaging": IMAGING, "removed": {**IMAGING, "ae_title": "REMOVED", "port": removed}}
    hub = serve(community(channels, gateways=2), only="gateway", database_url=database_url)
    await hub.start()
    (hub.config / "channels" / "removed.yaml").unlink()
    settings = {**IMAGING, "ae_title": "ADDED", "port": added}
    (hub.config / "channels" / "added.yaml").write_text(json.dumps(settings), encoding="utf-8")
    born = {one.pid for one in hub.processes("gateway")}
    for _ in born:
        await hub.kill("gateway")

    def both_are_others() -> bool:
        return hub.said().count("channel removed was removed: restart the hub") == len(born)

    await until("both are started again", both_are_others)
    (file,) = made_objects(tmp_path / "objects", 1)
    assert await asyncio.to_thread(send_raw, hub.run["dicom"]["port"], [file]) == [SUCCESS]
    with socket.create_connection(("127.0.0.1", removed), END_SECS) as caller:
        assert caller.recv(1) == b""
    assert "channel added was added: restart the hub" in hub.said()
    with socket.socket() as caller:
        assert caller.connect_ex(("127.0.0.1", added)) != 0
    await hub.stop()
