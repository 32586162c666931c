"""How many may call at once, and how long may they be silent?"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one listener; the first three are the channel's.

    idle_timeout_secs   between requests
    stall_timeout_secs  inside a request, and for a peer that does not read its answers
    artim_secs          until an association is asked for, and until a connection is closed that has no more
                        association (the ARTIM timer of PS3.8 §9.1.5)
    """

    max_associations: int = 200
    idle_timeout_secs: float = 300.0
    stall_timeout_secs: float = 60.0
    artim_secs: float = 30.0
