"""A hub of its own for the acceptance tests, started as anybody starts one."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from conformance.community import stage_community
from conformance.hub import HubProcess, Sockets
from engine.cli.demo import EXAMPLE


@dataclass(frozen=True, slots=True)
class RunningHub:
    """A hub with the example community on free ports, and its administrator's token."""

    sockets: Sockets
    data: Path

    @property
    def administrator(self) -> str:
        return (self.data / "admin.token").read_text(encoding="utf-8").strip()


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    with tempfile.TemporaryDirectory(prefix="hutong-acceptance-") as name, asyncio.Runner() as runner:
        folder = Path(name)
        folder.chmod(0o711)  # the database's own account has to pass through
        stage_community(EXAMPLE, folder / "community", http_port=0, endpoints={})
        process = HubProcess(folder / "community", folder / "data", folder / "hub.log")
        sockets = runner.run(process.__aenter__())
        try:
            yield RunningHub(sockets, folder / "data")
        finally:
            runner.run(process.__aexit__(None, None, None))
