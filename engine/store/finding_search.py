"""Which findings say these words? The newest ones, by the words of code, text, place and rule."""

from __future__ import annotations

from engine.store.database import Connection
from engine.store.finding_list import COLUMNS, FindingLine, of_row

_LONGEST_SEARCH_DAYS = 3653
"""Ten years; a day costs some thirty microseconds."""

# Day by day from the newest, until there are enough: a template that a million messages raised is as quick as a rare
# word. Without the inner `offset 0` the planner would read all findings by their time and look at the words of each.
_BY_WORDS = f"""
select {COLUMNS} from (
    select found.id
    from (select finding_day(max(found_at)) as last, finding_day(min(found_at)) as first from finding) days
    cross join lateral generate_series(days.last, greatest(days.first, days.last - {_LONGEST_SEARCH_DAYS}), -1) day
    cross join lateral (
        select of_day.id from (
            select id, found_at from finding
            where tokens @> array(select day || ' ' || word from unnest($1::text[]) word)
              and not exists (
                  select from unnest($2::text[]) part
                  where strpos(lower(finding_said(code, text, location, rule)), part) = 0
              )
            offset 0
        ) of_day order by of_day.found_at desc, of_day.id desc limit $3
    ) found limit $3
) hit join finding f on f.id = hit.id
order by f.found_at desc, f.id desc
"""


async def by_words(connection: Connection, said: str, limit: int) -> list[FindingLine]:
    """Findings that hold every word of `said`, each written as there, in any order; the newest first.

    Capitals do not count. Nothing is found by a part of a Latin word, nor by punctuation alone.
    """
    words: list[str] = await connection.fetchval("select finding_words($1)", said)
    if not words:
        return []
    rows = await connection.fetch(_BY_WORDS, words, said.lower().split(), limit)
    return [of_row(row) for row in rows]
