"""`hutong explain`: how would each message walk? Every step filled in; nothing is stored and no hub is needed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from conformance.hl7_files import messages_in
from engine import config
from engine.cli.assembly import mappings_of
from engine.cli.explain_summary import in_numbers
from engine.clock import now
from engine.codecs import acknowledgment, fhir_json, hl7v2
from engine.config import Community, Facility, Hl7Channel, Http, Level, MllpChannel, Recognition
from engine.envelope import Envelope, EnvelopeIds, Kind
from engine.errors import ConfigurationError, ParseError
from engine.identifiers import lane
from engine.identity import personal_keys
from engine.mapping import FieldSource, MappingSet
from engine.recording.unplaced_orders import of_unknown_kind
from engine.replay import would_owe
from engine.understanding import Understood, understand

_PEER = "explain"
_SHOWN_VALUE = 60


@dataclass(frozen=True, slots=True)
class _Walk:
    """One message and everything known of its way."""

    file: str
    envelope: Envelope
    acknowledgment: bytes
    understood: Understood
    deliveries: list[dict[str, str]]


def explain(
    files: Annotated[
        list[Path], typer.Argument(exists=True, metavar="FILE...", help="Files, or folders of files, of HL7 v2.")
    ],
    config_folder: Annotated[
        Path | None, typer.Option("--config", metavar="DIR", help="Configuration folder; a bare one when left out.")
    ] = None,
    channel: Annotated[
        str | None, typer.Option(metavar="NAME", help="The channel it would come in by; else the one MSH-4 belongs to.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON for each message.")] = False,
) -> None:
    """Shows the walk of each message: envelope, acknowledgment, fields, rules, resources, findings and deliveries.

    Of several messages it says first how many would be held, and which causes led to findings how often. Nothing is
    stored or sent.
    """
    community = config.load(config_folder) if config_folder else _bare_community()
    if channel is not None and channel not in {c.name for c in community.hl7_channels}:
        known = ", ".join(c.name for c in community.hl7_channels) or "none"
        raise ConfigurationError(f"--channel {channel}: expected the name of an HL7 v2 channel ({known})")
    mappings = mappings_of(community)
    console = Console(soft_wrap=as_json, highlight=False)
    if not as_json and _are_several(files):
        envelopes = (_accepted(_chosen(community, channel, payload), payload)[0] for _, payload in _messages(files))
        for line in in_numbers(_understood(envelope, community, mappings) for envelope in envelopes):
            console.print(escape(line), soft_wrap=True)
        console.print()
    for file, payload in _messages(files):
        envelope, answer = _accepted(_chosen(community, channel, payload), payload)
        understood = _understood(envelope, community, mappings, with_sources=not as_json)
        walk = _Walk(str(file), envelope, answer, understood, _deliveries(community, understood))
        if as_json:
            typer.echo(fhir_json.dumps(_as_json(walk)).decode())
        else:
            _print(console, walk)


def _understood(
    envelope: Envelope, community: Community, mappings: MappingSet, *, with_sources: bool = False
) -> Understood:
    """What the message says, with what a recording would find of its orders where nothing is known of them yet."""
    said = understand(envelope, community, mappings, with_sources=with_sources)
    orders = [resource for resource in said.resources if resource["resourceType"] == "ServiceRequest"]
    return replace(said, findings=[*said.findings, *of_unknown_kind(community, said, orders)])


def _messages(files: list[Path]) -> Iterator[tuple[Path, bytes]]:
    for given in files:
        in_folder = given.is_dir()
        for file in sorted(p for p in given.rglob("*") if p.is_file()) if in_folder else [given]:
            content = file.read_bytes()
            found = messages_in(content)
            yield from ((file, message.payload) for message in found)
            if not found and not in_folder:  # what else lies in a folder is left out
                yield file, content


def _are_several(files: list[Path]) -> bool:
    return len(list(islice(_messages(files), 2))) > 1


def _chosen(community: Community, channel: str | None, payload: bytes) -> Hl7Channel:
    chosen = community.channels[channel] if channel else _channel_of(community, payload)
    assert isinstance(chosen, Hl7Channel)
    return chosen


def _bare_community() -> Community:
    """One facility and one channel that knows nothing of its sender: the mappings as they are shipped."""
    facility = Facility(code="here", name="here", level=Level.COUNTY)
    channel = MllpChannel(type="mllp", name="explain", facility=facility.code, port=0)
    return Community(
        name="explain",
        http=Http(),
        facilities={facility.code: facility},
        channels={channel.name: channel},
        endpoints={},
        routes=(),
        centres={},
        recognition=Recognition(),
        users={},
        folder=Path(),
    )


def _channel_of(community: Community, payload: bytes) -> Hl7Channel:
    """The channel whose facility MSH-4 names; the first one when it names none."""
    channels = community.hl7_channels
    if not channels:
        raise ConfigurationError("the configuration has no HL7 v2 channel")
    for channel in channels:
        try:
            sender = hl7v2.peek(payload, channel.charset, channel.name).sending_facility
        except ParseError:
            continue
        if sender in community.facilities[channel.facility].msh4:
            return channel
    return channels[0]


def _accepted(channel: Hl7Channel, payload: bytes) -> tuple[Envelope, bytes]:
    """The envelope and the acknowledgment that the intake would make."""
    at = now()
    envelope_id = EnvelopeIds(secrets.randbits).next(at)
    control_id = message_type = ""
    lanes: tuple[str, ...] = ()
    try:
        header = hl7v2.peek(payload, channel.charset, channel.name)
    except ParseError as error:
        answer = acknowledgment.negative(None, error, ack_control_id=envelope_id.hex[:20], at=at, code="AR")
    else:
        control_id, message_type = header.control_id, header.message_type
        lanes = tuple(lane(channel.facility, value) for value in header.patient_ids)
        answer = acknowledgment.positive(header, envelope_id.hex[:20], at)
    return Envelope(
        id=envelope_id,
        kind=Kind.HL7V2,
        channel=channel.name,
        facility=channel.facility,
        peer=_PEER,
        received_at=at,
        control_id=control_id,
        message_type=message_type,
        payload=payload,
        sha256=sha256(payload).digest(),
        lanes=lanes,
    ), answer


def _deliveries(community: Community, understood: Understood) -> list[dict[str, str]]:
    """What would be owed: copies that routes send on, and the centres that orders go to."""
    return [
        {owing.kind: owing.name, "route": owing.route, "control_id": understood.envelope.control_id}
        for owing in would_owe(community, understood)
    ]


def _as_json(walk: _Walk) -> dict[str, Any]:
    envelope, understood = walk.envelope, walk.understood
    return {
        # A name in another charset than the system's comes as surrogates, which JSON cannot hold.
        "file": os.fsencode(walk.file).decode("utf-8", "replace"),
        "envelope": {
            "channel": envelope.channel,
            "facility": envelope.facility,
            "message_type": envelope.message_type,
            "control_id": envelope.control_id,
            "bytes": len(envelope.payload),
            "sha256": envelope.sha256.hex(),
            "lanes": list(envelope.lanes),
            "acknowledgment": acknowledgment.read(walk.acknowledgment).code,
            "mapping": understood.mapping,
        },
        "resources": [_without_deletions(resource) for resource in understood.resources],
        "unmapped": understood.unmapped,
        "findings": [
            {
                "code": finding.code,
                "severity": str(finding.severity),
                "location": finding.location,
                "rule": finding.rule,
                "text": finding.text,
            }
            for finding in understood.findings
        ],
        "deliveries": walk.deliveries,
    }


def _without_deletions(resource: Mapping[str, Any]) -> dict[str, Any]:
    """As it would be recorded where nothing is known yet: an element the sender deletes is absent."""
    return {element: value for element, value in resource.items() if value is not None}


def _print(console: Console, walk: _Walk) -> None:
    envelope, understood = walk.envelope, walk.understood
    table = Table(title=escape(f"{walk.file}  {envelope.message_type} {envelope.control_id}"), title_justify="left")
    for heading in ("#", "step", "says"):
        table.add_column(heading, overflow="fold")
    for number, (step, says) in enumerate(_steps(walk), start=1):
        table.add_row(str(number), step, escape(says))
    console.print(table)
    if understood.resources:
        _print_fields(console, understood)
    for finding in understood.findings:
        place = " ".join(part for part in (finding.location, finding.rule and f"rule {finding.rule}") if part)
        console.print(escape(f"{finding.severity}: {finding.code} {place}: {finding.text}"), style="yellow")
    if understood.unmapped:
        console.print(escape(f"unmapped: {', '.join(understood.unmapped)}"))
    console.print()


def _steps(walk: _Walk) -> Iterator[tuple[str, str]]:
    envelope, understood = walk.envelope, walk.understood
    patients = [r for r in understood.resources if r["resourceType"] == "Patient"]
    keys = sum(len(personal_keys(patient)) for patient in patients)
    owed = [f"{d.get('endpoint') or 'centre ' + d['centre']} (route {d['route']})" for d in walk.deliveries]
    yield "bytes arrive", f"{len(envelope.payload)} bytes, channel {envelope.channel}"
    yield "frame", f"{len(envelope.payload)} payload bytes"
    yield "envelope", f"facility {envelope.facility}, sha256 {envelope.sha256.hex()[:16]}…"
    yield "persisted", f"not here; lanes: {', '.join(envelope.lanes) or 'of its channel'}"
    yield "acknowledged", acknowledgment.read(walk.acknowledgment).code
    yield "parsed", f"findings: {len(understood.findings)}"
    yield "mapped", f"{understood.mapping or 'no mapping'}; resources: {len(understood.resources)}"
    yield "patient identified", f"patients: {len(patients)}; personal identifiers to match on: {keys}"
    yield "recorded", "held until its findings are settled" if understood.holds else _counted(understood)
    yield "routed", ", ".join(owed) or "to nobody"
    yield "delivered", "not here"


def _counted(understood: Understood) -> str:
    counts: dict[str, int] = {}
    for resource in understood.resources:
        counts[resource["resourceType"]] = counts.get(resource["resourceType"], 0) + 1
    says = [f"{count} {name}" for name, count in counts.items()]
    says += [f"{act.doing} {act.of}" + (f" → {act.to}" if act.to else "") for act in understood.acts]
    return "not here; would be " + ", ".join(says)


def _print_fields(console: Console, understood: Understood) -> None:
    """Every element with its value, its rule, its field and its bytes: the answer to `where from?`."""
    by_reference = {f"{r['resourceType']}/{r['id']}": r for r in understood.resources}
    last = ""
    for source in understood.sources:
        if source.resource != last:
            console.print(escape(source.resource), style="bold")
            last = source.resource
        value = _value_at(understood.envelope.payload, source, by_reference)
        origin = f"← {source.rule}"
        if source.field:  # else the rule says it by itself
            origin += f" ← {source.field} [{source.start}-{source.end}]"
        console.print(f"  {escape(source.path)} = {escape(value)}  [dim]{escape(origin)}[/]", soft_wrap=True)


def _value_at(payload: bytes, source: FieldSource, resources: Mapping[str, Any]) -> str:
    """The element's value; the raw bytes where it is a structure of its own."""
    value: Any = resources.get(source.resource)
    for part in source.path.replace("[", ".[").split("."):
        try:
            value = value[int(part[1:-1])] if part.startswith("[") else value[part]
        except (LookupError, TypeError, ValueError):
            value = None
            break
    text = (
        str(value) if isinstance(value, str | int) or (value is not None and not isinstance(value, dict | list)) else ""
    )
    if not text:
        text = payload[source.start : source.end].decode("utf-8", "backslashreplace")
    return text if len(text) <= _SHOWN_VALUE else text[: _SHOWN_VALUE - 1] + "…"
