"""How many messages does one core decode, parse and map a second? `python -m bench.understanding`, peers beside it.

The peers parse only; hutong decodes, parses, maps to FHIR, makes search tokens and JSON. Its parts are measured apart
too: the map alone, of messages that were parsed before.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from hashlib import sha256
from statistics import median

import hl7
from hl7apy.parser import parse_message
from rich.console import Console
from rich.table import Table

from bench.community import community
from bench.message import oru
from engine.cli.assembly import mappings_of
from engine.clock import now
from engine.codecs import er7, fhir_json, text
from engine.envelope import Envelope, EnvelopeIds, Kind
from engine.mapping import Context
from engine.store.tokens import tokens_of
from engine.understanding import understand

MESSAGES = 200
ROUNDS = 15
_WARM_UP = 20


def main() -> None:
    hub = community()
    mappings = mappings_of(hub)
    payloads = [oru(f"{number:016d}", f"{number % 97:07d}") for number in range(MESSAGES)]
    envelopes = [envelope_of(payload) for payload in payloads]
    texts = [payload.decode() for payload in payloads]
    resources = len(understand(envelopes[0], hub, mappings).resources)

    mapping = mappings.find("ORU^R01", "bench")
    assert mapping is not None
    context = Context("bench", "bench", "bench", now())
    parsed = [er7.parse(payload) for payload in payloads]

    def mapped(number: int) -> None:
        mapping.apply(er7.parse(payloads[number]), context)

    def understood(number: int) -> None:
        """As the pipeline does it: the mapping chosen, the sender compared with the channel, what would hold it."""
        understand(envelopes[number], hub, mappings)

    def recordable(number: int) -> None:
        for resource in understand(envelopes[number], hub, mappings).resources:
            tokens_of(resource)
            fhir_json.dumps(resource)

    ways: list[tuple[str, Callable[[int], object], int]] = [
        ("hutong: decode", lambda number: text.decode(payloads[number], "UNICODE UTF-8"), MESSAGES),
        ("hutong: decode, parse", lambda number: er7.parse(payloads[number]), MESSAGES),
        ("hutong: map", lambda number: mapping.apply(parsed[number], context), MESSAGES),
        ("hutong: decode, parse, map", mapped, MESSAGES),
        ("hutong: understand", understood, MESSAGES),
        ("hutong: understand, tokens, JSON", recordable, MESSAGES),
        ("hl7: parse", lambda number: hl7.parse(texts[number]), MESSAGES // 4),
        ("hl7apy: parse", lambda number: parse_message(texts[number]), 4),
    ]
    speeds: dict[str, list[float]] = {name: [] for name, _, _ in ways}
    for _ in range(ROUNDS):
        for name, work, count in ways:
            speeds[name].append(_per_second(work, count))
    base = median(speeds["hutong: decode, parse, map"])
    table = Table(title=f"One core, ORU^R01 of {len(payloads[0]) / 1000:.1f} KB with 25 OBX → {resources} resources")
    for heading in ("work", "/s", "µs each", "best µs", "hutong mapped : this"):
        table.add_column(heading, justify="left" if heading == "work" else "right")
    for name, _, _ in ways:
        speed = median(speeds[name])
        best = max(speeds[name])
        table.add_row(name, f"{speed:,.0f}", f"{1e6 / speed:,.0f}", f"{1e6 / best:,.0f}", f"{base / speed:.1f}")
    Console().print(table)
    Console().print(f"{ROUNDS} rounds in turn, processor time, medians; the best tells what others left us.")


def _per_second(work: Callable[[int], object], count: int) -> float:
    for number in range(min(count, _WARM_UP)):
        work(number)
    begun = time.process_time()
    for number in range(count):
        work(number)
    return count / (time.process_time() - begun)


def envelope_of(payload: bytes) -> Envelope:
    at = now()
    return Envelope(
        id=EnvelopeIds(secrets.randbits).next(at),
        kind=Kind.HL7V2,
        channel="bench",
        facility="bench",
        peer="bench",
        received_at=at,
        control_id="bench",
        message_type="ORU^R01",
        payload=payload,
        sha256=sha256(payload).digest(),
        lanes=(),
    )


if __name__ == "__main__":
    main()
