"""What would change if messages were understood by another configuration? Computed from the journal, never written."""

from engine.replay.ahead import Ahead
from engine.replay.difference import Difference
from engine.replay.owing import Owing, would_owe
from engine.replay.preview import Effect, Journaled, Preview
from engine.replay.summary import Example, Kind, Seen, Summary, What
from engine.replay.world import World

__all__ = [
    "Ahead",
    "Difference",
    "Effect",
    "Example",
    "Journaled",
    "Kind",
    "Owing",
    "Preview",
    "Seen",
    "Summary",
    "What",
    "World",
    "would_owe",
]
