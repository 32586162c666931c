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


def matches(pattern: str, text: str) -> bool:
    """Whether the text is what the pattern describes, in a time that no number of wildcards multiplies."""
    at = place = 0
    star = resume = -1
    while place < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, resume = at, place
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", text[place]):
            at += 1
            place += 1
        elif star >= 0:
            resume += 1
            at, place = star + 1, resume
        else:
            return False
    return not pattern[at:].strip("*")
