"""Does a data set match keys that no index knows? Attribute matching of PS3.4 C.2.2.2, sequences included."""

from __future__ import annotations

from collections.abc import Iterable

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from engine.store.imaging_names import name_matches
from engine.store.patterns import matches
from pacs_gateway.query.identifier import UNREADABLE, malformed

DEPTH_LIMIT = 10
"""Sequences within sequences of a key: real ones have two."""

_RANGES = frozenset(("DA", "TM", "DT"))
_SEPARATORS = str.maketrans("", "", ".:")
_PATTERNS = frozenset(("AE", "CS", "LO", "LT", "SH", "ST", "UC", "UR", "UT"))


def satisfies(known: Dataset, keys: Dataset) -> bool:
    """Raises ParseError `query-malformed` over keys that cannot be read."""
    return _satisfies(known, keys, 0)


def _satisfies(known: Dataset, keys: Dataset, depth: int) -> bool:
    if depth > DEPTH_LIMIT:
        raise malformed("sequences are nested too deeply")
    try:
        return all(_matches(known, key, depth) for key in keys if key.tag.element != 0)
    except UNREADABLE as error:
        raise malformed() from error


def _matches(known: Dataset, key: DataElement, depth: int) -> bool:
    if key.VR == "SQ":
        return _matches_sequence(known, key, depth)
    wanted = [value for value in _values(key) if value]
    if not any(value.strip("*") for value in wanted):
        return True
    present = _present(known, key)
    vr = dictionary_VR(key.tag) if dictionary_has_tag(key.tag) else key.VR
    return any(_matches_value(vr, pattern, value) for pattern in wanted for value in present)


def _matches_sequence(known: Dataset, key: DataElement, depth: int) -> bool:
    """Each item of the key is matched by some item; an item without keys by none at all too."""
    items = _items(known, key)
    for item in key.value or []:
        if not len(item):
            continue
        if not any(_satisfies(one, item, depth + 1) for one in items or [Dataset()]):
            return False
    return True


def _matches_value(vr: str, pattern: str, value: str) -> bool:
    if vr == "PN":
        return name_matches(pattern, value)
    if vr in _RANGES:
        return _is_within(pattern, value)
    if vr in _PATTERNS:
        return matches(pattern, value)
    return pattern == value


def _is_within(pattern: str, value: str) -> bool:
    """One value is a range too: an hour, or a minute, means all of it. Points and colons stand in old ones."""
    first, dash, last = pattern.partition("-")
    first, last, value = (part.strip().translate(_SEPARATORS) for part in (first, last if dash else first, value))
    return value[:1].isdigit() and first <= value and (not last or value[: len(last)] <= last)


def _items(known: Dataset, key: DataElement) -> Iterable[Dataset]:
    try:
        return known[key.tag].value if key.tag in known and known[key.tag].VR == "SQ" else ()
    except UNREADABLE:
        return ()  # as of a garbled value


def _present(known: Dataset, key: DataElement) -> list[str]:
    if key.tag not in known:
        return []
    try:
        return _values(known[key.tag])
    except UNREADABLE:
        return []  # what a device has garbled matches nothing


def _values(element: DataElement) -> list[str]:
    value = element.value
    if value is None:
        return []
    several = value if element.VM > 1 else [value]
    return [str(one).strip(" \0") for one in several]
