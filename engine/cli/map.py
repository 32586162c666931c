"""`hutong map`: `draft` begins a mapping from sample messages, `write` shows what message resources become."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape

from engine import config
from engine.cli.assembly import mappings_of
from engine.clock import now
from engine.codecs import fhir_json
from engine.config import Community
from engine.config.problems import nearest
from engine.errors import ConfigurationError
from engine.mapping.lens import WriteContext, Written
from engine.mapping.mapped import Resource

map = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
    help="Begin a mapping from sample messages, or show the message that resources become.",
)
_CONTROL_ID = "HUTONG1"


@dataclass(frozen=True, slots=True)
class _Endpoint:
    version: str
    charset: str
    sending_application: str = "HUTONG"
    sending_facility: str = "HUTONG"
    receiving_application: str = ""
    receiving_facility: str = ""


@map.command()
def write(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, metavar="FILE", help="FHIR R4 as JSON.")],
    message_type: Annotated[str, typer.Option("--as", metavar="TYPE", help="The message to be written: ADT^A08.")],
    config_folder: Annotated[
        Path | None, typer.Option("--config", metavar="DIR", help="Configuration folder, for a facility's own rows.")
    ] = None,
    facility: Annotated[
        str, typer.Option(metavar="CODE", help="The facility whose numbers and codes the resources use.")
    ] = "here",
    version: Annotated[str, typer.Option(metavar="VERSION", help="HL7 version of the message.")] = "2.5.1",
    charset: Annotated[str, typer.Option(metavar="NAME", help="Charset of the message.")] = "utf-8",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Writes the message there, byte for byte.")
    ] = None,
) -> None:
    """Writes a Bundle, a list of resources or a line of `hutong explain --json` as an HL7 v2 message.

    The message goes to the standard output, a segment on a line, and what of the resources it does not say to the
    standard error.
    """
    community = config.load(config_folder) if config_folder else _bare(facility)
    if facility not in community.facilities and config_folder is not None:
        known = ", ".join(community.facilities) or "none"
        raise ConfigurationError(f"--facility {facility}: expected one of the configuration's facilities ({known})")
    mappings = mappings_of(community)
    mapping = mappings.find(message_type, facility)
    if mapping is None:
        near = nearest(message_type, mappings.message_types())
        raise ConfigurationError(f"--as {message_type}: no mapping takes such messages{near}")
    name = community.facilities[facility].name if facility in community.facilities else facility
    context = WriteContext(message_type, _CONTROL_ID, now(), _Endpoint(version, charset), name)
    written = mapping.write(_resources(file), context)
    if out is not None:
        out.write_bytes(written.payload)
    else:
        typer.echo(written.payload.decode(charset).replace("\r", "\n"), nl=False)
    _tell_loss(written)


def _resources(file: Path) -> list[Resource]:
    """The resources of a file, whichever way it holds them."""
    try:
        content = fhir_json.loads(file.read_bytes())
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"{file}: expected JSON; {error}") from None
    found = _listed(content)
    if not found or not all(isinstance(each, dict) and isinstance(each.get("resourceType"), str) for each in found):
        raise ConfigurationError(f"{file}: expected a Bundle, a resource or a list of resources")
    return found


def _listed(content: Any) -> list[Any]:
    if isinstance(content, list):
        return content
    if not isinstance(content, dict):
        return []
    if isinstance(content.get("resources"), list):
        return list(content["resources"])
    if content.get("resourceType") == "Bundle":
        entries = content.get("entry", [])
        return [each.get("resource") for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []
    return [content]


def _tell_loss(written: Written) -> None:
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if not written.loss:
        console.print("[green]✓[/] the message says all that the resources say")
        return
    for loss in written.loss:
        place = f"{loss.resource} {loss.path}".rstrip()
        console.print(f"[yellow]lost[/] {escape(place)}: {escape(loss.why)}")
    console.print(f"{len(written.loss)} things that the resources say are not in the message")


def _bare(facility: str) -> Community:
    """One facility and nothing else: the mappings as they are shipped."""
    from engine.config import Facility, Http, Level, Recognition

    return Community(
        name="map",
        http=Http(),
        facilities={facility: Facility(code=facility, name=facility, level=Level.COUNTY)},
        channels={},
        endpoints={},
        routes=(),
        centres={},
        recognition=Recognition(),
        users={},
        folder=Path(),
    )
