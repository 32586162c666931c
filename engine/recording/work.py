"""What do the steps of one recording share? The working set, the steps to schedule and the findings to raise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from engine.config import Community
from engine.finding import Finding
from engine.recording.book import Book
from engine.recording.late import History, Late, Withheld
from engine.store import worklist
from engine.store.database import Connection
from engine.store.findings import Raised
from engine.store.reconcile_cases import StudyKey
from engine.store.worklist import Step
from engine.understanding import Understood

Resource = dict[str, Any]


@dataclass(slots=True)
class Work:
    """One recording: everything here ends with its transaction.

    late            envelopes whose turn was before others that are recorded already
    steps           by ServiceRequest id
    linked_studies  references of studies that were linked to their orders
    history         who said what before, where one of these is late
    withheld        what a late envelope says and does not change, because something newer says otherwise
    moved_orders    ids of orders that went to another patient with their visit
    cases           what about a study a person should decide, by the study; nothing where everything is clear
    decided         studies of which people said something
    opened_orders   ids of imaging orders that are new
    placed_orders   ids of imaging orders whose steps stand as these messages say
    came_otherwise  references of studies whose order came, and is another patient's
    settled         what has come right: code of the finding, what it is about, and how
    """

    connection: Connection
    community: Community
    book: Book
    at: datetime
    late: Mapping[UUID, Late]
    steps: dict[str, Step] = field(default_factory=dict)
    raised: list[Raised] = field(default_factory=list)
    linked_studies: list[str] = field(default_factory=list)
    moved_orders: list[tuple[Understood, str]] = field(default_factory=list)
    cases: dict[StudyKey, set[str]] = field(default_factory=dict)
    decided: list[StudyKey] = field(default_factory=list)
    opened_orders: list[tuple[Understood, str]] = field(default_factory=list)
    placed_orders: set[str] = field(default_factory=set)
    came_otherwise: list[str] = field(default_factory=list)
    settled: list[tuple[str, str, str]] = field(default_factory=list)
    history: History = field(default_factory=History)
    withheld: dict[UUID, list[Withheld]] = field(default_factory=dict)

    def put(self, resource: Resource, walk: Understood) -> None:
        self.book.put(resource, walk.envelope.id, walk.mapping)

    async def step_with(self, facility: str, accession: str) -> Step | None:
        """The step of an accession number at a facility, as this transaction sees it."""
        for step in self.steps.values():
            if (step.facility, step.accession) == (facility, accession):
                return step
        stored = await worklist.by_accession(self.connection, facility, accession)
        return None if stored is not None and stored.service_request in self.steps else stored

    async def step_of_study(self, study_uid: str) -> Step | None:
        """The step that hands out a Study Instance UID, as this transaction sees it."""
        for step in self.steps.values():
            if step.study_uid == study_uid:
                return step
        stored = await worklist.by_study(self.connection, study_uid)
        return None if stored is not None and stored.service_request in self.steps else stored

    def replayed(self, walk: Understood) -> bool:
        """Whether the envelope was recorded before: what it set in motion then need not be set in motion again."""
        late = self.late.get(walk.envelope.id)
        return late is not None and late.replayed

    def find(self, finding: Finding, walk: Understood, about: str | None = None, patient: str = "") -> None:
        """`patient`: the id of whom the message is about; one doubt about one value of theirs is one finding."""
        self.raised.append(Raised(finding, walk.envelope.id, about, walk.envelope.channel, patient))

    def touched(self, envelope: UUID) -> dict[str, None]:
        """References of what an envelope wrote or confirmed."""
        return dict.fromkeys(self.book.spoken_of(envelope))

    def written_for(self, envelope: UUID) -> list[str]:
        """The resources an envelope wrote or confirmed, with their versions."""
        return [self.book.label(reference, envelope) for reference in self.book.spoken_of(envelope)]

    def changed_patients(self) -> list[tuple[str, UUID]]:
        """(source Patient id, envelope) of every Patient that is new or changed."""
        return [
            (reference.removeprefix("Patient/"), envelope)
            for envelope in self.book.envelopes
            for reference in self.book.spoken_of(envelope)
            if reference.startswith("Patient/") and self.book.changed(reference)
        ]
