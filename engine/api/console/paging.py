"""How is a long list handed over page by page? One opaque cursor per list, checked before it is used."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query

from engine.errors import ParseError

Limit = Annotated[int, Query(ge=1, le=500)]
Cursor = Annotated[str | None, Query(max_length=100)]


def id_of(cursor: str | None) -> UUID | None:
    """Raises ParseError for a cursor that no answer gave out."""
    try:
        return UUID(cursor) if cursor is not None else None
    except ValueError:
        raise ParseError("expected the `next` of the page before", location="after", code="bad-parameter") from None
