"""What does the status of a C-STORE mean for an object that we owe? Taken, to be tried again, or refused for good."""

from __future__ import annotations

from enum import Enum


class Verdict(Enum):
    TAKEN = "taken"
    TAKEN_WITH_WARNING = "taken-with-warning"
    AGAIN = "again"
    REFUSED = "refused"


_NAMED = {
    0x0000: Verdict.TAKEN,
    # PS3.7 C.1: warnings that any service may answer with.
    0x0001: Verdict.TAKEN_WITH_WARNING,
    0x0107: Verdict.TAKEN_WITH_WARNING,
    0x0116: Verdict.TAKEN_WITH_WARNING,
    # Processing failure: it may pass.
    0x0110: Verdict.AGAIN,
    # Duplicate SOP Instance: it is there.
    0x0111: Verdict.TAKEN_WITH_WARNING,
    # Resource limitation.
    0x0213: Verdict.AGAIN,
    0xFE00: Verdict.AGAIN,
}
_WORDS = {
    0x0111: "it had the object already",
    0x0122: "it does not support the SOP class",
    0x0124: "we are not authorised to store there",
    0xB000: "it changed elements of the object",
    0xB006: "it left out elements of the object",
    0xB007: "the object does not match its SOP class",
}


def verdict_of(status: int) -> Verdict:
    """By PS3.4 table B.2-1: Bxxx are warnings, A7xx want resources, A9xx and Cxxx are failures; other failures stay."""
    if status in _NAMED:
        return _NAMED[status]
    if status & 0xF000 == 0xB000:
        return Verdict.TAKEN_WITH_WARNING
    if status & 0xFF00 == 0xA700:
        return Verdict.AGAIN
    return Verdict.REFUSED


def words_of(status: int) -> str:
    """A status for people: its number, and what it says where that is known."""
    if status in _WORDS:
        return f"{status:04X}, {_WORDS[status]}"
    match status & 0xFF00:
        case 0xA700:
            return f"{status:04X}, out of resources"
        case 0xA900:
            return f"{status:04X}, the data set does not match the SOP class"
    return f"{status:04X}, it cannot be understood" if status & 0xF000 == 0xC000 else f"{status:04X}"
