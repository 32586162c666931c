"""What does a message mean that speaks of a visit which has ended? Unless it opens the visit, the end stays.

An update (ADT^A08 and others) that says no discharge time changes what it names and opens nothing: its state is only
assumed. A cancelled discharge, a new admission, and whatever else states a state, opens the visit and takes the end.
"""

from __future__ import annotations

from typing import Any

from engine.mapping.visit_states import Assumed

Resource = dict[str, Any]

_FINISHED = "finished"
_OPEN = frozenset({"planned", "arrived", "triaged", "in-progress", "onleave"})


def as_it_stood(known: Resource | None, visit: Resource) -> Resource:
    """An Encounter as its message means it, after what was `known` of it when the message's turn came."""
    status = visit.get("status")
    stated = {**visit, "status": status.value} if isinstance(status, Assumed) else visit
    if known is None:
        return stated
    period = known.get("period") or {}
    if known.get("status") == _FINISHED and (stated is not visit or status == _FINISHED):
        return _ended(stated, period.get("end"))
    if stated is visit and status in _OPEN and "end" in period and "period" not in visit:
        return {**visit, "period": {"start": period["start"]} if "start" in period else None}
    return stated


def _ended(visit: Resource, end: str | None) -> Resource:
    """Somebody who was discharged is in no bed, even where an update names the last one as that of today."""
    ended = {**visit, "status": _FINISHED}
    if end and visit.get("period") and "end" not in visit["period"]:
        ended["period"] = {**visit["period"], "end": end}
    if visit.get("location"):
        ended["location"] = [_left(place, end) for place in visit["location"]]
    return ended


def _left(place: Resource, end: str | None) -> Resource:
    if place.get("status") != "active":
        return place
    left = {**place, "status": "completed"}
    return {**left, "period": {**place.get("period", {}), "end": end}} if end else left
