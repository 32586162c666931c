"""`hutong map`: `draft` begins a mapping from sample messages, `write` shows what message resources become."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from engine import config
from engine.cli.assembly import mappings_of, own_mappings, shipped_mappings
from engine.clock import now
from engine.codecs import fhir_json
from engine.config import Community
from engine.config.problems import nearest
from engine.errors import ConfigurationError
from engine.mapping.draft import Draft, Ground, Samples, Survey, draft, samples_of, told, told_of_rows
from engine.mapping.draft.describing import UNKNOWN
from engine.mapping.draft.items import PROCEDURES
from engine.mapping.lens import WriteContext, Written
from engine.mapping.lens.apart import resources_of_bundle
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


@map.command("draft")
def begin(
    files: Annotated[
        list[Path], typer.Argument(exists=True, metavar="FILE...", help="Sample messages: files, or folders of files.")
    ],
    into: Annotated[
        Path,
        typer.Option("--config", metavar="DIR", help="Configuration folder; the draft is written into its `mappings`."),
    ],
    facility: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="The facility that sends them; needed for messages a mapping takes already."),
    ] = None,
    charset: Annotated[str | None, typer.Option(metavar="NAME", help="Charset, where MSH-18 says none.")] = None,
    keep_values: Annotated[
        bool,
        typer.Option("--keep-values", help="Copies a sample and its values into the draft: patients' data, perhaps."),
    ] = False,
    every_field: Annotated[
        bool, typer.Option("--all", help="Shows every field of the samples, not only those that no row reads.")
    ] = False,
) -> None:
    """Looks at sample messages and writes the beginning of a mapping, for a person to finish.

    For messages that a mapping takes already it writes what the facility sends beyond it. The files hold codes, dates'
    forms and what values look like, but no values of patients, and a made-up message as a test. Nothing is overwritten.
    """
    community = config.load(into)
    if facility is not None and facility not in community.facilities:
        near = nearest(facility, community.facilities)
        raise ConfigurationError(f"--facility {facility}: expected one of the configuration's facilities{near}")
    found = samples_of(files, charset)
    console = Console(highlight=False)
    _tell_samples(console, found)
    ground = Ground(
        shipped_mappings(), own_mappings(community), list(community.facilities), facility or "", keep_values
    )
    mappings = mappings_of(community)
    taken = [kind for kind in found.profiles if mappings.find(kind, "") is not None]
    if taken and facility is None:
        kinds = ", ".join(sorted(taken))
        raise ConfigurationError(f"a mapping takes {kinds} already: --facility says whose messages these are")
    drafted = draft(found, ground)
    for survey in drafted.surveys:
        _show_survey(console, survey, every_field=every_field)
    for table, codes in drafted.open_codes.items():
        console.print(f"[bold]table {table}[/] lists not: {escape(', '.join(codes))}")
        if table == PROCEDURES:
            console.print("  until it does, nobody is offered the results of these examinations (互认)")
    for name, ways in drafted.ways.items():
        for way in ways:
            console.print(
                f"settled by a row of {name}: {escape(way.why.partition(': ')[0])}: {escape(way.row)}", soft_wrap=True
            )
    _write_files(console, into / "mappings", drafted)
    console.print(f"Next: {_next_steps(drafted, into)}", soft_wrap=True)
    if keep_values:
        console.print("[yellow]The drafted test holds a sample as it came: take out what belongs to a patient.[/]")


def _tell_samples(console: Console, found: Samples) -> None:
    for code, count in sorted(found.unread.items()):
        console.print(f"[yellow]{count}[/] could not be read as a message: {code}")
    if not found.profiles:
        raise ConfigurationError("no HL7 v2 message in these files: each begins with MSH")
    for kind, count in sorted(found.counts.items()):
        looked_at = found.profiles[kind].messages
        console.print(
            f"{count} {escape(kind)}" + (f", of which {looked_at} were looked at" if looked_at < count else "")
        )


def _show_survey(console: Console, survey: Survey, *, every_field: bool) -> None:
    kinds = escape(", ".join(survey.message_types))
    known = f"the mapping {survey.name} takes it" if survey.definition is not None else "no mapping takes it yet"
    unread = [column for column in survey.columns if column.known == UNKNOWN]
    console.print(f"[bold]{kinds}[/]: {known}; {len(survey.columns)} fields filled, {len(unread)} read by no row")
    for shift in survey.shifts:
        console.print(f"  [yellow]shifted?[/] {escape(told(shift))}", soft_wrap=True)
    if survey.moved:
        console.print(f"  {escape(told_of_rows(survey.moved))}", soft_wrap=True)
    if not (shown := survey.columns if every_field else unread):
        return
    table = Table("field", "filled", "length", "holds", box=None, pad_edge=False, header_style="dim")
    if every_field:
        table.add_column("rows", header_style="dim")
    for column in shown:
        cells = [f"{column.field} {column.title}".rstrip(), column.filled, column.length, column.holds]
        cells += [column.known] if every_field else []
        table.add_row(*(escape(cell) for cell in cells), style="bold" if every_field and column in unread else "")
    console.print(Padding(table, (0, 0, 0, 2)))


def _next_steps(drafted: Draft, into: Path) -> str:
    steps = ["compare the rows of shifted fields with the specification"] if _any_shift(drafted) else []
    steps += ["complete the rows of the tables with ? in the column code"] if drafted.open_codes else []
    steps += ["take the rows that settle findings, or leave them"] if drafted.ways else []
    steps += [
        "say in the drafted files where the other fields go",
        f"`hutong check {into}`",
        f"`hutong explain SAMPLES --config {into}`",
    ]
    return "; ".join(steps)


def _any_shift(drafted: Draft) -> bool:
    return any(survey.shifts for survey in drafted.surveys)


def _write_files(console: Console, folder: Path, drafted: Draft) -> None:
    """Writes the files that are not there. A test that is there already is told how to grow, and left."""
    for each in drafted.files:
        path = folder / each.file
        if path.exists():
            console.print(f"[yellow]kept[/] {escape(str(path))}: it is there already; the draft of it is not written")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(each.content)
        console.print(f"[green]✓[/] {escape(str(path))}")


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
    answers: Annotated[
        str, typer.Option(metavar="ID", help="Control id of the message that this one answers: MSA-2 of RRI.")
    ] = "",
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
    context = WriteContext(message_type, _CONTROL_ID, now(), _Endpoint(version, charset), name, answers)
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
    except RecursionError:
        raise ConfigurationError(f"{file}: nested more deeply than FHIR ever is") from None
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
        return resources_of_bundle(content)
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
