"""Which instances of a study were served once and are not any more? Others may have been told that they are there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.store import as_sent, restating, statements, stating
from engine.store.database import Connection
from engine.store.statements import REJECTION_NOTE, Sent, Served, Statement


@dataclass(frozen=True, slots=True)
class Gone:
    series_uid: str
    sop_uid: str
    sop_class: str


async def gone(connection: Connection, study_uid: str, facility: str) -> list[Gone]:
    """By UIDs that statements took from them or from the study, taken back or not; notes of ours were never served."""
    said = await stating.about(connection, facility, study_uid)
    if not said:
        return []
    studies = {uid for one in said for uid in one.studies}
    effective = {one.id: one for one in await restating.effective(connection, facility, studies)}
    every = {one.id: Statement(one.id, one.kind, one.study_uid, one.said) for one in said} | effective
    order = [every[number] for number in sorted(every)]
    served, once = set[str](), dict[str, Gone]()
    for stored in await as_sent.stored(connection, facility, studies):
        if stored.hidden == REJECTION_NOTE:
            continue
        if not stored.hidden and stored.served_study_uid == study_uid:
            served.add(stored.served_sop_uid)
        for then in _served_once(stored.as_sent, order, effective):
            if then.is_shown and then.study_uid == study_uid:
                once[then.sop_uid] = Gone(then.series_uid, then.sop_uid, stored.sent.sop_class)
    return [one for uid, one in sorted(once.items()) if uid not in served]


def _served_once(sent: Sent, order: list[Statement], effective: dict[int, Statement]) -> Iterator[Served]:
    """Before the statements, and with each of them as it was said, on what was in effect by then."""
    before: list[Statement] = []
    yield statements.served(sent, before)
    for one in order:
        yield statements.served(sent, [*before, statements.standing(one)])
        if one.id in effective:
            before.append(one)
            yield statements.served(sent, before)
