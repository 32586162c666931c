"""Provenance: when something was recorded."""

from __future__ import annotations

from engine.mapping.puts.times import written_time
from engine.mapping.registry import Options, Put, puts


@puts("recorded")
def write_recorded(options: Options) -> Put:
    """Into the first of the fields that say it: MSH-7 is when the message is sent."""
    return lambda value, back: {1: written_time(value)} if written_time(value) else None
