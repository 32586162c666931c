"""How does a command act on a running hub? It counts first, asks where that is many, and then does it: all or none."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console

from engine.cli.hub import Hub
from engine.clock import CHINA
from engine.errors import ConfigurationError

Data = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Data folder of the running hub.")]
Url = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="Address of the hub; HUTONG_TOKEN holds a token.")
]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever asks later. No patient's data: it is audited.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before it is done.")]
AsJson = Annotated[bool, typer.Option("--json", help="Everything, as JSON.")]

Channel = Annotated[str | None, typer.Option("--channel", metavar="NAME", help="Only of this channel.")]
Code = Annotated[str | None, typer.Option("--code", metavar="CODE", help="Only with a finding of this code.")]
Rule = Annotated[str | None, typer.Option("--rule", metavar="ID", help="Only with a finding of this mapping rule.")]
MessageType = Annotated[
    str | None, typer.Option("--message-type", metavar="TYPE", help="Only of this message type, such as ADT^A08.")
]
Mapping = Annotated[
    str | None, typer.Option("--mapping", metavar="NAME", help="Only the message types that this mapping takes.")
]

console = Console(highlight=False, soft_wrap=True)


def ids_of(words: list[str] | None) -> list[str]:
    """Raises ConfigurationError for a word that is no id."""
    ids = []
    for word in words or []:
        try:
            ids.append(str(UUID(word)))
        except ValueError:
            raise ConfigurationError("expected an id, as the list shows it") from None
    return ids


def act(hub: Hub, path: str, what: str, done: str, *, reason: str, yes: bool, **choice: Any) -> int:
    """Does `what` to everything that is chosen, and says how many it was done to. The hub does all of it or nothing."""
    chosen = {name: value for name, value in choice.items() if value not in (None, [])}
    counted: int = hub.post(path, reason=reason, dry_run=True, **chosen)["count"]
    if not counted:
        console.print(f"nothing to {what}")
        return 0
    if counted > 1:
        confirm(f"{what} {counted}?", yes)
    count: int = hub.post(path, reason=reason, **chosen)["count"]
    console.print(f"{done}: {count}")
    return count


def told_at(moment: str | None) -> str:
    """A moment as the hub says it, in China's time to the minute, with its zone; empty for none."""
    return datetime.fromisoformat(moment).astimezone(CHINA).strftime("%Y-%m-%d %H:%M %Z") if moment else ""


def confirm(question: str, yes: bool) -> None:
    """Asks a person. Raises ConfigurationError where there is nobody to ask, typer.Abort for a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigurationError(f"{question} Nobody can be asked here: say --yes")
    typer.confirm(question, abort=True)
