"""Is a study whole, judged by what is known of it? Pure: the same facts at the same moment give the same state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from engine.store.wholeness import MISSING_KEPT, Facts, Judged, State, Statement


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a study must have been quiet.

    whole  before it counts as whole without anybody having said that nothing more will come
    short  before what is missing makes it short, and before its sender is asked what it has
    """

    whole: timedelta
    short: timedelta


def judge(facts: Facts, patience: Patience, asks: bool, at: datetime) -> Judged | None:
    """How it stands; None for a study of which nothing has come and nothing is announced any more.

    asks  whether its sender is still to be asked what it has
    """
    last = max((moment for moment in (facts.stored, facts.said_at) if moment is not None), default=None)
    if last is None:
        return None
    counted = _counted(facts)
    waiting = State.LATE if facts.came_late else State.RECEIVING
    if facts.coming:
        return counted  # it is judged when it falls quiet
    if counted.missing:
        return _after(counted, last + patience.short, waiting, State.SHORT, at)
    if asks:
        return replace(counted, state=waiting, look_at=last + patience.short)
    if facts.came_late:
        return replace(counted, state=State.LATE)
    if facts.whole_at is not None or any(statement.final for statement in facts.statements):
        return _whole(counted, facts)
    judged = _after(counted, last + patience.whole, waiting, State.WHOLE, at)
    return _whole(judged, facts) if judged.state is State.WHOLE else judged


def is_to_be_asked(facts: Facts, patience: Patience, at: datetime) -> bool:
    """Whether it is time to ask the sender of this study: it has sent nothing for long, and was not asked since."""
    return facts.stored is not None and not facts.coming and asks(facts) and facts.stored + patience.short <= at


def asks(facts: Facts) -> bool:
    """Whether its sender has not told what it has since it sent something."""
    return facts.stored is not None and (facts.asked_at is None or facts.asked_at <= facts.stored)


def _counted(facts: Facts) -> Judged:
    return Judged(
        state=State.RECEIVING,
        announced=max((_says(statement) for statement in facts.statements), default=0),
        missing=max([len(facts.absent), *(_short_of(statement, facts) for statement in facts.statements)]),
        missing_uids=tuple(facts.absent[:MISSING_KEPT]),
        sources=tuple(dict.fromkeys(statement.source for statement in facts.statements)),
    )


def _after(counted: Judged, moment: datetime, before: State, then: State, at: datetime) -> Judged:
    if at < moment:
        return replace(counted, state=before, look_at=moment)
    return replace(counted, state=then)


def _whole(counted: Judged, facts: Facts) -> Judged:
    return replace(counted, state=State.WHOLE, whole_at=facts.stored)


def _says(statement: Statement) -> int:
    return max(statement.named, statement.whole or 0, sum(statement.series.values()))


def _short_of(statement: Statement, facts: Facts) -> int:
    """How many fewer there are than it counts."""
    of_series = sum(max(0, count - facts.have.get(uid, 0)) for uid, count in statement.series.items())
    of_study = max(0, (statement.whole or 0) - sum(facts.have.values()))
    return max(of_series, of_study)
