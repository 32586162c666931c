"""`hutong edit`: a held message is corrected, and the correction takes its place; the original stays as it came."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from base64 import b64encode
from difflib import unified_diff
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from engine.cli.acting import Data, Reason, Url, Yes, confirm, console, ids_of
from engine.cli.hub import Hub, find_hub
from engine.codecs import text
from engine.errors import ConfigurationError, RequestStateError

_STYLES = {"+": "green", "-": "red", "@": "dim"}


def edit(
    envelope: Annotated[str, typer.Argument(metavar="ENVELOPE", help="Id, as `hutong held` shows it.")],
    reason: Reason,
    payload: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, metavar="FILE", help="The corrected message, byte for byte."),
    ] = None,
    data: Data = None,
    url: Url = None,
    yes: Yes = False,
) -> None:
    """Corrects a held message in $EDITOR, or takes the corrected one from --payload FILE.

    Shows what differs and what today's mappings make of it, and asks before it is sent. The correction runs before the
    later messages that wait; the original stays in the journal.
    """
    hub = find_hub(data, url)
    (held,) = ids_of([envelope])
    walk = hub.get(f"/api/envelopes/{held}")
    if walk["state"] != "held":
        raise RequestStateError(f"this envelope is not held: {walk['state']}", code="not-held")
    original = hub.payload(held)
    charset: str = walk["payload"]["charset"] if walk["payload"] else text.decode(original).charset
    corrected = payload.read_bytes() if payload is not None else _edited(original, charset)
    if corrected == original:
        console.print("nothing was changed")
        raise typer.Exit(1)
    _show_difference(original, corrected, charset)
    _foretell(hub, held, corrected, reason)
    confirm("Send it in the place of the held one?", yes)
    told = _replace(hub, held, corrected, reason, dry_run=False)
    console.print(f"sent as {told['envelope']}, in the place of {held}")


def _edited(original: bytes, charset: str) -> bytes:
    """A line for each segment while it is edited; sent with the line ends and in the character set it came with."""
    shown = original.decode(charset, "surrogateescape")
    if shown.encode(charset, "surrogateescape") != original or "\udc80" <= max(shown) <= "\udcff":
        raise ConfigurationError(f"its bytes are not text in {charset}; correct a copy, and give it as --payload FILE")
    line_end = next(end for end in ("\r\n", "\r", "\n") if end in shown or end == "\n")
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="hutong-edit-") as folder:  # mode 0700: it is a patient's data
        file = Path(folder) / "message.hl7"
        file.write_bytes(shown.replace(line_end, "\n").encode("utf-8"))
        try:
            ended = subprocess.run([*shlex.split(editor), str(file)], check=False)
        except FileNotFoundError as error:
            raise ConfigurationError(f"there is no editor {editor}: set EDITOR, or use --payload FILE") from error
        if ended.returncode:
            raise ConfigurationError(f"{editor} ended with {ended.returncode}; nothing was changed")
        edited = file.read_text(encoding="utf-8", errors="strict") if _is_utf8(file) else ""
    if not edited.strip():
        raise ConfigurationError("nothing is left of the message that can be read; nothing was changed")
    if not shown.endswith(line_end):
        edited = edited.rstrip("\n")  # an editor ends every file with a line end
    try:
        return edited.replace("\n", line_end).encode(charset)
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"the message came in {charset}, which cannot hold every character of the correction; nothing was changed"
        ) from None


def _is_utf8(file: Path) -> bool:
    try:
        file.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _show_difference(original: bytes, corrected: bytes, charset: str) -> None:
    before, after = (payload.decode(charset, "replace").splitlines() for payload in (original, corrected))
    for line in unified_diff(before, after, "as it came", "corrected", lineterm="", n=1):
        console.print(escape(line), style=_STYLES.get(line[0], ""))
    if before == after:
        console.print("only bytes differ that are not seen: line ends, or how characters are written")


def _foretell(hub: Hub, held: str, corrected: bytes, reason: str) -> None:
    told = _replace(hub, held, corrected, reason, dry_run=True)
    made = ", ".join(f"{count} {name}" for name, count in told["resources"].items())
    console.print(f"{told['mapping'] or 'no mapping'}: {made or 'nothing is made of it'}")
    for finding in told["findings"]:
        place = " ".join(part for part in (finding["location"], finding["rule"]) if part)
        console.print(escape(f"{finding['severity']}: {finding['code']} {place}: {finding['text']}"), style="yellow")
    if told["holds"]:
        console.print("it will be held again", style="red")


def _replace(hub: Hub, held: str, corrected: bytes, reason: str, *, dry_run: bool) -> dict[str, Any]:
    told: dict[str, Any] = hub.post(
        f"/api/envelopes/{held}/replace",
        reason=reason,
        payload_base64=b64encode(corrected).decode(),
        dry_run=dry_run,
    )
    return told
