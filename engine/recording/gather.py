"""What does a report on record take from an older statement of it that came late? What nothing newer contradicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from engine.recording.late import History, with_unknown
from engine.recording.merge import WHOLE, merge
from engine.recording.precedence import result_too_late
from engine.store.versions import Version

Resource = dict[str, Any]


def gathered(current: Resource, older: Resource, envelope: UUID, history: History) -> Resource:
    """The report as if `older` had come before what is on record; `current` itself where it brings nothing.

    A correction says the results that it corrects. When it comes first, the original brings the others: they are
    gathered in front of it, with every element and identifier that nobody else has said. Where something newer said
    all of its results (`final`), nothing is gathered. `history` gives the versions of the report and who spoke of what.
    """
    reference = f"{current['resourceType']}/{current['id']}"
    said = merge(None, older)
    others = [version for version in history.versions.get(reference, ()) if version.envelope != envelope]
    newer = [version for version in others if _is_behind(said, version.body)]
    if WHOLE in (current.get("status"), *(version.body.get("status") for version in newer)):
        return current
    after = {**said, **current}
    if said.get("identifier") and current.get("identifier"):
        after["identifier"] = with_unknown(current["identifier"], said["identifier"])
    if said.get("result"):
        gone = _gone(said, [version for version in others if version not in newer], newer, history)
        after["result"] = _in_front([each for each in current.get("result", ()) if each not in gone], said["result"])
    return after


def _gone(said: Resource, before: Sequence[Version], newer: Sequence[Version], history: History) -> list[Any]:
    """What only statements before this one said of a report that says all of its results now."""
    if said.get("status") != WHOLE:
        return []
    once = [each for version in before for each in version.body.get("result", ())]
    return [each for each in once if each not in said["result"] and not _spoken(each, newer, history)]


def _in_front(known: list[Any], older: list[Any]) -> list[Any]:
    """In the order in which they would have come; as they stand where all are there, so that repeats change nothing."""
    if all(each in known for each in older):
        return known
    return [*older, *(each for each in known if each not in older)]


def _spoken(result: Resource, newer: Sequence[Version], history: History) -> bool:
    """Whether something newer spoke of a result, or may have: what is not known of a message takes nothing away."""
    told = [history.spoken.get(version.envelope) if version.envelope is not None else None for version in newer]
    return any(spoken is None or str(result.get("reference")) in spoken for spoken in told)


def _is_behind(older: Resource, newer: Resource) -> bool:
    states = newer.get("status") or "", older.get("status") or ""
    return result_too_late(*states, newer.get("issued") or "", older.get("issued") or "") is not None
