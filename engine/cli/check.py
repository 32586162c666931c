"""`hutong check`: can this configuration be used? Nothing is connected to, nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from engine.cli.assembly import mappings_of
from engine.config import Community, DicomChannel, InvalidConfiguration, load

PARTS = ("facilities", "channels", "endpoints", "routes", "centres", "users")

_console = Console(soft_wrap=True, highlight=False)


def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A configuration folder, such as docker/example.")],
) -> None:
    """Validates configuration and mappings and runs the mapping tests, without connecting.

    Every mistake is told as file:line, what was expected and the nearest valid name. Exit status 1 when there is one.
    """
    try:
        community = load(folder)
    except InvalidConfiguration as error:
        _tell(folder, error)
        raise typer.Exit(1) from None
    try:
        mappings = mappings_of(community)
    except InvalidConfiguration as error:
        _tell(Path("mappings"), error)
        raise typer.Exit(1) from None
    _show(community)
    _console.print(f"[green]✓[/] {len(mappings.message_types())} message types have a mapping")


def _tell(folder: Path, error: InvalidConfiguration) -> None:
    """Paths start where the user stands, so that a terminal or an editor can open them."""
    for problem in error.problems:
        _console.print(f"[red]✗[/] {escape(str(folder / str(problem)))}")
    count = len(error.problems)
    _console.print(f"{count} {'problem' if count == 1 else 'problems'}")


def _show(community: Community) -> None:
    table = Table("channel", "type", "facility", "port", "charset", box=None, pad_edge=False, header_style="dim")
    for channel in community.channels.values():
        if isinstance(channel, DicomChannel):
            facilities = sorted({entry.facility for entry in channel.ae_entries})
            table.add_row(channel.name, channel.type, ", ".join(facilities), str(channel.port), "as labelled")
        else:
            table.add_row(
                channel.name, channel.type, channel.facility, str(channel.port), channel.charset or "detected"
            )
    _console.print(table)
    counts = ", ".join(f"{len(getattr(community, part))} {part}" for part in PARTS)
    _console.print(f"[green]✓[/] {escape(community.name)}: {counts}")
