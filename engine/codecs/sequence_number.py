"""Is a message the next one of its sender? The sequence number protocol of MSH-13 and MSA-4 (HL7 v2.3 §2.23.1).

A receiver keeps the number of the last message it accepted and takes only the next one. 0 (re)starts the link: the
answer says which number is expected. -1 makes the receiver forget: whatever number comes next is the first. Messages
with 0 or -1 carry no content.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.errors import Disposition, ParseError

START = 0
RESYNCHRONISE = -1
MAX_NUMBER = 10**15 - 1
"""MSH-13 is a number of 15 digits at most."""

_NUMBER = re.compile(r"\+?(-?[0-9]{1,15})")
_CONTENT = re.compile(rb"[^|^~\\&\s\x00]")


class OutOfTurn(ParseError):
    """A message whose number is not the next one: the sender has to look at the number it is told."""

    disposition = Disposition.HOLD
    code = "sequence-number"


@dataclass(frozen=True, slots=True)
class Turn:
    """What becomes of a message.

    taken     it is the next one: journal it
    expected  MSA-4
    last      the number to keep from now on; None takes any next
    error     why it is refused
    """

    taken: bool
    expected: int
    last: int | None
    error: OutOfTurn | None = None


def turn(last: int | None, stated: str, *, has_content: bool) -> Turn:
    """Judges MSH-13 against the last number accepted; None when there is none yet, or the link was resynchronised."""
    awaited = RESYNCHRONISE if last is None else last + 1
    found = _NUMBER.fullmatch(stated.strip())
    number = int(found[1]) if found is not None else None
    if number is None or number < RESYNCHRONISE:
        why = "this channel needs a sequence number" if not stated.strip() else "the sequence number is no number"
        return Turn(False, awaited, last, OutOfTurn(why, location="MSH-13", code=_code(stated)))
    if number in (START, RESYNCHRONISE):
        if has_content:
            error = OutOfTurn("a message that starts the link carries no content", location="MSH-13")
            return Turn(False, awaited, last, error)
        return Turn(False, awaited, last) if number == START else Turn(False, RESYNCHRONISE, None)
    if last is None or number == last + 1:
        return Turn(True, number, number)
    gap = "was taken before" if number <= last else "comes too early"
    error = OutOfTurn(f"sequence number {number} {gap}: expected {awaited}", location="MSH-13")
    return Turn(False, awaited, last, error)


def has_content(payload: bytes, separator: str) -> bool:
    """Whether a segment behind MSH says anything."""
    lines = re.split(rb"[\r\n]+", payload.strip())
    return any(_CONTENT.search(line.partition(separator.encode())[2]) for line in lines[1:])


def _code(stated: str) -> str:
    return "sequence-number" if stated.strip() else "required-missing"
