"""What do the resources that a message states become on the record? The same for a recording and for a look ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from engine.codecs import fhir_json
from engine.recording.ended_visits import as_it_stood
from engine.recording.gather import gathered
from engine.recording.late import History, Late, Withheld, may_say, withheld
from engine.recording.merge import merge
from engine.recording.precedence import Late as Precedence
from engine.recording.precedence import compared, result_too_late
from engine.recording.superseded import TooLate, too_late
from engine.understanding import Understood

Resource = dict[str, Any]
Get = Callable[[str], Resource | None]
Put = Callable[[Resource], None]

_VISIT = "Encounter"
_OF_A_STATE = ("DiagnosticReport", "Observation")


@dataclass(slots=True)
class Stated:
    """What of a message was not recorded: it came too late, or something newer had been said."""

    too_late: list[TooLate] = field(default_factory=list)
    withheld: list[Withheld] = field(default_factory=list)


def doubtful(walks: Sequence[Understood], get: Get) -> Iterator[str]:
    """Reports on record that are newer than what came: their results may be older than that, or lack some of it."""
    for walk in walks:
        for resource in walk.resources:
            if resource["resourceType"] == "DiagnosticReport":
                known = get(_reference(resource)) or {}
                times = known.get("issued") or "", resource.get("issued") or ""
                states = known.get("status") or "", resource.get("status") or ""
                if compared(*times) > 0 or result_too_late(*states, *times):
                    yield _reference(resource)


def state_resources(walk: Understood, late: Late | None, history: History, get: Get, put: Put) -> Stated:
    """Puts everything that this message may say. `get` gives what is on record, with what was put before."""
    stated = Stated()
    envelope = walk.envelope.id
    seen = get if late is None else partial(history.seen, envelope, late)
    meant = _meant(walk, seen)
    said = [each for reference, each in meant.items() if reference not in walk.only_if_missing]
    stated.too_late = list(too_late(said, seen, partial(history.said_at, envelope, late)))
    left = {each.reference for each in stated.too_late}
    for reference, resource in meant.items():
        current = get(reference)
        if current is not None and reference in walk.only_if_missing:
            continue
        if late is None:
            if reference not in left:
                put(merge(current, resource))
            elif current is not None:
                _gather(current, resource, walk, history, put)
            continue
        if reference not in left and _is_unsettled_again(current, resource, late, history):
            left.add(reference)
        if reference not in left:
            _put_late(current, resource, late, history, put, stated)
        elif current is not None:
            after = _gather(current, resource, walk, history, put)
            stated.withheld += _left(current, after, resource, walk, history)
    if late is not None and late.replayed:
        _take_back(walk, meant, history, left, get, put)
    return stated


def _meant(walk: Understood, seen: Get) -> Mapping[str, Resource]:
    """What it states, by reference; of a visit as what was known of it makes it."""
    visits = {
        reference: as_it_stood(seen(reference), resource)
        for reference, resource in walk.by_reference.items()
        if resource["resourceType"] == _VISIT
    }
    return {**walk.by_reference, **visits} if visits else walk.by_reference


def _put_late(
    current: Resource | None, resource: Resource, late: Late, history: History, put: Put, stated: Stated
) -> None:
    changed = history.changed_since(late, _reference(resource))
    after = merge(current, may_say(current, resource, changed))
    if changed and current is not None:
        stated.withheld += withheld(after, merge(current, resource), changed)
    put(after)


def _is_unsettled_again(current: Resource | None, resource: Resource, late: Late, history: History) -> bool:
    """What is not final says nothing of what something newer has settled."""
    if current is None or resource["resourceType"] not in _OF_A_STATE:
        return False
    states = current.get("status") or "", resource.get("status") or ""
    unsettled = result_too_late(*states) is Precedence.PRELIMINARY
    return unsettled and "status" in history.changed_since(late, _reference(resource))


def _gather(current: Resource, resource: Resource, walk: Understood, history: History, put: Put) -> Resource:
    """Of a report that comes too late, what nothing newer contradicts; of anything else nothing."""
    if resource["resourceType"] != "DiagnosticReport":
        return current
    after = gathered(current, resource, walk.envelope.id, history)
    if not fhir_json.same(current, after):
        put(after)
    return after


def _left(
    current: Resource, after: Resource, resource: Resource, walk: Understood, history: History
) -> Iterator[Withheld]:
    """To whoever wrote the last version that is not the message's own; whole, unless something of it was gathered."""
    reference, wanted = _reference(resource), merge(after, resource)
    otherwise = {element for element in wanted.keys() | after.keys() if wanted.get(element) != after.get(element)}
    if not otherwise:
        return
    others = [v for v in history.versions.get(reference, ()) if v.envelope is None or v.envelope != walk.envelope.id]
    last = others[-1] if others else None
    elements = tuple(sorted(otherwise)) if after is not current else ()
    yield Withheld(reference, elements, last.envelope if last else None, last.actor if last else None)


def _take_back(
    walk: Understood, meant: Mapping[str, Resource], history: History, left: set[str], get: Get, put: Put
) -> None:
    """What this message was the last to say, and by today's mapping says no more, goes."""
    changed_by_act = {reference for act in walk.acts for reference in (act.of, act.to)}
    for reference, resource in meant.items():
        current = get(reference)
        if current is None or reference in left | changed_by_act | walk.only_if_missing:
            continue
        gone = history.owned(walk.envelope.id, reference) - resource.keys()
        if gone & current.keys():
            put({element: value for element, value in current.items() if element not in gone})


def _reference(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"
