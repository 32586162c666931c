"""What is wrong with the store of objects? Findings that stay open for as long as it is, each once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from engine.finding import Finding, Severity
from engine.identifiers import resource_id
from engine.store import findings
from engine.store.audit import SYSTEM
from engine.store.claims import claim_in_turn
from engine.store.database import Connection
from engine.store.findings import Raised

NOT_MOVED = "objects-not-moved"
MISSING = "object-missing"
DAMAGED = "object-damaged"
UNINDEXED = "object-unindexed"
SPOOL_DAMAGED = "spool-damaged"
_SAID = {
    DAMAGED: "the disk does not give back an object as it was flushed and answered; it stays in the spool, in no "
    "study: have it sent again, and look after the disk",
    UNINDEXED: "an object that was flushed and answered cannot be entered into the index; it stays in the spool, in no "
    "study, and is tried again at every start: report what the log says of it",
}


async def objects_wait(connection: Connection, channel: str, number: int, why: str, at: datetime) -> None:
    """The objects of one process of a channel stay in its spool; nothing is added while that is told already."""
    await connection.execute(
        """
        insert into finding (id, code, severity, text, channel, about, found_at)
        select gen_random_uuid(), $1, $2, $3, $4, $5, $6
        where not exists (select from finding where code = $1 and about = $5 and settled_at is null)
        """,
        NOT_MOVED,
        str(Severity.ERROR),
        f"objects wait in the spool, nothing of them is lost: {why}",
        channel,
        f"{_spool(channel)}/{number}",
        at,
    )


async def objects_move_again(connection: Connection, channel: str, folders: Sequence[str], at: datetime) -> None:
    """Of these processes the spools are empty."""
    emptied = [f"{_spool(channel)}/{folder}" for folder in folders]
    for about in (*emptied, _spool(channel)):  # the last as it was told before, of all of them
        await findings.settle(connection, NOT_MOVED, about, "the spool was emptied into the store", at)


async def object_is_missing(connection: Connection, location: str, at: datetime) -> None:
    """What the index says to be at a location, `facility/study/…`, is not there; told once, whoever finds it out.

    In the caller's transaction.
    """
    await claim_in_turn(connection, f"missing {location}")
    facility, study_uid = [*location.split("/"), ""][:2]
    # By the index first; the whole table only for an object that was put into another study since.
    # What was decided of an object is written behind the key of its location (`engine.store.statements`).
    key = "split_part(i.location, '!', 1) = $1"
    for where in (f"i.facility = $2 and i.study_uid = $3 and {key}", key):
        gone = await connection.fetchrow(
            f"""
            select i.sop_uid, i.study_uid, i.facility, s.channel
            from instance i left join study s on s.uid = i.study_uid and s.facility = i.facility
            where ($2 || $3) is not null and {where} limit 1
            """,
            location,
            facility,
            study_uid,
        )
        if gone is not None:
            break
    else:
        return
    study = gone["study_uid"]
    await connection.execute(
        """
        insert into finding (id, code, severity, text, location, channel, about, found_at)
        select gen_random_uuid(), $1, $2, $3, $4, $5, $6, $8
        where not exists (select from finding
                          where code = $1 and about in ($6, $7) and location = $4 and settled_at is null)
        """,
        MISSING,
        str(Severity.ERROR),
        "an object that was stored and verified is not in the store any more; bring it back from a backup, or have "
        "it sent again",
        f"Instance/{gone['sop_uid']}",
        gone["channel"],
        f"ImagingStudy/{resource_id('ImagingStudy', gone['facility'], study)}",
        f"ImagingStudy/{study}",  # as it was told before
        at,
    )


async def objects_are(connection: Connection, code: str, channel: str, sop_uids: Sequence[str], at: datetime) -> None:
    """What was flushed and answered is DAMAGED or UNINDEXED; each is told once until somebody settles it."""
    await connection.execute(
        """
        insert into finding (id, code, severity, text, location, channel, about, found_at)
        select gen_random_uuid(), $1, $2, $3, said.instance, $4, said.instance, $6
        from unnest($5::text[]) as said (instance)
        where not exists (select from finding where code = $1 and about = said.instance and settled_at is null)
        """,
        code,
        str(Severity.ERROR),
        _SAID[code],
        channel,
        [f"Instance/{uid}" for uid in dict.fromkeys(sop_uids)],
        at,
    )


async def segments_are_damaged(connection: Connection, channel: str, names: Sequence[str], at: datetime) -> None:
    """Files of the spool hold objects that were answered, of which nobody can say which; each is told once for all."""
    text = (
        "the disk has lost what a segment of the spool said of at least one object that was answered; which one cannot "
        "be told. What else is in it goes on, and the file is kept: have what was sent lately compared with what is "
        "here, look after the disk, then move the file away while the gateway is stopped"
    )
    raised = [
        Raised(
            Finding(SPOOL_DAMAGED, text, Severity.ERROR, location=name, once=name),
            about=f"{_spool(channel)}/{name}",
            channel=channel,
        )
        for name in names
    ]
    await findings.raise_many(connection, raised, at)


async def objects_are_indexed(connection: Connection, sop_uids: Sequence[str], at: datetime) -> None:
    """What was UNINDEXED has its row now."""
    await connection.execute(
        """
        update finding set settled_at = $3, settled_by = $4, settlement = 'it has been entered into the index'
        where code = $1 and about = any($2::text[]) and settled_at is null
        """,
        UNINDEXED,
        [f"Instance/{uid}" for uid in sop_uids],
        at,
        SYSTEM,
    )


def _spool(channel: str) -> str:
    return f"Spool/{channel}"
