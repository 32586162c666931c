"""Every object answered 0000 is there, whole and once, whichever process is killed while objects arrive.

Ten times in a hub of one gateway process, and six times in a hub of two that share a port, each of which is killed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path

import asyncpg
import psutil

from pacs_gateway.location import Objects, open_object
from tests.integration.faults.community import community
from tests.integration.faults.conftest import Serve
from tests.integration.faults.objects import IMAGING, made_objects
from tests.integration.faults.serving import Served, until
from tests.integration.gateway.sending import SUCCESS, data_set_of, send_raw, spooled

ASSOCIATIONS = 8
OBJECTS = 1000
SHARED_OBJECTS = 240
MORE = 20
"""How many an association sends besides, again and again, should the first be stored before the last kill."""
KILLED = (
    *("gateway", "postgres", "gateway", "web", "pipeline"),
    *("supervisor", "gateway", "engine", "postgres", "gateway"),
)
PATIENCE_SECS = 120.0
"""For a machine that does much else."""


async def test_processes_killed_ten_times_while_eight_associations_store(serve: Serve, tmp_path: Path) -> None:
    hub = serve(community({"his": {}, "imaging": IMAGING}))
    await started(hub)
    await stored_while_killed(hub, KILLED, OBJECTS, tmp_path)


async def test_gateways_that_share_a_port_killed_in_turn_while_eight_associations_store(
    serve: Serve, tmp_path: Path
) -> None:
    hub = serve(community({"his": {}, "imaging": IMAGING}, gateways=2))
    await started(hub)
    born = hub.processes("gateway")
    files = made_objects(tmp_path / "before", len(born))
    for stuck, file in zip(born, files, strict=True):
        stuck.suspend()
        try:
            assert await asyncio.to_thread(send_raw, await port_of(hub), [file]) == [SUCCESS]
        finally:
            stuck.resume()
    await stored_while_killed(hub, ["gateway"] * 6, SHARED_OBJECTS, tmp_path, before=files)


async def stored_while_killed(
    hub: Served, killed_roles: Sequence[str], count: int, tmp_path: Path, before: Sequence[Path] = ()
) -> None:
    """Fails unless everything that was answered is in the index and in the store in the end, and nothing else.

    before  what was answered before
    """
    files = made_objects(tmp_path / "objects", count)
    born = hub.processes("gateway")
    answered: set[str] = set()
    lost = 0
    killed = asyncio.Event()

    async def association(lane: Sequence[Path], more: Path) -> None:
        """Sends on after each kill what was not answered, as a modality does, and more until nobody kills any more."""
        nonlocal lost
        left = list(lane)
        while left or not killed.is_set():
            if not left:
                left = await asyncio.to_thread(made_objects, more / str(len(files)), MORE)
                files.extend(left)
            statuses = await asyncio.to_thread(send_raw, await port_of(hub), left)
            done = [file for file, status in zip(left, statuses, strict=True) if status == SUCCESS]
            answered.update(uid_of(file) for file in done)
            lost += len(done) < len(left)
            left = [file for file in left if file not in done]

    async with asyncio.TaskGroup() as all_of_them:
        for number in range(ASSOCIATIONS):
            all_of_them.create_task(association(files[number:count:ASSOCIATIONS], tmp_path / f"more-{number}"))
        for role in killed_roles:
            await some_more_indexed(hub)
            await kill(hub, role)
        killed.set()
    assert lost > 0, "no association was ever lost: nothing was tried"
    assert answered == {uid_of(file) for file in files}
    assert not {one.pid for one in born} & {one.pid for one in hub.processes("gateway")}, "not every one was killed"

    files = [*before, *files]
    objects = hub.data / "objects"
    await until("the spool is empty", lambda: spooled(objects) == [], within_secs=PATIENCE_SECS)
    async with hub.database() as database:
        rows = {row["sop_uid"]: row for row in await database.fetch("select * from instance")}
        assert len(await database.fetch("select 1 from instance where conflict")) == 0
    assert rows.keys() == {uid_of(file) for file in files}
    for file in files:
        row, data = rows[uid_of(file)], data_set_of(file)
        with open_object(Objects(objects), row["location"]) as kept:
            assert kept.read().endswith(data)
        assert row["sha256"] == sha256(data).digest()
    there = {str(path.relative_to(objects / "store")) for path in (objects / "store").rglob("*.dcm")}
    assert there == {row["location"] for row in rows.values()}
    await hub.stop()


async def started(hub: Served) -> None:
    process = hub.launch()

    def ready() -> bool:
        assert process.poll() is None, f"the hub ended with {process.returncode}:\n{hub.said()}"
        return (hub.data / "run.json").exists()

    await until("the hub is ready", ready, within_secs=PATIENCE_SECS)


async def port_of(hub: Served) -> int:
    """Where it listens, once it does: what a modality is told when the whole hub was started again."""
    return int(await until("the hub says where it listens", lambda: said_port(hub), within_secs=PATIENCE_SECS))


def said_port(hub: Served) -> int:
    with suppress(FileNotFoundError, ValueError):  # it is being started, or is writing that
        return int(hub.run["dicom"]["port"])
    return 0


async def some_more_indexed(hub: Served) -> None:
    """Returns a few objects later."""
    wanted = 0

    async def reached() -> bool:
        nonlocal wanted
        try:
            async with hub.database() as database:
                count: int = await database.fetchval("select count(*) from instance")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        wanted = wanted or count + random.Random(count).randint(1, 40)
        return count >= wanted

    await until("more objects are indexed", reached, within_secs=PATIENCE_SECS)


async def kill(hub: Served, role: str) -> None:
    """Waits for another one where objects cannot be stored without it."""
    if role == "supervisor":
        family = [hub.supervisor, *hub.supervisor.children(recursive=True)]
        hub.supervisor.kill()
        await asyncio.to_thread(psutil.wait_procs, family, PATIENCE_SECS)
        await started(hub)
        return
    await until(f"a {role}", partial(lives, hub, role), within_secs=PATIENCE_SECS)
    await hub.kill(role)
    if role in ("gateway", "postgres"):
        await until(f"another {role}", partial(lives, hub, role), within_secs=PATIENCE_SECS)


def lives(hub: Served, role: str) -> bool:
    try:
        return any(one.status() != psutil.STATUS_ZOMBIE for one in hub.processes(role))
    except psutil.NoSuchProcess:
        return False


def uid_of(file: Path) -> str:
    return file.name.removesuffix(".dcm")
