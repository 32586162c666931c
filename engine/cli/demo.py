"""`hutong demo`: does it work? Plays one day of the example county on a hub of its own, and checks every step."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer
from rich.console import Console

from conformance import plan
from conformance.cast import BAISHI, COUNTY_DOCTOR, ECG, IMAGING, QINGXI
from conformance.community import stage_community
from conformance.errors import ConformanceError
from conformance.hub import HubProcess
from conformance.plan import Examination
from conformance.steps import StoryFailedError
from conformance.story import Stage, issue_tokens, open_findings, open_inboxes, play, save_failure, send_out
from conformance.telling import Narrator
from engine.clock import CHINA, now
from engine.errors import ConfigurationError

EXAMPLE = Path(__file__).resolve().parents[2] / "docker" / "example"
_SITES = (BAISHI, QINGXI)
_PEOPLE = {
    IMAGING.reader: "影像医生 writes imaging reports",
    IMAGING.reviewer: "影像审核 reviews and signs them",
    ECG.reader: "心电医生 writes ECG reports",
    ECG.reviewer: "心电审核 reviews and signs them",
    COUNTY_DOCTOR: "临床医生 asks for results",
}
_USUAL_PORT = 8080
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the command line asks for."""

    headless: bool
    config: Path
    data: Path | None
    report: Path | None
    radiograph: Examination
    others: tuple[Examination, ...]


def demo(
    headless: Annotated[
        bool, typer.Option("--headless", help="End when the story is told; exit 0 only if all of it happened.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option(help="Keep the hub's data here; otherwise it is removed at the end.")
    ] = None,
    config: Annotated[Path, typer.Option(help="The community to copy; its ports are moved to free ones.")] = EXAMPLE,
    patient_name: Annotated[str, typer.Option(help="Who is examined at 白石乡.")] = "周珅",
    patient_id: Annotated[str, typer.Option(help="Their number there.")] = "BS20260001",
    accession: Annotated[str, typer.Option(help="Accession number in the order; empty: the hub issues one.")] = "",
    image: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A DICOM image to store instead.")
    ] = None,
    conclusion: Annotated[str, typer.Option(help="What the reader concludes.")] = plan.CHEST_CONCLUSION,
    report: Annotated[Path | None, typer.Option(help="Write what happened to this file, as JSON.")] = None,
) -> None:
    """Play one examination through the example community, from the township to the centre and back.

    A chest radiograph from 白石乡 (HL7 v2 in GB18030) and, meanwhile, an ECG from 青溪镇 (UTF-8): ordered, examined,
    stored, read, reviewed, signed and returned, then recognised at the county hospital. All of it over real sockets.
    """
    radiograph = plan.chest_radiograph(
        patient_name=patient_name, patient_id=patient_id, accession=accession, image=image, conclusion=conclusion
    )
    _refuse_impossible(radiograph, report)
    asked = _Asked(headless, config, data, report, radiograph, (plan.resting_ecg(),))
    console = Console(highlight=False)
    with _scratch() as scratch:
        status = asyncio.run(_until_told_to_stop(asked, scratch, Narrator(console)))
    raise typer.Exit(status)


def _refuse_impossible(radiograph: Examination, report: Path | None) -> None:
    """Raises ConfigurationError for what no message or image can carry, and where no report can be written."""
    if report is not None and not report.resolve().parent.is_dir():
        raise ConfigurationError(f"--report: there is no folder {report.resolve().parent}")
    patient = radiograph.patient
    for option, value, limit in (
        ("--patient-name", patient.name, 64),
        ("--patient-id", patient.local_id, 64),
        ("--conclusion", radiograph.conclusion, 10_000),
    ):
        if not value.strip() or len(value) > limit:
            raise ConfigurationError(f"{option}: expected 1 to {limit} characters")
    if len(radiograph.accession) > 16 or "\\" in radiograph.accession:
        raise ConfigurationError("--accession: expected at most 16 characters without a backslash (DICOM VR SH)")


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder that is gone afterwards; others may pass through it, as the database's own account has to."""
    folder = Path(tempfile.mkdtemp(prefix="hutong-demo-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _until_told_to_stop(asked: _Asked, scratch: Path, narrator: Narrator) -> int:
    """Plays, and leaves no process behind when a signal ends it early. Returns the exit status."""
    playing = asyncio.create_task(_demonstrate(asked, scratch, narrator))
    stopped_by: list[signal.Signals] = []

    def stop(by: signal.Signals) -> None:
        stopped_by.append(by)
        playing.cancel()

    loop = asyncio.get_running_loop()
    for each in _SIGNALS:
        loop.add_signal_handler(each, stop, each)
    try:
        return await playing
    except asyncio.CancelledError:
        narrator.stopped()
        return 128 + stopped_by[0] if stopped_by else 1


async def _demonstrate(asked: _Asked, scratch: Path, narrator: Narrator) -> int:
    log = scratch / "hub.log"
    try:
        async with AsyncExitStack() as stack:
            inboxes = await open_inboxes(_SITES)
            for inbox in inboxes.values():
                stack.push_async_callback(inbox.go_down)
            stage_community(
                asked.config,
                scratch / "community",
                http_port=0 if asked.headless else _usual_port(),
                endpoints={name: f"mllp://127.0.0.1:{inbox.port}" for name, inbox in inboxes.items()},
            )
            data = (asked.data or scratch / "data").resolve()
            started = time.perf_counter()
            sockets = await stack.enter_async_context(HubProcess(scratch / "community", data, log))
            narrator.opening(sockets.http, time.perf_counter() - started)
            administrator = (data / "admin.token").read_text(encoding="utf-8").strip()
            tokens = await issue_tokens(sockets.http, administrator, tuple(_PEOPLE))
            stage = Stage(sockets, tokens, inboxes, clock=lambda: now().astimezone(CHINA), ids=uuid4)
            try:
                told = await play(stage, asked.radiograph, asked.others, narrator.step)
            except StoryFailedError as failure:
                findings = await open_findings(sockets.http, administrator)
                narrator.failed(failure, log, findings)
                if asked.report is not None:
                    save_failure(asked.report, failure, narrator.steps, findings)
                return 1
            narrator.closing(told, {each.site.facility: each for each in (asked.radiograph, *asked.others)})
            if asked.report is not None:
                told.save(asked.report)
            if not asked.headless:
                await send_out(stage, plan.lower_leg_radiograph())
                people = {user: (role, tokens[user]) for user, role in _PEOPLE.items()}
                narrator.invitation(sockets.http, people, kept=asked.data)
                await _wait_for_ctrl_c()
    except ConformanceError as failure:
        narrator.failed(failure, log, [])
        return 1
    return 0


async def _wait_for_ctrl_c() -> None:
    """Returns when the one who watches has seen enough: from here on being stopped is the proper end."""
    loop, enough = asyncio.get_running_loop(), asyncio.Event()
    for each in _SIGNALS:
        loop.add_signal_handler(each, enough.set)
    await enough.wait()


def _usual_port() -> int:
    """The port that the documentation names, when it is free; otherwise any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", _USUAL_PORT))
        except OSError:
            return 0
    return _USUAL_PORT
