"""A hub of its own for the acceptance tests, started as anybody starts one."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from conformance.cast import BAISHI, QINGXI
from conformance.community import stage_community
from conformance.hub import HubProcess, Sockets
from engine.cli.demo import EXAMPLE
from tests.ports import free_port


@dataclass(frozen=True, slots=True)
class RunningHub:
    """A hub with the example community on free ports; `endpoints` says where it delivers to."""

    sockets: Sockets
    data: Path
    endpoints: Mapping[str, int]

    @property
    def administrator(self) -> str:
        return (self.data / "admin.token").read_text(encoding="utf-8").strip()


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    with tempfile.TemporaryDirectory(prefix="hutong-acceptance-") as name, asyncio.Runner() as runner:
        folder = Path(name)
        folder.chmod(0o711)  # the database's own account has to pass through
        endpoints = {site.endpoint: free_port() for site in (BAISHI, QINGXI)}
        stage_community(
            EXAMPLE,
            folder / "community",
            http_port=0,
            endpoints={name: f"mllp://127.0.0.1:{port}" for name, port in endpoints.items()},
        )
        process = HubProcess(folder / "community", folder / "data", folder / "hub.log")
        sockets = runner.run(process.__aenter__())
        try:
            yield RunningHub(sockets, folder / "data", endpoints)
        finally:
            runner.run(process.__aexit__(None, None, None))
