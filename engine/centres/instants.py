"""How is a moment written in a resource, and read back?"""

from __future__ import annotations

from datetime import UTC, datetime


def written(at: datetime) -> str:
    """A FHIR instant in UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read(text: str) -> datetime:
    return datetime.fromisoformat(text)
