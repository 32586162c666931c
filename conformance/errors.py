"""What can go wrong when the outside of a hub is played? Either nothing came, or something else than was claimed."""

from __future__ import annotations


class ConformanceError(Exception):
    """Base of what a simulator or a story raises about the system it speaks to."""


class NoAnswerError(ConformanceError):
    """The other side was not there, went away, or said nothing within the time it had."""


class UnexpectedAnswerError(ConformanceError):
    """Something came back, but not what the step claims."""


def expect(claim: str, *, wanted: object, got: object) -> None:
    """Raises UnexpectedAnswerError unless what came back is what was wanted."""
    if wanted != got:
        raise UnexpectedAnswerError(f"{claim}: wanted {wanted!r}, got {got!r}")
