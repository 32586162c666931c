"""`hutong conformance`: `statement` writes the DICOM Conformance Statement of a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine import config

conformance = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
    help="Say what this hub conforms to.",
)


@conformance.command("statement")
def write(
    folder: Annotated[Path, typer.Option("--config", metavar="DIR", help="Folder of the community's configuration.")],
    html: Annotated[bool, typer.Option("--html", help="As a page instead of Markdown.")] = False,
) -> None:
    """Writes the DICOM Conformance Statement of a configuration, without connecting."""
    from pacs_gateway.statement import document
    from pacs_gateway.statement.stated import statement

    blocks = statement(config.load(folder))
    typer.echo(document.html(blocks) if html else document.markdown(blocks), nl=False)


@conformance.callback()
def _group() -> None:
    """Keeps `statement` a word of its own, though it is the only one."""
