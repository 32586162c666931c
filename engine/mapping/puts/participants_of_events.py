"""TXA and SCH: who made, entered or got what a message tells of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.mapping.lens.back import Back, Field
from engine.mapping.puts.people import person_parts
from engine.mapping.registry import Options, Put, puts


@puts("taking_part")
def write_taking_part(options: Options) -> Put:
    part = options.argument or "author"

    def put(agent: Any, back: Back) -> Field | None:
        return person_parts(agent.get("who", {}), back) if part in _parts(agent) else None

    return put


def _parts(agent: Any) -> Iterator[str]:
    for kind in (agent.get("type", {}), *agent.get("role", ())):
        for coding in kind.get("coding", ()):
            yield coding.get("code", "")
