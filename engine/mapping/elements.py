"""How does a value get into a resource? Put, added to a list, or marked as deleted; shared parts stay as they are."""

from __future__ import annotations

from typing import Any

from engine.mapping.mapped import Resource
from engine.mapping.scope import Scope

Path = tuple[str, ...]

_FIRST = "[0]"
"""After the name of a list: its first entry, made where there is none (`dosageInstruction[0].route`)."""


def container(out: Resource, path: Path) -> Resource:
    """What holds the last element of a path, made where it is missing.

    It is a copy: what stands there may be the same object in other resources.
    """
    for name in path[:-1]:
        plain = name.removesuffix(_FIRST)
        inner: Any = out.get(plain) or ({} if plain == name else [{}])
        if plain == name:
            out[plain] = out = {**inner}
        else:
            out[plain] = [first := {**inner[0]}, *inner[1:]]
            out = first
    return out


def found_in(out: Resource, name: str) -> Any:
    """What stands under a step of a path, without making it."""
    plain = name.removesuffix(_FIRST)
    inner = out.get(plain)
    return inner if plain == name or not inner else inner[0]


def put(out: Resource, path: Path, value: Any) -> None:
    container(out, path)[path[-1]] = value


def put_elements(out: Resource, path: Path, elements: Resource) -> None:
    """Puts several elements, by name, beside each other; extensions are added to those that are there."""
    target = container(out, path)
    for name, value in elements.items():
        if name == "extension" and target.get("extension"):
            target["extension"] = [*target["extension"], *value]
        else:
            target[name] = value


def append(out: Resource, path: Path, value: Any) -> None:
    target, name = container(out, path), path[-1]
    target[name] = extended(target.get(name), value)


def extended(already: list[Any] | None, value: Any) -> list[Any]:
    """A list with one more value, unless it holds such a one; a new list, for the old one may be shared."""
    if already is None:
        return [value]
    return already if value in already else [*already, value]


def delete(out: Resource, path: Path, scope: Scope) -> None:
    """HL7 null: the element is to be deleted. For a choice of types (`value[x]`) nobody can say which one."""
    name = path[-1]
    if name.endswith("[x]"):
        scope.doubt("deletion-not-applied", "the sender deletes a value here; nothing was deleted")
        return
    if any(step.endswith(_FIRST) for step in path):
        return  # the list is said anew by every message: what is not in it is gone
    container(out, path).setdefault(name, None)


def complete(out: Resource, path: Path, default: str) -> None:
    """Puts a default where no rule gave anything."""
    target, name = container(out, path), path[-1]
    if target.get(name) is None:
        target[name] = default
