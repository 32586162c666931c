"""`hutong check`: can this configuration be used? Nothing is connected to, nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import mappings
from engine.cli import check_coverage
from engine.cli.assembly import mappings_of, own_mappings
from engine.config import Community, DicomChannel, FolderChannel, InvalidConfiguration, load
from engine.config.gaps import gaps
from engine.mapping import MappingSet
from engine.mapping.coverage import coverage
from engine.mapping.testing import TestResult, run_tests
from engine.terminology import unfinished

PARTS = ("facilities", "channels", "endpoints", "routes", "centres", "users")

_console = Console(soft_wrap=True, highlight=False)


def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A configuration folder, such as docker/example.")],
    with_coverage: Annotated[
        bool,
        typer.Option("--coverage", help="Show which rows of HL7's v2-to-FHIR map are fulfilled, and run no tests."),
    ] = False,
    every_mapping: Annotated[
        bool, typer.Option("--all", help="Show every mapping with its messages, not only the configuration's own.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The coverage as JSON.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="The coverage as docs/hl7v2-coverage.md.")] = False,
) -> None:
    """Validates configuration and mappings and runs the mapping tests, without connecting.

    Every mistake is told as file:line, what was expected and the nearest valid name. Exit status 1 when there is one.
    """
    if (as_json or as_markdown) and not with_coverage:
        raise typer.BadParameter("--json and --markdown are ways to show the coverage: add --coverage")
    try:
        community = load(folder)
    except InvalidConfiguration as error:
        _tell(folder, error)
        raise typer.Exit(1) from None
    files = Path(mappings.__file__).parent
    try:
        mapping_set = mappings_of(community)
        if with_coverage:
            _show_coverage(mapping_set, files, as_json=as_json, as_markdown=as_markdown)
            return
        results = run_tests(files, own_mappings(community))
    except InvalidConfiguration as error:
        _tell(files, error, own=folder)
        raise typer.Exit(1) from None
    _show(community)
    if every_mapping:
        _show_mappings(mapping_set, results)
    _show_own(mapping_set, results)
    _show_unfinished(own_mappings(community))
    failed = [result for result in results if not result.passed]
    for result in failed:
        for failure in result.failures:
            _console.print(
                f"[red]✗[/] {escape(f'{_place(files, folder, result.file)}:{result.line}: {result.name}: {failure}')}"
            )
    if failed:
        _console.print(f"{len(failed)} of {len(results)} mapping tests failed")
        raise typer.Exit(1)
    _console.print(f"[green]✓[/] {len(results)} mapping tests passed")
    if own_mappings(community) is not None:
        _console.print("[dim]a hub that runs takes changed mappings when it is started again: Ctrl-C, hutong serve[/]")


def _show_coverage(mapping_set: MappingSet, files: Path, *, as_json: bool, as_markdown: bool) -> None:
    segments = coverage(mapping_set, files)
    if as_json:
        typer.echo(check_coverage.as_json(segments))
    elif as_markdown:
        typer.echo(check_coverage.as_markdown(segments), nl=False)
    else:
        check_coverage.show(segments, _console)


def _place(shipped: Path, own: Path, file: str) -> str:
    """Where a file of the mappings lies: those of the configuration's own folder say so in their first step."""
    return f"{_near(own if _is_own(file) else shipped)}/{file}"


def _tell(folder: Path, error: InvalidConfiguration, own: Path | None = None) -> None:
    for problem in error.problems:
        at = own if own is not None and _is_own(problem.file) else folder
        place = "" if problem.file == folder.name and not folder.is_dir() else f"{_near(at)}/"
        _console.print(f"[red]✗[/] {escape(f'{place}{problem}')}")
    count = len(error.problems)
    _console.print(f"{count} {'problem' if count == 1 else 'problems'}")


def _near(folder: Path) -> Path:
    """The folder as seen from where the user stands, so that a terminal or an editor can open what is told."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def _show(community: Community) -> None:
    table = Table(
        "channel", "type", "facility", "port or folder", "charset", box=None, pad_edge=False, header_style="dim"
    )
    for channel in community.channels.values():
        if isinstance(channel, DicomChannel):
            facilities = sorted({entry.facility for entry in channel.ae_entries})
            table.add_row(channel.name, channel.type, ", ".join(facilities), str(channel.port), "as labelled")
        else:
            door = channel.folder if isinstance(channel, FolderChannel) else str(channel.port)
            table.add_row(channel.name, channel.type, channel.facility, door, channel.charset or "detected")
    _console.print(table)
    counts = ", ".join(f"{len(getattr(community, part))} {part}" for part in PARTS)
    _console.print(f"[green]✓[/] {escape(community.name)}: {counts}")
    for gap in gaps(community):
        _console.print(f"[yellow]![/] {escape(gap)}")


def _show_unfinished(own: Path | None) -> None:
    for table, codes in unfinished(own) if own is not None else ():
        text = f"{_near(table)}: say in the column code what these are, in place of ?: {', '.join(codes)}"
        _console.print(f"[yellow]![/] {escape(text)}")


def _show_mappings(mapping_set: MappingSet, results: Sequence[TestResult]) -> None:
    table = Table("mapping", "version", "messages", "tests", box=None, pad_edge=False, header_style="dim")
    for definition in mapping_set.definitions():
        of_this = [result for result in results if result.mapping == definition.name]
        table.add_row(definition.name, str(definition.version), ", ".join(definition.messages), _passed(of_this))
    _console.print(table)


def _show_own(mapping_set: MappingSet, results: Sequence[TestResult]) -> None:
    """What is the configuration's own, line by line; of what is shipped that it is there."""
    shipped = [each for each in mapping_set.definitions() if not _is_own(each.line.file)]
    tests = _passed([result for result in results if not _is_own(result.file)])
    _console.print(f"{len(shipped)} shipped mappings: {tests} [dim](--all lists them)[/]")
    table = Table("own mapping", "facility", "version", "own tests", box=None, pad_edge=False, header_style="dim")
    for definition in mapping_set.definitions():
        if _is_own(definition.line.file):
            own = [each for each in results if each.mapping == definition.name and _is_own(each.file)]
            table.add_row(definition.name, "", str(definition.version), _passed(own))
    for facility, definition in mapping_set.of_facilities():
        place = f"facilities/{facility}/"
        own = [each for each in results if each.mapping == definition.name and place in each.file]
        table.add_row(definition.name, facility, str(definition.version), _passed(own) if own else "none")
    if table.row_count:
        _console.print(table)


def _is_own(file: str) -> bool:
    return file.startswith("mappings/")


def _passed(results: Sequence[TestResult]) -> str:
    return f"{sum(result.passed for result in results)} of {len(results)} passed"
