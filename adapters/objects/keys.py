"""Under which key does an object stand in a bucket? Spread by its hash, and telling nothing of a patient.

    <prefix><2 digits>/<2 digits>/<facility>/<SHA-256 of the data set>.dcm

The digits are the first of the hash, so that a service that divides a bucket by the beginnings of keys divides the load
evenly. Study UIDs are left out: some devices write hospital numbers and birthdays into them.
"""

from __future__ import annotations

import re

from engine.errors import StorageError

_LOCATION = re.compile(
    r"([0-9A-Za-z][0-9A-Za-z._-]*)/(?:[0-9A-Za-z][0-9A-Za-z._-]*/)?(([0-9a-f]{2})([0-9a-f]{2})[0-9a-f]{60}\.dcm)"
)


def key_of(location: str, prefix: str = "") -> str:
    """The key of what lies at `facility/study/hash.dcm`. Raises StorageError for any other location."""
    match = _LOCATION.fullmatch(location)
    if match is None:
        raise StorageError("the location of an object is none", code="location-unsafe")
    facility, name, first, second = match.groups()
    return f"{prefix}{first}/{second}/{facility}/{name}"
