"""When does a row of the map hold for a segment? Understands what the maps say of fields of the same segment.

`IF OBX-2 EQUALS "SN" AND OBX-5.3 IN (":", "/")` is two clauses. A clause in words, or one that asks for a field of
another segment, holds everywhere: nothing is made of what it says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_CLAUSE = re.compile(
    r"(?P<field>[A-Z][A-Z0-9]{2}-\d+)(?:\.(?P<component>\d+))?\s*"
    r"(?P<says>IS NOT VALUED|NOT VALUED|IS VALUED|VALUED|NOT EQUALS|EQUALS|IS NOT|NOT IN|IN|IS|NOT|=)?\s*(?P<values>.*)"
)
_QUOTED = re.compile(r"[\"']([^\"']*)[\"']")


def holds(condition: str, fields: Sequence[str]) -> bool:
    """Whether a segment, given as its fields from its name on, is one of those that the condition means."""
    if not condition.startswith("IF "):
        return True
    clauses = condition.removeprefix("IF ").replace("(OBX", "OBX").split(" AND ")
    return all(_clause_holds(clause.removeprefix("IF ").strip(), fields) for clause in clauses)


_PARTS_OF_TIME = {4: (8, 10), 5: (10, 12), 6: (12, 14)}


def _part_of_time(parts: Sequence[str], component: int) -> str:
    """The maps count the parts of a time as components: year, month, day, hour, minute, second."""
    if len(parts) != 1 or not parts[0].isdecimal() or component not in _PARTS_OF_TIME:
        return ""
    start, end = _PARTS_OF_TIME[component]
    return parts[0][start:end]


def _clause_holds(clause: str, fields: Sequence[str]) -> bool:
    match = _CLAUSE.fullmatch(clause)
    if match is None or match["field"][:3] != fields[0]:
        return True
    number = int(match["field"][4:])
    raw = fields[number] if number < len(fields) else ""
    parts = raw.split("~", 1)[0].split("^")
    component = int(match["component"] or 1)
    stands = parts[component - 1] if component <= len(parts) else _part_of_time(parts, component)
    says, values = match["says"] or "VALUED", _QUOTED.findall(match["values"])
    if says.endswith("VALUED"):
        return bool(stands if match["component"] else raw) is ("NOT" not in says)
    if not values:
        return True
    return (stands.lower() in [value.lower() for value in values]) is ("NOT" not in says)
