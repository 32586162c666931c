"""Run a community hub: its processes are started, watched and started again; nothing is left when it ends."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from engine import config
from engine.cli.dicom_sockets import DicomSockets
from engine.cli.supervisor import Supervisor
from engine.config import Community
from engine.errors import ConfigurationError

PARTS = {"engine": ("engine", "pipeline"), "web": ("web",), "gateway": ("gateway",)}


def serve(
    config_folder: Annotated[Path, typer.Option("--config", help="Folder of the community's configuration.")],
    data: Annotated[Path, typer.Option("--data", help="Folder for the database, the objects and run.json.")],
    only: Annotated[
        str | None,
        typer.Option("--only", help="Run one part: engine, web or gateway. Several machines may share one PostgreSQL."),
    ] = None,
) -> None:
    """Runs the hub until it is stopped. PostgreSQL is embedded unless HUTONG_DATABASE_URL names one."""
    if only is not None and only not in PARTS:
        raise typer.BadParameter(f"expected one of {', '.join(PARTS)}", param_hint="--only")
    community = config.load(config_folder)
    roles = roles_of(community, only)
    dicom = DicomSockets(community.dicom_channels if "gateway" in roles else (), community.gateway.processes)
    make_folder(data)
    database_url = os.environ.get("HUTONG_DATABASE_URL") or None  # set to nothing: not set
    supervisor = Supervisor(config_folder.resolve(), data.resolve(), roles, database_url, dicom)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, supervisor.stop)
    console = Console(stderr=True)
    with supervisor:
        run = supervisor.started()
        console.print(f"hutong 互通 {community.name}: {run.get('http', 'ready')}")
        if sys.stderr.isatty():
            console.print(f"the administrator's token: {data / 'admin.token'}; Ctrl-C ends the hub", markup=False)
        supervisor.watch()


def roles_of(community: Community, only: str | None) -> list[str]:
    """One for each process of a hub, or of one part of it."""
    gateways = community.gateway.processes if community.dicom_channels else 0
    roles = PARTS[only] if only else [role for part in PARTS.values() for role in part]
    return [role for role in roles for _ in range(gateways if role == "gateway" else 1)]


def make_folder(data: Path) -> None:
    """Raises ConfigurationError when there is no such folder and none can be made."""
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"the data folder {data} cannot be made: {error.strerror}. Choose another --data, or make it and give it "
            "to the account that hutong runs as"
        ) from error
