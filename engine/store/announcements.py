"""What was said of a study by those who made, sent or keep it? Which instances it has, or how many there are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from engine.store.database import Connection


class Source(StrEnum):
    """How it was said."""

    MPPS = "mpps"
    COMMITMENT = "commitment"
    QUERY = "query"
    """The sender was asked, and answered."""
    TRANSFER = "transfer"
    """Another hub sends it, and says what it consists of."""


@dataclass(frozen=True, slots=True)
class Announced:
    """One instance (`sop_uid`), or how many instances a series or a study has (`count`)."""

    sop_uid: str = ""
    series_uid: str = ""
    study_uid: str = ""
    """May be empty where an instance is named: it is then that of the instance in the index, or of the others that are
    announced with it where those are all of one study."""
    count: int | None = None


MOST_SAID = 100_000
"""Instances of one announcement. The largest studies have some ten thousand."""
_MOST_COUNTED = 1_000_000
_UID = re.compile(r"[0-9][0-9.]{0,63}")


async def announce(
    connection: Connection,
    *,
    channel: str,
    facility: str,
    source: Source,
    about: str,
    said_by: str,
    said: Sequence[Announced],
    at: datetime,
) -> None:
    """Replaces what was said before under (facility, source, about); an empty `said` takes it back.

    In the caller's transaction. The studies that are named now, or were before, are judged again soon after its commit.
    What names no possible UID, or counts impossibly, is left out. What a person said will not come stays waived.

    about    the procedure step, the transaction or the question that it was said with
    said_by  AE title
    """
    possible = [one for one in said[:MOST_SAID] if _is_possible(one)]
    placed = await _placed(connection, facility, possible)
    gone = await connection.fetch(
        """
        delete from announced_instance where facility = $1 and source = $2 and about = $3
        returning study_uid, series_uid, sop_uid, waived_at, waived_by, waived_why
        """,
        facility,
        source,
        about,
    )
    waived = {(row["study_uid"], row["sop_uid"]): row for row in gone if row["waived_at"] is not None}
    # Of a series that is counted the number is what is said; an instance that is named twice is one.
    rows = {(one.study_uid, one.sop_uid or f"series {one.series_uid}"): one for one in placed}
    await connection.executemany(
        """
        insert into announced_instance
            (facility, source, about, said_by, said_at, study_uid, series_uid, sop_uid, count)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        """,
        [
            (
                facility,
                source,
                about,
                said_by,
                at,
                study,
                one.series_uid,
                one.sop_uid,
                None if one.sop_uid else one.count,
            )
            for (study, _), one in rows.items()
        ],
    )
    await connection.executemany(
        """
        update announced_instance set waived_at = $6, waived_by = $7, waived_why = $8
        where facility = $1 and source = $2 and about = $3 and study_uid = $4 and sop_uid = $5
        """,
        [
            (facility, source, about, *key, row["waived_at"], row["waived_by"], row["waived_why"])
            for key, row in waived.items()
            if key[1]  # a number that is said again may be another one
        ],
    )
    studies = {study for study, _ in rows} | {row["study_uid"] for row in gone}
    await judge_again(connection, channel, facility, studies - {""}, at)


async def waive(connection: Connection, study_uid: str, facility: str, by: str, why: str, at: datetime) -> int:
    """A person says that what is missing of a study will not come; how many statements that concerns."""
    row = await connection.fetchrow(
        """
        with waived as (
            update announced_instance a set waived_at = $3, waived_by = $4, waived_why = $5
            where study_uid = $1 and facility = $2 and waived_at is null
              and not exists (select from instance i
                              where i.sop_uid = a.sop_uid and i.facility = a.facility and not i.conflict)
              and not exists (select from instance_as_sent i where i.sop_uid = a.sop_uid and i.facility = a.facility)
            returning 1
        ) select count(*) as number from waived
        """,
        study_uid,
        facility,
        at,
        by,
        why,
    )
    await connection.execute(
        "update study_state set look_at = $3 where uid = $1 and facility = $2", study_uid, facility, at
    )
    number: int = row["number"]
    return number


async def judge_again(
    connection: Connection, channel: str, facility: str, study_uids: Iterable[str], at: datetime
) -> None:
    """Has the gateway judge these studies, of which nothing may have come yet, whether they are whole."""
    await connection.execute(
        """
        insert into study_state (uid, facility, channel, state, since, look_at)
        select uid, $2, $1, 'receiving', $4, $4 from unnest($3::text[]) uid order by uid
        on conflict (uid, facility) do update set look_at = $4
        """,
        channel,
        facility,
        sorted(study_uids),
        at,
    )


def _is_possible(one: Announced) -> bool:
    if not all(not uid or _UID.fullmatch(uid) for uid in (one.sop_uid, one.series_uid, one.study_uid)):
        return False
    if one.sop_uid:
        return True
    return bool(one.study_uid) and one.count is not None and 0 <= one.count <= _MOST_COUNTED


async def _placed(connection: Connection, facility: str, said: Sequence[Announced]) -> list[Announced]:
    """Each with its study, as far as that can be told."""
    if all(one.study_uid for one in said):
        return list(said)
    rows = await connection.fetch(
        "select sop_uid, study_uid from instance where facility = $1 and sop_uid = any($2::text[]) and not conflict",
        facility,
        [one.sop_uid for one in said if not one.study_uid],
    )
    known = {row["sop_uid"]: row["study_uid"] for row in rows}
    named = {one.study_uid for one in said} | set(known.values())
    only = next(iter(named - {""})) if len(named - {""}) == 1 else ""
    return [one if one.study_uid else replace(one, study_uid=known.get(one.sop_uid, only)) for one in said]
