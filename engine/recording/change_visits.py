"""What becomes of visits and numbers that the sender joins, moves or retires?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from engine.finding import Finding
from engine.mapping import Act, Doing
from engine.recording.merge import merge
from engine.recording.work import Work
from engine.store import people, records
from engine.store.tokens import of_reference
from engine.understanding import Understood

Resource = dict[str, Any]

_OF_A_PATIENT = ("subject", "for", "patient")
"""Elements that say whose a record is."""


async def change_visits(work: Work, walks: Sequence[Understood]) -> None:
    for walk in walks:
        for act in walk.acts:
            if act.doing is Doing.RETIRE_NUMBER:
                await _retire_number(work, walk, act)
            elif act.doing is Doing.JOIN_VISIT:
                await _join_visit(work, walk, act)
            elif act.doing is Doing.MOVE_VISIT:
                await _move_visit(work, walk, act)


async def _retire_number(work: Work, walk: Understood, act: Act) -> None:
    await work.book.load([act.of])
    known = work.book.get(act.of)
    if known is not None and act.identifier is not None:
        work.put(merge(known, {**known, "identifier": [act.identifier]}), walk)


async def _join_visit(work: Work, walk: Understood, act: Act) -> None:
    """The earlier visit becomes a part of the other; a visit never seen before is what it was under its old number."""
    await work.book.load([act.of, act.to])
    earlier, now = work.book.get(act.of), work.book.get(act.to)
    if now is None:
        return  # PV1 is missing, and the mapping has said so.
    old_number = {"identifier": [act.identifier]} if act.identifier is not None else {}
    if earlier is not None:
        part = {**merge(earlier, {**earlier, **old_number}), "partOf": {"reference": act.to}}
        if work.book.stored(act.to) is None:
            stated = {name: value for name, value in now.items() if name != "status" or value != "unknown"}
            now = merge({**earlier, "id": now["id"]}, stated)
        work.put(part, walk)
    work.put(merge(now, {**now, **old_number}), walk)


async def _move_visit(work: Work, walk: Understood, act: Act) -> None:
    """The visit and everything that refers to it is of the other patient from now on.

    Nothing is moved away from somebody the message does not name: the visit may have been moved before.
    """
    await work.book.load([act.of, act.to])
    visit = work.book.get(act.of)
    if visit is None:
        work.find(_unknown_visit(act), walk, act.of)
        return
    owner = (visit.get("subject") or {}).get("reference", "")
    late = work.late.get(walk.envelope.id)
    if owner == act.to or (late is not None and "subject" in work.history.changed_since(late, act.of)):
        return
    if not await _is_of(work, owner, act.before):
        work.find(_somebody_elses(act), walk, act.of)
        return
    for reference in [act.of, *await _what_belongs_to(work, act.of)]:
        resource = work.book.get(reference)
        if resource is not None and (moved := _given_to(resource, owner, act.to)) is not resource:
            work.put(moved, walk)
            if resource["resourceType"] == "ServiceRequest":
                work.moved_orders.append((walk, resource["id"]))


async def _is_of(work: Work, owner: str, before: str) -> bool:
    """Whether the visit stands with the patient it is to be moved from, or with another number of that person."""
    if not before or owner == before:
        return True
    ids = [reference.removeprefix("Patient/") for reference in (owner, before)]
    links = await people.links_of(work.connection, ids)
    return ids[0] in links and links[ids[0]] == links.get(ids[1])


async def _what_belongs_to(work: Work, visit: str) -> list[str]:
    """What refers to the visit, and what refers to those orders: studies, reports, requests."""
    found = await records.carrying(work.connection, [of_reference("encounter", visit)])
    orders = [reference for reference in found if reference.startswith("ServiceRequest/")]
    tokens = [of_reference(by, order) for order in orders for by in ("based-on", "focus")]
    found = list(dict.fromkeys([*found, *(await records.carrying(work.connection, tokens) if tokens else ())]))
    await work.book.load(found)
    return found


def _given_to(resource: Resource, owner: str, to: str) -> Resource:
    for name in _names(resource, owner):
        resource = {**resource, name: {**resource[name], "reference": to}}
    return resource


def _names(resource: Resource, owner: str) -> Iterable[str]:
    for name in _OF_A_PATIENT:
        held = resource.get(name)
        if isinstance(held, dict) and held.get("reference") == owner:
            yield name


def _unknown_visit(act: Act) -> Finding:
    return Finding(
        "move-not-applied", "The visit to be moved is not known here; nothing was moved.", location=act.location
    )


def _somebody_elses(act: Act) -> Finding:
    return Finding(
        "move-not-applied",
        "The visit to be moved stands with another patient than the one it is to be moved from; nothing was moved.",
        location=act.location,
    )
