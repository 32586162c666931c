"""`hutong doctor`: what is wrong with this installation, and how is it mended?"""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import json
import os
import re
import resource
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import engine
from engine.cli.assembly import s3_of
from engine.cli.certificates import SOON, expiring, listeners
from engine.clock import now
from engine.config import Community, DicomChannel, MllpChannel, load
from engine.config.objects import S3Objects
from engine.errors import ConfigurationError, HutongError
from engine.store.database import connect, refuse_unsafe
from engine.store.embedded import EmbeddedPostgres

PACKAGES = ("engine", "adapters", "mappings", "pacs_gateway", "conformance", "web")
"""Plain words, so another distribution may own one of them; ours must be the one that Python finds."""
OLDEST_PYTHON = (3, 11)
SCARCE_BYTES = 200 * 1024**2
LITTLE_BYTES = 5 * 1024**3
"""About a thousand radiographs."""
FILES_NEEDED = 2048
"""500 MLLP connections, 50 associations, the database's and the browser's connections, with room to spare."""


class State(StrEnum):
    GOOD = "[green]✓[/]"
    DOUBTFUL = "[yellow]![/]"
    BAD = "[red]✗[/]"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `mend` says what to do, and is empty when there is nothing to do."""

    name: str
    state: State
    found: str
    mend: str = ""


def doctor(
    data: Annotated[
        Path | None, typer.Option(help="The data folder of a hub, to look at its disk and database.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A configuration folder, to look at it and its ports.")] = None,
) -> None:
    """Says what is wrong with this installation and how to mend it. Exit status 1 when something is."""
    checks = [python(), packages(), requirements(), open_files(), database(data)]
    if data is not None:
        checks += [data_folder(data), disk(data)]
    if config is not None:
        checks += configuration(config, running_hub(data))
    show(checks)
    if any(check.state is State.BAD for check in checks):
        raise typer.Exit(1)


def show(checks: Iterable[Check]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for check in checks:
        table.add_row(check.state, check.name, escape(check.found))
        if check.mend:
            table.add_row("", "", f"[dim]→ {escape(check.mend)}[/]")
    Console().print(table)


def python() -> Check:
    running = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        return Check("Python", State.BAD, running, "install Python 3.11 or later, then: make PYTHON=python3.11 test")
    return Check("Python", State.GOOD, f"{running}, {sys.executable}")


def strangers() -> list[str]:
    """Those of our package names that Python finds somewhere else than beside this package."""
    home = Path(engine.__file__).resolve().parents[1]
    return [name for name in PACKAGES if not _stands_in(home / name, name)]


def _stands_in(folder: Path, name: str) -> bool:
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve().parent == folder


def packages() -> Check:
    foreign = strangers()
    if foreign:
        return Check(
            "packages",
            State.BAD,
            f"{', '.join(foreign)} belongs to somebody else",
            "use a virtual environment of hutong's own, and uninstall the distribution that brings this package",
        )
    return Check("packages", State.GOOD, f"{', '.join(PACKAGES)} are ours")


def requirements() -> Check:
    try:
        needed = [text for text in requires("hutong") or [] if "extra ==" not in text]
    except PackageNotFoundError:
        return Check("requirements", State.BAD, "hutong itself is not installed", "run: make test")
    missing = [name for text in needed if not _installed(name := re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0])]
    if missing:
        return Check("requirements", State.BAD, f"missing: {', '.join(missing)}", "remove .venv, then run: make test")
    return Check("requirements", State.GOOD, f"all {len(needed)} installed")


def _installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def open_files() -> Check:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit != resource.RLIM_INFINITY and limit < FILES_NEEDED:
        return Check("open files", State.DOUBTFUL, f"at most {limit}", f"raise the limit: ulimit -n {FILES_NEEDED}")
    return Check("open files", State.GOOD, "no limit" if limit == resource.RLIM_INFINITY else f"at most {limit}")


def database(data: Path | None) -> Check:
    """Looks at the external server where one is named, else whether the embedded one can run on this machine."""
    url = os.environ.get("HUTONG_DATABASE_URL")
    try:
        if url:
            asyncio.run(_refuse_unsafe(url))
            return Check("database", State.GOOD, "the server in HUTONG_DATABASE_URL answers and is safe")
        if data is not None and running_hub(data) is not None:
            return Check("database", State.GOOD, "embedded, and in use by the hub that runs on this folder")
        with tempfile.TemporaryDirectory(prefix="hutong-doctor-") as folder, EmbeddedPostgres(Path(folder)) as own:
            asyncio.run(_refuse_unsafe(own))
        return Check("database", State.GOOD, "the embedded PostgreSQL starts here and is safe")
    except HutongError as error:
        mend = "mend the server or its address, or unset HUTONG_DATABASE_URL to use the embedded one" if url else ""
        return Check("database", State.BAD, error.message, mend)


async def _refuse_unsafe(url: str) -> None:
    connection = await connect(url)
    try:
        await refuse_unsafe(connection)
    finally:
        await connection.close()


def data_folder(data: Path) -> Check:
    try:
        place = _existing(data)
        if not place.is_dir():
            return Check("data folder", State.BAD, f"{place} is a file", "name a folder with --data")
        with tempfile.NamedTemporaryFile(dir=place) as file:
            os.fsync(file.fileno())
    except OSError as error:
        return Check(
            "data folder",
            State.BAD,
            f"{data}: {error.strerror}",
            "give it to the account that hutong runs as, or mount it",
        )
    found = f"{data} takes files" if place == data.absolute() else f"{data} can be made"
    return Check("data folder", State.GOOD, found)


def disk(data: Path) -> Check:
    try:
        free = shutil.disk_usage(_existing(data)).free
    except OSError as error:
        return Check("disk", State.BAD, f"{data}: {error.strerror}", "look at it as the account that hutong runs as")
    found = f"{free / 1024**3:.1f} GB free"
    if free < SCARCE_BYTES:
        return Check("disk", State.BAD, found, "make room: with none left, messages and images are refused")
    if free < LITTLE_BYTES:
        return Check("disk", State.DOUBTFUL, found, "make room before images arrive")
    return Check("disk", State.GOOD, found)


def _existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def running_hub(data: Path | None) -> int | None:
    """The process id of the hub that runs on a data folder."""
    if data is None:
        return None
    try:
        pid = int(json.loads((data / "run.json").read_text(encoding="utf-8"))["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if _lives(pid) else None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True  # somebody else's
    except (OSError, OverflowError):
        return False
    return True


def configuration(folder: Path, hub: int | None) -> list[Check]:
    try:
        community = load(folder)
    except ConfigurationError as error:
        return [Check("configuration", State.BAD, error.message, "mend these lines, then run: hutong check")]
    checks = [Check("configuration", State.GOOD, f"{community.name}, {len(community.channels)} channels")]
    checks += object_store(community)
    checks += certificates(community)
    if hub is None:
        checks.append(ports(community))
    else:
        checks.append(Check("ports", State.GOOD, f"in use by the hub that runs as process {hub}"))
    return checks


def object_store(community: Community) -> list[Check]:
    """Writes a few bytes into the bucket that objects go into, and reads them again; nothing where they stay here."""
    place = community.objects
    if not isinstance(place, S3Objects):
        return []
    where = f"{place.address}, bucket {place.bucket}"
    try:
        with closing(s3_of(place, community.folder)) as store:
            store.probe()
    except HutongError as error:
        mend = "mend objects: in community.yaml, or the service; until then images wait in the spool, none is lost"
        return [Check("object store", State.BAD, f"{where}: {error.message}", mend)]
    return [Check("object store", State.GOOD, f"{where} takes objects and gives them back")]


def certificates(community: Community) -> list[Check]:
    """Nothing where nobody listens with one."""
    if not (count := listeners(community)):
        return []
    if found := expiring(community, now()):
        return [Check("certificates", State.DOUBTFUL, "; ".join(found), "have them renewed, then start the hub again")]
    return [Check("certificates", State.GOOD, f"{count} valid for {SOON.days} days and more")]


def ports(community: Community) -> Check:
    listeners = [("http", community.http.host, community.http.port)]
    channels: list[MllpChannel | DicomChannel] = [*community.mllp_channels, *community.dicom_channels]
    listeners += [(channel.name, channel.host, channel.port) for channel in channels]
    taken = [f"{name} {host}:{port}, {text}" for name, host, port in listeners if (text := _refusal(host, port))]
    if taken:
        return Check(
            "ports", State.BAD, "; ".join(taken), "stop the program that has it, or choose another port: or host:"
        )
    return Check("ports", State.GOOD, f"all {len(listeners)} can be listened on")


def _refusal(host: str, port: int) -> str:
    """Why nobody can listen there now; empty when it is possible."""
    if not port:
        return ""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        return "taken by another program" if error.errno == errno.EADDRINUSE else (error.strerror or str(error))
    return ""
