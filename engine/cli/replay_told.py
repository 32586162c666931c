"""What did a replay come to? First all of it in numbers, then message by message."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import typer
from rich.markup import escape

from engine.cli.acting import console
from engine.cli.hub import Hub

SHOWN = 20
"""Messages that are told one by one; `--json` tells all of them."""
_PAGE = 500


def tell(hub: Hub, run: str, *, as_json: bool) -> None:
    """Prints what a run came to. What still waits is said to wait."""
    told: dict[str, Any] = hub.get(f"/api/replay/{run}")
    if as_json:
        _print_all(hub, run, told)
        return
    for line in in_numbers(told):
        console.print(line)
    messages = hub.get(f"/api/replay/{run}/messages", limit=str(SHOWN + 1))
    for message in messages[:SHOWN]:
        console.print(escape(f"  {of_message(message)}"), style="dim")
    if len(messages) > SHOWN:
        console.print("  … and more: --json tells every message", style="dim")


def in_numbers(told: Mapping[str, int]) -> Iterator[str]:
    """Every message is in one of these numbers, and every resource."""
    ended = told["changed"] + told["unchanged"]
    yield f"processed again: {ended} ({told['changed']} changed the record, {told['unchanged']} changed nothing)"
    if ended:
        yield (
            f"resources: {told['written']} recorded anew, {told['left']} left as something newer says, "
            f"{told['same']} as they were"
        )
    if told["left_in"]:
        yield f"in {told['left_in']} a newer message or a person had spoken: what they said stays"
    if told["stays"]:
        yield f"{told['stays']} resources are said no more and stay on record: hutong findings --code said-no-more"
    if told["waiting"]:
        yield f"{told['waiting']} wait behind messages that are held (hutong held), and run when those are settled"
    if told["refused"]:
        yield (
            f"{told['refused']} could not be understood today and stay as they were: "
            "hutong findings --code replay-refused"
        )


def of_message(message: Mapping[str, Any]) -> str:
    """`<envelope> ORU^R01 U5: 2 changed (2 Observation); left DiagnosticReport/… (newer: …); 1 as they were`."""
    name = f"{message['envelope']} {message['message_type']} {message['control_id']}".rstrip()
    return f"{name}: {came_to(message['replay'])}"


def came_to(replay: Mapping[str, Any]) -> str:
    """What processing one message again came to."""
    if "refused" in replay:
        return f"not understood today ({replay['refused']}); what was recorded stays"
    said = [f"{len(replay['changed'])} changed{_of_types(replay['changed'])}"]
    said += [left_to(each) for each in replay["left"]]
    said += [f"{each} is said no more and stays" for each in replay["stays"]]
    said.append(f"{replay['same']} as they were")
    return "; ".join(said)


def left_to(left: Mapping[str, Any]) -> str:
    """What was left, and to whose newer word."""
    what = f"{left['reference']} {', '.join(left['elements'])}".rstrip()
    return f"left {what} (newer: {left['envelope'] or left['actor'] or 'hutong'})"


def _of_types(labels: Sequence[str]) -> str:
    counted = Counter(label.partition("/")[0] for label in labels)
    return f" ({', '.join(f'{number} {name}' for name, number in counted.items())})" if counted else ""


def _print_all(hub: Hub, run: str, told: Mapping[str, Any]) -> None:
    """The numbers on the first line, then a line for each message."""
    typer.echo(json.dumps({"run": run, **told}, ensure_ascii=False))
    after: str | None = None
    while True:
        page = hub.get(f"/api/replay/{run}/messages", all="true", limit=str(_PAGE), after=after)
        for message in page:
            typer.echo(json.dumps(message, ensure_ascii=False))
        if len(page) < _PAGE:
            return
        after = page[-1]["envelope"]
