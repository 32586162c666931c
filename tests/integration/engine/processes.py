"""Pipeline processes of the operating system over one journal, which a test may kill, and what they leave behind."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from engine.codecs import fhir_json

_PAUSE_SECS = 0.02
_SMALL_BATCHES = """
from engine import pipeline
from engine.cli.process import main
pipeline.BATCH = 3
main()
"""
"""A process claims all that may run: of a handful of patients the first would leave nothing to the others."""


class Workers:
    """`hutong serve`'s own pipeline process, several times, on the configuration of a folder."""

    def __init__(self, url: str, folder: Path, count: int) -> None:
        self._url = url
        self._folder = folder
        self._processes = [self._start() for _ in range(count)]

    def wait_until_ready(self) -> None:
        for process in self._processes:
            self._ready(process)

    def kill(self, number: int) -> None:
        """kill -9 of one of them in whatever it is doing; another one takes its place at once."""
        self._processes[number].kill()
        self._processes[number].wait()
        self._processes[number] = self._start()

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", _SMALL_BATCHES, "pipeline", str(self._folder), str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "HUTONG_DATABASE_URL": self._url},
        )

    def _ready(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        assert "failed" not in said, said


@contextmanager
def workers(url: str, folder: Path, count: int) -> Iterator[Workers]:
    started = Workers(url, folder, count)
    try:
        started.wait_until_ready()
        yield started
    finally:
        started.end()


async def finished(pool: asyncpg.Pool, number: int) -> None:
    """Waits until this many envelopes have ended."""
    async with asyncio.timeout(300):
        while await pool.fetchval("select count(*) from outcome") < number:
            assert await pool.fetchval("select count(*) from inbox where state = 'held'") == 0, "one is held"
            await asyncio.sleep(_PAUSE_SECS)


_SHARED = frozenset({"Organization", "Practitioner", "PractitionerRole", "Location"})
"""Messages of all patients name these, so nothing says in what order."""


async def record_of(pool: asyncpg.Pool) -> dict[str, Any]:
    """Everything on record, as it must be whoever wrote it.

    A golden Patient gets its id from whichever message ran first, so persons are told by their sources. Links
    follow from all statements about a person: that of a Patient whom a merge does not name may change sooner or later.
    """
    links = await pool.fetch("select source, golden, home from patient_link order by source")
    persons, homes = _by(links, "golden"), _by(links, "home")
    keys = await pool.fetch("select system, value, golden, home from person_key order by 1, 2")
    rows = await pool.fetch(
        """
        select type, id, version, envelope, body from resource_history
        union all select type, id, version, envelope, body from resource order by 1, 2, 3
        """
    )
    versions: dict[str, list[Any]] = {}
    bodies: dict[str, Any] = {}
    goldens: dict[str, Any] = {}
    for row in rows:
        reference, body = f"{row['type']}/{row['id']}", fhir_json.loads(row["body"])
        if row["type"] == "Patient" and "meta" in body:
            goldens[row["id"]] = {name: value for name, value in body.items() if name != "id"}
        elif row["type"] not in _SHARED:
            known = versions.setdefault(reference, [])
            said = _said(body)
            if not known or known[-1][1] != said or row["type"] != "Patient":
                known.append((row["envelope"], said))
            bodies[reference] = None if row["type"] == "Task" else body
    joins = await pool.fetch(
        """
        select kind, joined, joined_to, envelope, stated_at, undone_envelope from patient_join
        order by stated_at, envelope, joined
        """
    )
    return {
        "persons": sorted(persons.values()),
        "homes": sorted(homes.values()),
        "keys": [(row["system"], row["value"], persons.get(row["golden"]), homes.get(row["home"])) for row in keys],
        "goldens": {tuple(sources): goldens.get(golden) for golden, sources in persons.items()},
        "versions": versions,
        "bodies": bodies,
        "joins": [tuple(row) for row in joins],
    }


def _by(links: list[asyncpg.Record], column: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in links:
        found.setdefault(row[column], []).append(row["source"])
    return found


def _said(body: dict[str, Any]) -> Any:
    """A resource without its links, and nothing of a request at the centre: it holds when it was opened."""
    if body["resourceType"] == "Task":
        return None
    return {name: value for name, value in body.items() if name not in ("link", "active")}
