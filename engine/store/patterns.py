"""What is a DICOM matching pattern to `like`? `*` is any run of characters, `?` exactly one (PS3.4 C.2.2.2.4)."""

from __future__ import annotations


def like(pattern: str) -> str:
    """The pattern for `like`, whose own wildcards are taken literally; an empty one matches everything."""
    if not pattern:
        return "%"
    for literal in ("\\", "%", "_"):
        pattern = pattern.replace(literal, f"\\{literal}")
    return pattern.replace("*", "%").replace("?", "_")


def is_wild(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern


def literal_beginning(pattern: str) -> str:
    """What stands before the first wildcard."""
    ends = [place for wildcard in "*?" if (place := pattern.find(wildcard)) >= 0]
    return pattern[: min(ends)] if ends else pattern
