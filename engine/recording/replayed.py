"""What did processing a message late, or again, change of the record? Said of each message by itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.finding import Finding, Severity
from engine.recording.late import Withheld
from engine.recording.work import Work
from engine.understanding import Understood

SAID_NO_MORE = "said-no-more"


@dataclass(frozen=True, slots=True)
class Replayed:
    """Every resource that a message speaks of is in exactly one of changed, left and same.

    changed  with their new versions, `Observation/…@2`
    left     what stays as it is because something newer says otherwise; of one that is changed too, those elements
    same     how many are as they were because nothing is said otherwise
    stays    what the message alone said once and says no more; nothing is deleted
    """

    changed: Sequence[str]
    left: Sequence[Withheld]
    same: int
    stays: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        """What is kept of it, and told: references and who said what, never a value."""
        return {
            "changed": list(self.changed),
            "left": [
                {
                    "reference": each.reference,
                    "elements": list(each.elements),
                    "envelope": str(each.envelope) if each.envelope else None,
                    "actor": each.actor,
                }
                for each in self.left
            ],
            "same": self.same,
            "stays": list(self.stays),
        }


def replayed(work: Work, walk: Understood) -> Replayed:
    """Asked once everything of this recording stands in the book."""
    envelope = walk.envelope.id
    told = work.touched(envelope) | _stated(walk)
    changed = [work.book.label(each, envelope) for each in told if work.book.wrote(each, envelope)]
    left = list(dict.fromkeys(work.withheld.get(envelope, ())))
    otherwise = {label.partition("@")[0] for label in changed} | {each.reference for each in left}
    return Replayed(changed, left, len(told.keys() - otherwise), work.history.said_no_more(walk, told))


def of_what_stays(walk: Understood, stays: Iterable[str]) -> list[Finding]:
    """One finding for each kind of resource and change of a mapping, however many messages said one."""
    kinds = sorted({reference.partition("/")[0] for reference in stays})
    return [
        Finding(
            SAID_NO_MORE,
            f"Messages that were processed again said {kind} resources once and by today's mapping say them no more. "
            "They stay on record until a person decides; `hutong replay` names them.",
            Severity.WARNING,
            once=f"{kind} {walk.mapping}",
        )
        for kind in kinds
    ]


def _stated(walk: Understood) -> dict[str, None]:
    references = (f"{resource['resourceType']}/{resource['id']}" for resource in walk.resources)
    return dict.fromkeys(each for each in references if each not in walk.only_if_missing)
