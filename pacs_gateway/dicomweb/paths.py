"""Which resource does a path name? Studies, series and instances of PS3.18 §10, and what of them is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.errors import NotFoundError
from pacs_gateway.dicomweb.looking import Wanted

PREFIX = "/dicomweb"
_LEVELS = ("studies", "series", "instances")
_UID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
"""What is taken into the store (`pacs_gateway.identify`)."""


@dataclass(frozen=True, slots=True)
class Place:
    """`levels`: how many of study, series and instance are named. `rest`: the words behind them."""

    wanted: Wanted
    levels: int
    rest: tuple[str, ...]


def place_of(path: str) -> Place:
    """`path` begins with PREFIX. Raises NotFoundError for what cannot be a UID: nothing is stored under it."""
    words = path[len(PREFIX) :].strip("/").split("/")
    uids: list[str] = []
    for level in _LEVELS:
        at = 2 * len(uids)
        if len(words) < at + 2 or words[at] != level:
            break
        if not _UID.fullmatch(words[at + 1]):
            raise NotFoundError("nothing is stored under these UIDs")
        uids.append(words[at + 1])
    return Place(Wanted(*uids) if uids else Wanted(""), len(uids), tuple(words[2 * len(uids) :]))
