"""What do references point to? Contained resources, and those of a Bundle, as resources that stand by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from engine.mapping.mapped import Resource

_INSIDE = "#"
_NO_RESOURCE = "urn:"


def resources_of_bundle(bundle: Mapping[str, Any]) -> list[Any]:
    """The resources of a Bundle; a reference to the `fullUrl` of an entry becomes one by type and id.

    An entry that is to be created has no id yet: what tells its URL from others is its id.
    """
    entries = bundle.get("entry", [])
    found: list[Any] = []
    known: dict[str, str] = {}
    for entry in entries if isinstance(entries, list) else ():
        resource, url = (entry.get("resource"), entry.get("fullUrl")) if isinstance(entry, dict) else (None, None)
        if isinstance(resource, dict) and isinstance(url, str) and url.startswith(_NO_RESOURCE):
            identity = resource.get("id") or url.rpartition(":")[2]
            resource = {**resource, "id": identity}
            known[url] = f"{resource.get('resourceType')}/{identity}"
        found.append(resource)
    return [_pointing(each, lambda reference: known.get(reference, reference)) for each in found]


def contained_apart(resources: Iterable[Resource]) -> Iterator[Resource]:
    """Every resource without those it contains, and these behind it; `#m` of `mr1` becomes `mr1.m`."""
    for resource in resources:
        contained = resource.get("contained")
        inside = [each for each in contained if isinstance(each, dict)] if isinstance(contained, list) else []
        if not inside:
            yield resource
            continue
        known = {
            f"{_INSIDE}{each.get('id')}": f"{each.get('resourceType')}/{resource.get('id')}.{each.get('id')}"
            for each in inside
        }

        def outside(reference: str, known: Mapping[str, str] = known) -> str:
            return known.get(reference, reference)

        yield _pointing({name: value for name, value in resource.items() if name != "contained"}, outside)
        for each in inside:
            yield _pointing({**each, "id": f"{resource.get('id')}.{each.get('id')}"}, outside)


def _pointing(value: Any, elsewhere: Callable[[str], str]) -> Any:
    """The same value with other references."""
    if isinstance(value, dict):
        return {
            name: elsewhere(each) if name == "reference" and isinstance(each, str) else _pointing(each, elsewhere)
            for name, each in value.items()
        }
    return [_pointing(each, elsewhere) for each in value] if isinstance(value, list) else value
