"""Two gateways may serve one channel, each at its own port: all is kept once, and each gives what the other took."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
from pydicom.uid import generate_uid

from tests.integration.gateway.conftest import Start, Write
from tests.integration.gateway.sending import SUCCESS, announced, data_set_of, indexed, send_raw, until
from tests.integration.gateway.test_getting import fetch
from tests.integration.gateway.test_querying import identifier


async def test_what_two_gateways_take_of_one_study_is_one_study(
    start: Start, pool: asyncpg.Pool, objects: Path, radiograph: Write
) -> None:
    first, second = await start(), await start()
    assert first.port != second.port
    study = generate_uid()
    files = [radiograph(StudyInstanceUID=study, InstanceNumber=number) for number in range(20)]
    statuses = await asyncio.gather(
        asyncio.to_thread(send_raw, first.port, files[:12]), asyncio.to_thread(send_raw, second.port, files[8:])
    )
    assert [set(of_one) for of_one in statuses] == [{SUCCESS}, {SUCCESS}]

    async def all_of_them() -> bool:
        return set(await indexed(pool)) == {announced(file).sop_instance_uid for file in files}

    await until(all_of_them)
    assert {folder.name for folder in (objects / "spool" / "imaging").iterdir()} == {"0", "1"}
    row = next(iter((await indexed(pool)).values()))
    kinds = [(row["sop_class"], (row["transfer_syntax"],))]
    for gateway in (first, second):
        got = await asyncio.to_thread(fetch, gateway.port, identifier("STUDY", StudyInstanceUID=study), kinds)
        assert got.objects == {announced(file).sop_instance_uid: data_set_of(file) for file in files}
