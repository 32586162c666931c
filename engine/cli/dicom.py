"""`hutong dicom`: does an imaging system of the configuration answer, what does it have, and may it be fetched?

It speaks to the system directly, as the hub would, and needs no running hub.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from engine import config
from engine.cli.acting import AsJson, console
from engine.config import DicomEndpoint
from engine.config.problems import nearest
from engine.config.tls import endpoint_context
from engine.errors import ConfigurationError, HutongError

if TYPE_CHECKING:
    from pacs_gateway.scu.peer import Peer

Named = Annotated[str, typer.Argument(metavar="ENDPOINT", help="Name of an endpoint of `type: dicom`.")]
Folder = Annotated[Path, typer.Option("--config", metavar="DIR", help="Folder of the configuration.")]

_WORDS = {
    "answered": ("{name} answered in {ms:.0f} ms", "{name} 已应答，用时 {ms:.0f} 毫秒"),
    "refused": ("{name} answered {status:04X}", "{name} 应答 {status:04X}"),
    "nothing": ("{name} has nothing that matches", "{name} 中没有匹配的内容"),
    "more": ("there are more: --limit shows them", "还有更多：用 --limit 显示"),
    "fetched": ("{number} objects of {name} are in {folder}", "已从 {name} 取得 {number} 个对象，存于 {folder}"),
}
"""What is printed, in English and in Chinese: as the language of the terminal asks."""

dicom = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
    help="Ask an imaging system of the configuration: whether it answers, what it has; fetch a study from it.",
)


@dicom.command()
def echo(endpoint: Named, folder: Folder) -> None:
    """Ask whether it answers (C-ECHO)."""
    from pacs_gateway.scu.echo import VERIFICATION
    from pacs_gateway.scu.echo import echo as asked
    from pacs_gateway.scu.peer import Proposal
    from pacs_gateway.scu.requestor import opened

    asked_one, peer = _endpoint(folder, endpoint)

    async def ask() -> int:
        async with opened(peer, asked_one.calling_ae_title, [Proposal(VERIFICATION)]) as requestor:
            return await asked(requestor)

    began = time.monotonic()
    answered = asyncio.run(ask())
    if answered:
        raise HutongError(_said("refused", name=endpoint, status=answered))
    console.print(escape(_said("answered", name=endpoint, ms=(time.monotonic() - began) * 1000)))


@dicom.command()
def find(
    endpoint: Named,
    folder: Folder,
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE...", help="Such as PatientID=P1 StudyDate=20260101-.")
    ] = None,
    level: Annotated[str, typer.Option(help="patient, study, series, image or worklist.")] = "study",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many are listed.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Ask what it has: studies, or scheduled steps of a worklist (C-FIND). DICOM keywords are keys and columns."""
    from pacs_gateway.scu.asking import ask_for, question_of
    from pacs_gateway.scu.requestor import opened

    asked_one, peer = _endpoint(folder, endpoint)
    question = question_of(level, keys or [])

    async def ask() -> list[dict[str, str]]:
        async with opened(peer, asked_one.calling_ae_title, question.proposals) as requestor:
            return await ask_for(requestor, question, limit + 1)

    found = asyncio.run(ask())
    if as_json:
        typer.echo(json.dumps(found[:limit], ensure_ascii=False, indent=2))
        return
    if not found:
        console.print(escape(_said("nothing", name=endpoint)))
        return
    console.print(listed(question.columns, found[:limit]))
    if len(found) > limit:
        console.print(escape(_said("more")))


def listed(columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> Table:
    """What was found. Folded where the terminal is narrow, not cut off: a Study Instance UID is what `get` asks for."""
    table = Table(*(Column(name, overflow="fold") for name in columns), box=None, header_style="dim")
    for row in rows:
        table.add_row(*(escape(row.get(column, "")) for column in columns))
    return table


@dicom.command()
def get(
    endpoint: Named,
    study_uid: Annotated[str, typer.Argument(metavar="STUDY", help="Its Study Instance UID.")],
    folder: Folder,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Where its objects are written, as files.")],
) -> None:
    """Fetch a study into a folder (C-GET). The hub itself learns nothing of it."""
    from pydicom.dataset import Dataset

    from pacs_gateway.query.models import STUDY_ROOT
    from pacs_gateway.scu.filing import FilingTaker
    from pacs_gateway.scu.requestor import opened
    from pacs_gateway.scu.retrieve import get as fetched
    from pacs_gateway.scu.retrieve import get_proposals

    asked_one, peer = _endpoint(folder, endpoint)
    to.mkdir(parents=True, exist_ok=True)
    taker = FilingTaker(to, asked_one.ae_title)
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = study_uid

    async def ask() -> None:
        async with opened(peer, asked_one.calling_ae_title, get_proposals(STUDY_ROOT.get)) as requestor:
            await fetched(requestor, STUDY_ROOT.get, identifier, taker)

    asyncio.run(ask())
    if not taker.filed:
        raise HutongError(_said("nothing", name=endpoint))
    console.print(escape(_said("fetched", number=taker.filed, name=endpoint, folder=to)))


def _endpoint(folder: Path, name: str) -> tuple[DicomEndpoint, Peer]:
    """Raises ConfigurationError for a name that is none of an imaging system."""
    from pacs_gateway.scu.peer import Peer

    community = config.load(folder)
    known = community.dicom_endpoints
    if name not in known:
        raise ConfigurationError(f"expected an endpoint of type dicom, found '{name}'{nearest(name, known)}")
    endpoint = known[name]
    return endpoint, Peer.at(endpoint, endpoint_context(endpoint.tls, folder) if endpoint.tls else None)


def _said(what: str, **values: object) -> str:
    spoken = next((os.environ[key] for key in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(key)), "")
    english, chinese = _WORDS[what]
    return (chinese if spoken.startswith("zh") else english).format(**values)
