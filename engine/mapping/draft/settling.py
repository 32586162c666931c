"""Which rows would settle what a sender always does? Those that the advice of its findings names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from engine.mapping.draft.survey import Survey
from engine.mapping.draft.trial import Met, Trial

_ALWAYS = 0.5
"""Of the messages that fill the field; what is rarer is a slip, and no habit of the sender."""
_RULE = re.compile(r"\{rule: ([^,}]+)")


@dataclass(frozen=True, slots=True)
class WayOut:
    """A row that waits, for which resource, and what it would settle."""

    resource: str
    row: str
    why: str


def ways_out(each: Survey, trial: Trial) -> Iterator[WayOut]:
    """Each row once; of a mapping that is drafted whole none, for its rows are still to be written."""
    told: set[tuple[str, str]] = set()
    for met, count in trial.met.items():
        if each.definition is None or met.mapping != each.name or not _is_a_habit(met, count, each, trial):
            continue
        for row in met.rows:
            resource = _resource(row, each)
            if resource and (resource, row) not in told:
                told.add((resource, row))
                messages = trial.mapped[met.mapping]
                text = met.text.replace(f": {row}", "").replace(f" {row}", "")
                yield WayOut(resource, row, f"{met.code} at {met.field} in {count} of {messages} messages: {text}")


def _is_a_habit(met: Met, count: int, each: Survey, trial: Trial) -> bool:
    segment, _, number = met.field.partition("-")
    column = each.profile.columns.get((segment, int(number))) if number.isdecimal() else None
    of = min(trial.mapped[met.mapping], column.filled) if column is not None else trial.mapped[met.mapping]
    return count >= _ALWAYS * of


def _resource(row: str, each: Survey) -> str:
    """The resource that has a row of this name."""
    named = _RULE.match(row)
    assert each.definition is not None
    for entry in each.definition.resources:
        if named is not None and any(rule.id == named[1] for rule in entry.rules):
            return entry.resource
    return ""
