"""What did one time of processing a message come to? Its own versions, and apart from them what was so already."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel

from engine.store import processings
from engine.store.inbox import REPLAY_REFUSED
from engine.store.processings import PROCESSED, VersionOf


class How(StrEnum):
    """How a message came to be processed, or how it ended without."""

    PROCESSED = "processed"
    """In its turn."""
    RELEASED = "released"
    """It had been held, and a person let it run."""
    CORRECTED = "corrected"
    """It is a correction, in the place of the message that it stands for."""
    REPLAYED = "replayed"
    REPLAY_REFUSED = "replay-refused"
    """It was to be processed again and could not be understood any more: nothing was written."""
    REFUSED = "refused"
    SKIPPED = "skipped"
    REPLACED = "replaced"


class RecordedResource(BaseModel):
    """A version of a resource."""

    reference: str
    version: int


class LeftResource(BaseModel):
    """What stays because something newer says otherwise: of the whole resource, or of these elements.

    envelope  the newer message; where there is none, `actor` wrote it
    """

    reference: str
    elements: list[str]
    envelope: UUID | None
    actor: str | None


class Processing(BaseModel):
    """One time a message was processed.

    at         when it ended
    mapping    null where nothing mapped it, or where that was not kept: before a replay left it known
    by, why    the person who let it run, or ended it, and the reason given
    wrote      the versions that it wrote this time
    confirmed  what was so already, with the version that stood then: nothing was written
    left       what something newer says otherwise, and stays
    stays      what this message alone said once and says no more; nothing is deleted
    code       with `replay-refused`: of the finding that stopped it
    """

    how: How
    at: datetime
    mapping: str | None
    by: str | None
    why: str | None
    wrote: list[RecordedResource]
    confirmed: list[RecordedResource]
    left: list[LeftResource]
    stays: list[str]
    unmapped: list[str]
    code: str | None


def told(times: Sequence[processings.Processing], *, is_correction: bool) -> list[Processing]:
    return [_told(each, is_correction) for each in times]


def counted(processing: Processing) -> str:
    """`versions written: 2; already so: 1`, and what was left."""
    said = [f"versions written: {len(processing.wrote)}"]
    if processing.confirmed:
        said.append(f"already so: {len(processing.confirmed)}")
    if processing.left:
        said.append(f"left as something newer says: {len({each.reference for each in processing.left})}")
    return "; ".join(said)


def _told(each: processings.Processing, is_correction: bool) -> Processing:
    replay = each.replay or {}
    return Processing(
        how=_how(each, is_correction),
        at=each.at,
        mapping=each.mapping,
        by=each.by,
        why=each.why,
        wrote=[_recorded(version) for version in each.wrote],
        confirmed=[_recorded(version) for version in each.confirmed],
        left=[LeftResource(**left) for left in replay.get("left", ())],
        stays=replay.get("stays", []),
        unmapped=each.unmapped,
        code=replay.get("refused"),
    )


def _how(each: processings.Processing, is_correction: bool) -> How:
    if each.state == REPLAY_REFUSED:
        return How.REPLAY_REFUSED
    if each.again:
        return How.REPLAYED
    if each.state != PROCESSED or each.by is None:
        return How(each.state)
    return How.CORRECTED if is_correction else How.RELEASED


def _recorded(version: VersionOf) -> RecordedResource:
    return RecordedResource(reference=version.reference, version=version.version)
