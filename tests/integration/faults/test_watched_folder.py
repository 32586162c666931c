"""Files of a watched folder walk as messages of a line do, and a crash in the middle of one costs nothing."""

from __future__ import annotations

from pathlib import Path

from tests.integration.faults.community import community
from tests.integration.faults.conftest import Serve
from tests.integration.faults.load import LOAD_SECS
from tests.integration.faults.messages import register
from tests.integration.faults.serving import Served, until

MESSAGES = 600


async def counted(hub: Served, query: str) -> int:
    async with hub.database() as database:
        count: int = await database.fetchval(query)
        return count


async def test_a_file_that_was_half_taken_at_a_kill_is_taken_whole_and_once(serve: Serve, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    hub = serve(
        community({"his": {}, "files": {"type": "folder", "facility": "baishi", "folder": str(folder)}}), only="engine"
    )
    await hub.start()
    await until("the folder is watched", lambda: (folder / "answers").is_dir())
    content = b"".join(register(f"F{number}", f"F.{number:04d}") for number in range(MESSAGES))
    (folder / ".big.hl7").write_bytes(content)
    (folder / ".big.hl7").rename(folder / "big.hl7")

    await until("some of it is durable", lambda: counted(hub, "select count(*) from journal"))
    await hub.kill("engine")
    await until("all is taken", lambda: not (folder / "big.hl7").exists(), within_secs=LOAD_SECS)
    await until(
        "all is processed",
        lambda: counted(hub, f"select count(*) = {MESSAGES} from outcome where state = 'processed'"),
        within_secs=LOAD_SECS,
    )
    assert await counted(hub, "select count(*) from journal") == MESSAGES
    assert await counted(hub, "select count(distinct control_id) from journal") == MESSAGES
    assert (folder / "answers" / "big.hl7.ack").read_bytes().count(b"MSA|AA|") == MESSAGES
    (done,) = (folder / "done").glob("*/big.hl7")
    assert done.read_bytes() == content
