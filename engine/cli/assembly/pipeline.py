"""Which parts map, record and route what was accepted?"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from engine import config
from engine.cli.assembly.ids import new_ids
from engine.cli.assembly.mapping_sets import mappings_of
from engine.cli.assembly.ready import OnReady
from engine.cli.cycles import collect_seldom
from engine.clock import now
from engine.store.database import connect


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
