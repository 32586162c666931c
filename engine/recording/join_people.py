"""Which Patients are joined or parted because somebody stated it? Links only; every statement can be taken back.

Clinical records stay with the source Patient they came for, and reads expand the links (decision 0014).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from engine.envelope import arrived_at
from engine.finding import Finding, Severity
from engine.identity import Join, JoinKind, Person, chain, disagreements, persons, replacements, with_links
from engine.mapping import Act, Doing
from engine.recording.book import Book
from engine.recording.goldens import person, write_goldens
from engine.recording.work import Work
from engine.store import joins, people
from engine.store.database import Connection
from engine.store.people import Standing
from engine.understanding import Understood

Resource = dict[str, Any]
Put = Callable[[Resource], None]

DOUBTFUL = "merge-doubtful"
_KINDS = {Doing.MERGE: JoinKind.MERGE, Doing.LINK: JoinKind.LINK}


def joined_by(walks: Iterable[Understood]) -> set[str]:
    """Ids of the source Patients that these messages join or part."""
    joining = (act for walk in walks for act in walk.acts if act.doing is Doing.UNLINK or act.doing in _KINDS)
    return {_id(end) for act in joining for end in (act.of, act.to) if end}


async def join_people(work: Work, walks: Sequence[Understood]) -> None:
    """Does what these messages state of persons, one after the other; their source Patients are identified already."""
    for walk in walks:
        for act in walk.acts:
            if act.doing is Doing.UNLINK:
                await _unlink(work, walk, act)
            elif act.doing in _KINDS:
                await _join(work, walk, act)


async def regroup(connection: Connection, book: Book, people_held: dict[str, Standing], put: Put) -> None:
    """Works out the persons, and what Patients and golden Patients say of each other, from the statements that stand.

    people_held  everybody these statements can concern, as `people.hold_people` gave them
    """
    stated = await joins.about(connection, people_held)
    standing = [one.join for one in stated if one.stands]
    forgotten = [one.join for one in stated if not one.stands]
    before = {source: held.golden for source, held in people_held.items()}
    after = persons({source: held.home for source, held in people_held.items()}, standing)
    await people.regroup(connection, after, {source: held.home for source, held in people_held.items()})

    await book.load(f"Patient/{source}" for source in people_held)
    for source in sorted({end for join in (*standing, *forgotten) for end in (join.joined, join.to)}):
        patient = book.get(f"Patient/{source}") if source in people_held else None
        if patient is not None and (linked := with_links(patient, standing, forgotten)) != patient:
            put(linked)
    members = {golden: [s for s in after if after[s] == golden] for golden in {*before.values(), *after.values()}}
    replaced = {golden: after[source] for source, golden in before.items()}
    await write_goldens(book, members, replaced)


async def _join(work: Work, walk: Understood, act: Act) -> None:
    join = Join(_KINDS[act.doing], _id(act.of), _id(act.to))
    if not join.to:
        work.find(_alone(act), walk, act.of)
        return
    held = await _members(work, (join.joined, join.to))
    stated = await joins.about(work.connection, held)
    standing = [one.join for one in stated if one.stands]
    before = [one for one in stated if one.join == join]
    if any(one.envelope == walk.envelope.id and not one.stands for one in before):
        work.find(_stays_undone(act), walk, act.of)
        return
    if _says_so_already(standing, join) or any(one.envelope == walk.envelope.id for one in before):
        return
    if any(not one.stands and one.undone_envelope is None for one in before):
        work.find(_stated_after_undo(act), walk, act.of)
    if join.joined in chain(replacements(standing), join.to):
        work.find(_turned_round(act), walk, act.of)
    if held[join.joined].golden != held[join.to].golden:
        against = disagreements(
            *(_person(work.book, held, held[source].golden).sources for source in (join.joined, join.to))
        )
        if against:
            work.find(_doubtful(against, act), walk, act.of)
    # In the order in which messages came, whenever they are processed.
    late = work.late.get(walk.envelope.id)
    at = arrived_at(late.place if late is not None else walk.envelope.id)
    await joins.state(work.connection, join, walk.envelope.id, None, at)
    await regroup(work.connection, work.book, held, lambda patient: work.put(patient, walk))


async def _unlink(work: Work, walk: Understood, act: Act) -> None:
    one, other = _id(act.of), _id(act.to)
    if not other:
        work.find(_alone(act), walk, act.of)
        return
    held = await _members(work, (one, other))
    pairs = {Join(JoinKind.LINK, one, other), Join(JoinKind.LINK, other, one)}
    links = [each for each in await joins.about(work.connection, held) if each.stands and each.join in pairs]
    for each in links:
        await joins.take_back(work.connection, each.id, None, walk.envelope.id, "unlinked by a message", work.at)
    if links:
        await regroup(work.connection, work.book, held, lambda patient: work.put(patient, walk))
        held = await _members(work, (one, other))
    if held[one].golden == held[other].golden:
        work.find(_still_one(act), walk, act.of)
    elif not links:
        work.find(_were_not_linked(act), walk, act.of)


async def _members(work: Work, sources: Iterable[str]) -> dict[str, Standing]:
    """Everybody of these persons, who are held since they were identified."""
    held = await people.members(work.connection, sources)
    await work.book.load(f"Patient/{standing.golden}" for standing in held.values())
    await work.book.load(f"Patient/{source}" for source in held)
    return held


def _person(book: Book, held: dict[str, Standing], golden: str) -> Person:
    return person(book, golden, [source for source, standing in held.items() if standing.golden == golden])


def _says_so_already(standing: Sequence[Join], join: Join) -> bool:
    if join.kind is JoinKind.MERGE:
        return replacements(standing).get(join.joined) == join.to
    return join in standing or Join(join.kind, join.to, join.joined) in standing


def _id(reference: str) -> str:
    return reference.removeprefix("Patient/")


def _alone(act: Act) -> Finding:
    return Finding(
        "link-of-nobody",
        "The message is to link or unlink patients but names one only; that one was recorded.",
        location=act.location,
    )


def _doubtful(against: Sequence[str], act: Act) -> Finding:
    return Finding(
        DOUBTFUL,
        f"These patients were joined as the sender states, but their {' and '.join(against)} differ. Compare the two; "
        "the join can be undone.",
        location=act.location,
    )


def _turned_round(act: Act) -> Finding:
    return Finding(
        "merge-turned-round",
        "The sender had joined these patients the other way round; its latest word holds.",
        Severity.INFORMATION,
        act.location,
    )


def _stays_undone(act: Act) -> Finding:
    return Finding(
        "merge-undone-before",
        "What this message joined was undone since; processed again, it joins nobody.",
        Severity.INFORMATION,
        act.location,
    )


def _stated_after_undo(act: Act) -> Finding:
    return Finding(
        "merge-after-undo",
        "A person undid this join before, and the sender states it again. It was made; compare the two.",
        location=act.location,
    )


def _still_one(act: Act) -> Finding:
    return Finding(
        "unlink-not-applied",
        "These patients are one person for another reason than a link: a merge, or a personal identifier they share. "
        "A merge can be undone by a person; an identifier is for their facilities to correct.",
        location=act.location,
    )


def _were_not_linked(act: Act) -> Finding:
    return Finding(
        "unlink-of-unlinked",
        "These patients were not linked, so nothing was parted.",
        Severity.INFORMATION,
        act.location,
    )
