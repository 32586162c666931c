"""`hutong prune`: old months leave the journal, once an export of them is on disk and has been read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from engine.cli.export import Export, Manifest, verify
from engine.cli.hub import Hub, find_hub
from engine.errors import ConfigurationError, RequestStateError
from engine.store.partitions import Month


def prune(
    before: Annotated[
        str | None, typer.Option(metavar="YYYY-MM", help="Months before this one leave the journal.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where each month is exported to, before it is dropped.")
    ] = None,
    check: Annotated[
        Path | None, typer.Option("--verify", metavar="DIR", help="Only read the exports in this folder back.")
    ] = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Data folder of the running hub.")] = None,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Address of the hub; HUTONG_TOKEN holds a token.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Exports whole months of the journal, reads the export back, and only then drops them from the database.

    A month stays when anything in it is unfinished, owed or an open finding: those are named. What was recorded stays
    in any case. Exit status 1 when a month stayed, or an export is not whole.
    """
    if check is not None:
        if before is not None or export is not None:
            raise ConfigurationError("--verify stands alone: it only reads")
        _verify_all(check)
        return
    if before is None or (export is None and not dry_run):
        raise ConfigurationError("say what and where to: --before YYYY-MM --export DIR")
    hub = find_hub(data, url)
    console = Console(highlight=False, soft_wrap=True)
    stayed = [month for month in _asked(hub, Month.named(before)) if not _prune(hub, month, export, dry_run, console)]
    if stayed:
        raise typer.Exit(1)


def _asked(hub: Hub, before: Month) -> list[Month]:
    known = hub.get("/api/journal")
    newest = Month.named(known["newest_prunable"])
    if before.plus(-1) > newest:
        raise ConfigurationError(f"--before {before}: messages may still come into it; at most {newest.plus(1)}")
    return [month for month in map(Month.named, known["months"]) if month < before]


def _prune(hub: Hub, month: Month, folder: Path | None, dry_run: bool, console: Console) -> bool:
    """False when the month has to stay."""
    state = json.loads(hub.content(f"/api/journal/{month}"))
    envelopes = state["print"]["rows"]["journal"]
    if state["obstacles"]:
        console.print(f"{month}: stays; {envelopes} messages")
        for obstacle in state["obstacles"]:
            more = ", …" if obstacle["number"] > len(obstacle["first"]) else ""
            console.print(f"  {obstacle['kind']}: {obstacle['number']} ({', '.join(obstacle['first'])}{more})")
        return False
    if dry_run or folder is None:
        console.print(f"{month}: {envelopes} messages would be exported and dropped")
        return True
    manifest = _exported(hub, month, state, folder)
    try:
        hub.command(f"/api/journal/{month}/drop", print=state["print"], sha256=manifest.sha256)
    except RequestStateError as error:
        console.print(f"{month}: stays; {error.message}")
        return False
    console.print(f"{month}: {envelopes} messages exported to {folder / str(month)}, read back and dropped")
    return True


def _exported(hub: Hub, month: Month, state: dict[str, Any], folder: Path) -> Manifest:
    """An export that a run before left behind is taken when it is whole and holds what the month holds now."""
    export = Export(folder / str(month))
    if export.is_there and export.manifest().print == state["print"]:
        return verify(export)
    with Progress(transient=True) as progress, export.writing() as writer:
        bar = progress.add_task(str(month), total=state["print"]["rows"]["journal"])
        for kind in ("envelopes", "deliveries"):
            after: str | None = None
            while page := hub.content(f"/api/journal/{month}/{kind}", after=after).splitlines():
                writer.write(page)
                after = json.loads(page[-1])["id"]
                progress.advance(bar, len(page) if kind == "envelopes" else 0)
        writer.finish(month=str(month), hub=state["hub"], exported_at=state["at"], fingerprint=state["print"])
    return verify(export)


def _verify_all(folder: Path) -> None:
    exports = [Export(path) for path in sorted(folder.iterdir()) if path.is_dir()] if folder.is_dir() else []
    exports = [export for export in exports if export.is_there] or [Export(folder)]
    console = Console(highlight=False, soft_wrap=True)
    for export in exports:
        manifest = verify(export)
        console.print(
            f"{manifest.month}: whole; {manifest.print['rows']['journal']} messages of {manifest.hub}, "
            f"{manifest.lines} lines, sha256 {manifest.sha256}"
        )
