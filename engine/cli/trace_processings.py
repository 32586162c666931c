"""How is it told how often a message was processed? A line for each time, and below it what that time came to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.tree import Tree

from engine.cli.replay_told import left_to


def processings(times: Sequence[Mapping[str, Any]], told_at: Callable[[str], str]) -> Iterator[Tree]:
    """`replayed 2026-11-22 07:31:35 +08:00 ORU_R01@3+… by wang: reason`; below it `→ Observation/…@2`, written then."""
    for time in times:
        tree = Tree(escape(_line(time, told_at)))
        for version in time["wrote"]:
            tree.add(escape(f"→ {_label(version)}"))
        if time["confirmed"]:
            tree.add(escape(f"already so: {', '.join(map(_label, time['confirmed']))}"))
        for left in time["left"]:
            tree.add(escape(left_to(left)))
        for reference in time["stays"]:
            tree.add(escape(f"{reference} is said no more and stays"))
        yield tree


def _line(time: Mapping[str, Any], told_at: Callable[[str], str]) -> str:
    how = "replayed, and not understood" if time["how"] == "replay-refused" else time["how"]
    said = f"{how} {told_at(time['at'])}"
    if time["mapping"]:
        said += f" {time['mapping']}"
    if time["code"]:
        said += f" ({time['code']}); what was recorded stays"
    if time["by"]:
        said += f" by {time['by']}" + (f": {time['why']}" if time["why"] else "")
    return said


def _label(version: Mapping[str, Any]) -> str:
    return f"{version['reference']}@{version['version']}"
