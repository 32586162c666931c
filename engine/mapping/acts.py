"""What does a message do to records besides saying what they hold? It joins, parts, moves or renumbers them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Doing(StrEnum):
    MERGE = "merge"
    """The Patient `of` is the person of the Patient `to`, and its number is not used again."""
    LINK = "link"
    """The Patients `of` and `to` are one person; both stay in use."""
    UNLINK = "unlink"
    """The Patients `of` and `to` are not one person after all."""
    JOIN_VISIT = "join-visit"
    """The Encounter `of` is part of the Encounter `to`: merged into it, or numbered anew."""
    MOVE_VISIT = "move-visit"
    """The Encounter `of` is of the Patient `to`, and so is what belongs to it; it stood with the Patient `before`."""
    RETIRE_NUMBER = "retire-number"
    """The number `identifier` of the Patient or Encounter `of` is not used any more."""


@dataclass(frozen=True, slots=True)
class Act:
    """One such doing. References are relative: `Patient/…`.

    to        empty where the message does not say with whom
    location  the field that says so
    """

    doing: Doing
    of: str
    location: str
    to: str = ""
    before: str = ""
    identifier: dict[str, Any] | None = None
