"""`hutong trace`: what does the hub know of a word, and where did each element of a resource come from?"""

from __future__ import annotations

import json
import os
import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from engine.cli.hub import Hub, find_hub
from engine.cli.trace_processings import processings
from engine.clock import CHINA
from engine.errors import AccessError, ConfigurationError, NotFoundError

_REFERENCE = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9.\-]{1,64}")
_LONGEST_WORD = 400
"""As the API takes it."""
MOST_WITH_FIELDS = 5
"""Envelopes whose fields are shown, the newest."""
_MARKS = {"done": "[green]✓[/]", "waiting": "[yellow]…[/]", "stopped": "[red]✗[/]"}


_ACTS = {"release": "released", "skip": "skipped", "replace": "corrected", "replay": "replay asked for"}
_LINKS = {"replaces": "corrects", "replaced_by": "corrected by"}
_FOUND = ("version", "envelopes", "resources", "deliveries", "findings", "worklist", "studies")
_PIPE_WIDTH = 1000


def trace(
    word: Annotated[
        str,
        typer.Argument(
            metavar="WORD",
            help="An envelope id, or its beginning (8 digits at least); a control id (MSH-10); an accession or order "
            "number; a study UID; a patient identifier; words of a finding; a resource (Patient/…) or one version of "
            "it (Patient/…@2).",
        ),
    ],
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Data folder of the running hub.")] = None,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Address of the hub; HUTONG_TOKEN holds a token.")
    ] = None,
    path: Annotated[
        str,
        typer.Option(
            metavar="ELEMENT", help="With a resource: only this element and its source, name or name[0].family."
        ),
    ] = "",
    fields: Annotated[
        bool, typer.Option("--fields", help="Also the segments, and each element with its rule and field.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """Shows everything known of a word: from the bytes to the records they made, or to the finding that holds them.

    A message that was processed several times tells of each time what it wrote, and what was so already. A version
    (`Observation/…@1`) leads to the message that wrote it. Times are China's (北京时间, +08:00).

    Of a resource (`Patient/…`) it also shows where each element came from: rule, field and bytes of an envelope.
    Exit status 1 when nothing is known of it.
    """
    if not 1 <= len(word.strip()) <= _LONGEST_WORD or not word.strip().isprintable():
        raise ConfigurationError(f"expected one id, number or UID of at most {_LONGEST_WORD} characters")
    hub = find_hub(data, url)
    known = hub.get("/api/trace", word=word)
    if _REFERENCE.fullmatch(word.strip()):
        known["provenance"] = _provenance(hub, word.strip(), path)
    if fields:
        for envelope in known["envelopes"][-MOST_WITH_FIELDS:]:
            envelope["mapped"] = hub.get(f"/api/envelopes/{envelope['id']}/mapped")
    if as_json:
        typer.echo(json.dumps(known, ensure_ascii=False, indent=2))
    elif path and known.get("provenance"):
        for line in _elements(known["provenance"]):
            _console().print(line)
    else:
        _print(_console(), known)
    if not any(known[kind] for kind in _FOUND):
        raise typer.Exit(1)


def _console() -> Console:
    """As wide as the terminal; in a pipe no line is broken, so that grep finds whole ones."""
    console = Console(highlight=False)
    if console.is_terminal or "COLUMNS" in os.environ:
        return console
    return Console(highlight=False, width=_PIPE_WIDTH)


def _at(moment: str | None) -> str:
    """In China's time to the second, as the other commands and the logs of a HIS say it; empty for none."""
    return f"{datetime.fromisoformat(moment).astimezone(CHINA):%Y-%m-%d %H:%M:%S %Z}" if moment else ""


def _provenance(hub: Hub, reference: str, path: str) -> dict[str, Any] | None:
    """None when there is no such resource, or when this token may not read payloads."""
    try:
        answer: dict[str, Any] = hub.get("/api/provenance", reference=reference, path=path)
    except (AccessError, NotFoundError):
        return None
    return answer


def _print(console: Console, known: dict[str, Any]) -> None:
    if known["version"]:
        console.print(_version(known))
    for envelope in known["envelopes"]:
        console.print(_envelope(envelope))
    for step in known["worklist"]:
        console.print(f"worklist: {_line(step)}")
    for study in known["studies"]:
        console.print(f"study: {_line(study)}  {' '.join(study['missing_uids'])}".rstrip())
    if known["resources"]:
        tree = Tree("resources")
        for resource in known["resources"]:
            came_from = resource["envelope"] or resource["actor"] or ""
            tree.add(escape(f"{resource['reference']}@{resource['version']}  {resource['status'] or ''}  {came_from}"))
        console.print(tree)
    for delivery in known["deliveries"]:
        console.print(_delivery(delivery))
    for finding in known["findings"]:
        console.print(_finding(finding))
    if known.get("provenance"):
        console.print(_origins(known["provenance"]))
    if known.get("more"):
        console.print("There is more; a longer word finds less.")
    if known["beginning_so"]:
        ids = known["beginning_so"]
        console.print(escape(f"The ids of several envelopes begin with {known['word']}; say more of it:"))
        for each in ids:
            console.print(f"  {each}")
    elif not any(known[kind] for kind in _FOUND):
        console.print(escape(f"Nothing is known of {known['word']}."))


def _version(known: dict[str, Any]) -> str:
    """Who wrote the version that was asked for."""
    version = known["version"]
    by = f"by {version['actor']}" if version["envelope"] is None else f"by envelope {version['envelope']}"
    if version["envelope"] and not known["envelopes"]:
        by += ", which is in the journal no more"
    stands = "the current version" if version["current"] else "an older version"
    label = f"{version['reference']}@{version['version']}"
    at = _at(version["last_updated"])
    return escape(f"{label}  {stands}  written {at} {by}  {version['mapping'] or ''}".rstrip())


def _envelope(envelope: dict[str, Any]) -> Tree:
    title = f"{envelope['message_type']} {envelope['control_id']}  {envelope['state']}  {envelope['id']}"
    tree = Tree(f"[bold]{escape(title)}[/]")
    for step in envelope["steps"]:
        mark = _MARKS.get(step["state"], "·")
        tree.add(
            f"{mark} {escape(' '.join(str(part) for part in (step['step'], _at(step['at']), step['note']) if part))}"
        )
    tree.add(escape(_bytes(envelope)))
    for key, words in _LINKS.items():
        if envelope[key]:
            tree.add(escape(f"{words} {envelope[key]}"))
    for each in processings(envelope["processings"], _at):
        tree.add(each)
    if envelope["asked_by"] and not envelope["acts"] and not envelope["processings"]:  # a correction that waits
        why = f": {envelope['asked_why']}" if envelope["asked_why"] else ""
        tree.add(escape(f"by {envelope['asked_by']}{why}"))
    for act in envelope["acts"]:
        why = f": {act['reason']}" if act["reason"] else ""
        tree.add(escape(f"{_ACTS[act['action']]} by {act['actor']} at {_at(act['at'])}{why}"))
    if envelope["waits_for"]:
        tree.add(escape("waits for " + ", ".join(envelope["waits_for"])))
    if envelope["waiting_behind"]:
        tree.add(f"{envelope['waiting_behind']} wait behind it")
    if envelope["unmapped"]:
        tree.add(escape(f"unmapped: {', '.join(envelope['unmapped'])}"))
    if envelope.get("mapped"):
        tree.add(_mapped(envelope["mapped"]))
    for finding in envelope["findings"]:
        tree.add(_finding(finding))
    for delivery in envelope["deliveries"]:
        tree.add(_delivery(delivery))
    return tree


def _bytes(envelope: dict[str, Any]) -> str:
    said = f"bytes: {envelope['payload_bytes']}, sha256 {envelope['sha256']}"
    payload = envelope["payload"]
    return f"{said}, {payload['charset']}{' (doubtful)' if payload['doubtful'] else ''}" if payload else said


def _mapped(mapped: dict[str, Any]) -> Tree:
    """Segments, and below each the elements that were made of it: element = value ← rule ← field."""
    tree = Tree("segments")
    if mapped["mapping_changed"]:
        tree.add(f"[yellow]mapped by {escape(mapped['mapping_today'] or 'nothing')} today: its rules are shown[/]")
    for segment in mapped["segments"]:
        line = tree.add(f"[bold]{escape(segment['text'])}[/] [dim][{segment['start']}-{segment['end']}][/]")
        for field in mapped["fields"]:
            if segment["start"] <= field["start"] < segment["end"]:
                value = "" if field["value"] is None else f" = {field['value']}"
                rule = f"{field['rule']}@{field['rule_version']} ← {field['field']}"
                line.add(f"{escape(field['resource'])} {escape(field['path'] + value)}  [dim]← {escape(rule)}[/]")
    if mapped["more"]:
        tree.add("there is more")
    return tree


def _elements(provenance: dict[str, Any]) -> list[str]:
    return [
        f"{escape(element['path'])} = {escape(element['value'])}  [dim]{escape(_said(element))}[/]"
        for element in provenance["elements"]
    ]


def _origins(provenance: dict[str, Any]) -> Tree:
    """Element = value ← rule@version ← field [bytes] of an envelope; below them the versions."""
    tree = Tree(f"[bold]{escape(provenance['reference'])}@{provenance['version']}[/] where from?")
    for element in _elements(provenance):
        tree.add(element)
    for source in provenance["gathered_from"]:
        tree.add(escape(f"gathered from {source}"))
    versions = tree.add("versions")
    for version in provenance["versions"]:
        came_from = version["envelope"] or version["actor"] or ""
        message = " ".join(version[key] for key in ("channel", "message_type", "control_id") if version[key])
        text = (
            f"@{version['version']}  {_at(version['last_updated'])}  {came_from}  {message}  {version['mapping'] or ''}"
        )
        line = versions.add(escape(text.rstrip()))
        if version["mapping_changed"]:
            today = version["mapping_today"] or "no mapping"
            line.add(f"[yellow]mapped by {escape(today)} today: its rules are shown, not those that made it[/]")
    return tree


def _said(element: dict[str, Any]) -> str:
    fields = [
        f"{s['rule']}@{s['rule_version']}" + (f" ← {s['field']} [{s['start']}-{s['end']}]" if s["field"] else "")
        for s in element["sources"]
    ]
    by = element["actor"] if element["said_by"] == "person" else element["said_by"]
    said = f"← {', '.join(fields)}" if fields else f"by {by}"
    return f"{said} of {element['envelope']}" if element["envelope"] else f"{said} in @{element['version']}"


def _finding(finding: dict[str, Any]) -> str:
    state = "settled" if finding.get("settled_at") else "open"
    place = " ".join(str(finding[key]) for key in ("location", "rule") if finding.get(key))
    return f"[yellow]finding[/] {escape(finding['code'])} ({state}) {escape(place)}: {escape(finding['text'])}"


def _delivery(delivery: dict[str, Any]) -> Tree:
    title = f"delivery to {delivery['endpoint']} {delivery['control_id']}: {delivery['state']}"
    tree = Tree(escape(title))
    for attempt in delivery["latest_attempts"]:
        tree.add(escape(_line(attempt)))
    if delivery["receipt"]:
        tree.add(escape(_receipt(delivery["receipt"])))
    return tree


def _line(row: dict[str, Any]) -> str:
    told = {
        key: _at(value) if isinstance(value, str) and (key == "at" or key.endswith("_at")) else value
        for key, value in row.items()
    }
    return "  ".join(f"{key} {value}" for key, value in told.items() if isinstance(value, str | int) and value != "")


def _receipt(receipt: dict[str, Any]) -> str:
    """An acknowledgment by its code; that of a study is in words of its own."""
    if receipt["code"]:
        return f"receipt: {receipt['code']} for {receipt['control_id']}"
    return f"receipt: {receipt['text'] or 'for those who may read payloads'}"
