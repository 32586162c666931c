"""How do parts that several groups say of one resource become one? Lists grow, what was said first stays."""

from __future__ import annotations

from engine.mapping.mapped import Resource

_CHOICES = ("deceased", "effective", "medication", "multipleBirth", "occurrence", "performed", "product", "value")
"""Elements of which a resource has one type only: `deceasedBoolean` or `deceasedDateTime`."""
_COMPLETED = "completed"


def entries_with(entries: list[Resource], part: str, references: list[Resource]) -> list[Resource]:
    """A list whose last entry gets the reference that it lacks; of several references each gets such an entry."""
    if entries and part not in entries[-1]:
        return [*entries[:-1], *({part: each, **entries[-1]} for each in references)]
    return [*entries, *({part: each} for each in references)]


def merge(first: Resource, again: Resource) -> None:
    """Two groups that make the same resource: what the first says stays, lists grow, the rest is added.

    Of an order in several parts (OBR) each says its own state: it is completed when they all are.
    """
    if first.get("status") == _COMPLETED and first["resourceType"] == "ServiceRequest":
        first["status"] = again.get("status") or _COMPLETED
    for name, value in again.items():
        already = first.get(name)
        if already is None:
            if not _is_said_otherwise(name, first) and not _is_of_another_start(name, first, again):
                first[name] = value
        elif isinstance(already, list) and isinstance(value, list):
            first[name] = [*already, *(each for each in value if each not in already)]


def _is_of_another_start(name: str, first: Resource, again: Resource) -> bool:
    """What begins by the word of one group does not end by that of another that begins at another time."""
    return name == "end" and first.get("start") != again.get("start")


def _is_said_otherwise(name: str, resource: Resource) -> bool:
    return any(name.startswith(choice) and any(said.startswith(choice) for said in resource) for choice in _CHOICES)
