"""Which resources answer a search? Tokens under a GIN index, newest first, page by page along a key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from engine.store.database import Connection
from engine.store.reading import COLUMNS, Text, of_row


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: the last resource on it."""

    last_updated: datetime
    id: str


@dataclass(frozen=True, slots=True)
class Search:
    """What is asked of one resource type.

    all_of         groups of tokens: a resource has at least one token of every group
    ids            None for any id
    updated_from   inclusive
    updated_until  exclusive
    after          where the page before ended; None for the first page
    """

    type: str
    all_of: tuple[tuple[str, ...], ...] = ()
    ids: tuple[str, ...] | None = None
    updated_from: datetime | None = None
    updated_until: datetime | None = None
    after: Place | None = None

    def on_any_page(self) -> Search:
        return replace(self, after=None)


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the answer. `next` is where the following page begins; None when this is the last."""

    resources: Sequence[Text]
    next: Place | None


async def page(connection: Connection, search: Search, limit: int) -> Page:
    """Up to `limit` resources, the last updated first.

    One that is updated while somebody pages moves to the front, so it can be missing from the pages still to come.
    """
    condition, arguments = _condition(search)
    rows = await connection.fetch(
        f"select {COLUMNS} from resource r where {condition} order by r.last_updated desc, r.id limit {limit + 1:d}",
        *arguments,
    )
    resources = [of_row(row) for row in rows[:limit]]
    more = len(rows) > limit
    return Page(resources, Place(resources[-1].last_updated, resources[-1].id) if more and resources else None)


async def total(connection: Connection, search: Search) -> int:
    """How many resources answer the search, on all pages together."""
    condition, arguments = _condition(search.on_any_page())
    matches: int = await connection.fetchval(f"select count(*) from resource r where {condition}", *arguments)
    return matches


async def ids_with(connection: Connection, resource_type: str, any_of: Sequence[str], limit: int) -> list[str]:
    """Ids of the resources that have one of these tokens."""
    rows = await connection.fetch(
        "select r.id from resource r where r.type = $1 and r.tokens && $2::text[] limit $3",
        resource_type,
        list(any_of),
        limit,
    )
    return [row["id"] for row in rows]


def _condition(search: Search) -> tuple[str, list[Any]]:
    """The where clause and its arguments; only numbers of arguments are ever written into the statement."""
    arguments: list[Any] = [search.type]
    clauses = ["r.type = $1"]

    def add(clause: str, *values: Any) -> None:
        places = range(len(arguments) + 1, len(arguments) + 1 + len(values))
        arguments.extend(values)
        clauses.append(clause.format(*(f"${place}" for place in places)))

    certain = [group[0] for group in search.all_of if len(group) == 1]
    if certain:
        add("r.tokens @> {}::text[]", certain)
    for group in search.all_of:
        if len(group) != 1:
            add("r.tokens && {}::text[]", list(group))
    if search.ids is not None:
        add("r.id = any({}::text[])", list(search.ids))
    if search.updated_from is not None:
        add("r.last_updated >= {}", search.updated_from)
    if search.updated_until is not None:
        add("r.last_updated < {}", search.updated_until)
    if search.after is not None:
        # Both sides are needed: the first bounds the index scan, the second drops what was shown of that moment.
        add(
            "r.last_updated <= {0} and (r.last_updated < {0} or r.id > {1})",
            search.after.last_updated,
            search.after.id,
        )
    return " and ".join(clauses), arguments
