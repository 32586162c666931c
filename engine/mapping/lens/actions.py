"""What is done to a segment of an appointment, by the event of the message (HL7 table 0206)?"""

from __future__ import annotations

_NEW, _CHANGED = "A", "U"
_BOOKING = "S12"


def action(event: str) -> str:
    """A message tells of the whole appointment: what was there before is updated."""
    return _NEW if event == _BOOKING else _CHANGED
