"""What was looked at a moment ago? The objects of series, and the looks that are in the audit already.

A viewer fetches a series by its instances, hundreds of them within seconds. Its first request has the whole series
looked up, and written into the audit that its user looks at it; those that follow need the database for neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engine.store.audit import Audited
from engine.store.imaging_reading import Held
from engine.store.remembered import Remembered

SERIES_SECS = 10.0
OBJECTS_MOST = 10_000
"""About a kilobyte each."""
AUDITED_SECS = 60.0
"""An act that is repeated by the same user is in the audit once in this time."""
AUDITED_MOST = 20_000

Detail = tuple[tuple[str, str | int | bool | None], ...]


@dataclass(frozen=True, slots=True)
class SeriesOf:
    """A series as a facility sees it: where two have stored an instance, each gets its own."""

    facility: str
    study: str
    series: str


class Recollection:
    """`objects` is to be told of changes by whoever wires this; until it is, nothing is looked up less often."""

    def __init__(self) -> None:
        self.objects: Remembered[SeriesOf, Mapping[str, Held]] = Remembered(OBJECTS_MOST, SERIES_SECS)
        self._audited: Remembered[tuple[str, str, str, Detail], bool] = Remembered(
            AUDITED_MOST, AUDITED_SECS, trusted=True
        )

    def instance(self, of: SeriesOf, sop: str) -> Held | None:
        held = self.objects.get(of)
        return held.get(sop) if held is not None else None

    def is_audited(self, act: Audited) -> bool:
        return self._audited.get(_key(act)) is not None

    def new(self, acts: Iterable[Audited]) -> list[Audited]:
        """Those that are not in the audit, each once."""
        return [act for act in {_key(act): act for act in acts}.values() if not self.is_audited(act)]

    def audited(self, acts: Iterable[Audited]) -> None:
        """These have been committed."""
        for act in acts:
            self._audited.put(self._audited.begin(), _key(act), True)


def _key(act: Audited) -> tuple[str, str, str, Detail]:
    return act.actor, act.action, act.subject, tuple(act.detail.items())
