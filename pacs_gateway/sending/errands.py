"""What is done for one delivery? A study is sent to a system, or an archive is asked for earlier ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from engine.clock import Clock
from engine.config import DicomEndpoint
from engine.errors import DeliveryError, HutongError
from engine.finding import Finding, Severity
from engine.store import findings, imaging_outbox, overtaken
from engine.store.database import Connection
from engine.store.findings import Raised
from engine.store.imaging_outbox import Answer, ImagingOwed, StudyOwed
from engine.store.outbox import Due
from engine.studies import study_id
from pacs_gateway.entrusting import entrust
from pacs_gateway.scp.reception import Reception
from pacs_gateway.scu.peer import Peer
from pacs_gateway.sending.encoding import Encoder
from pacs_gateway.sending.line import Line
from pacs_gateway.sending.outcome import Outcome, Turns
from pacs_gateway.sending.priors import PriorsErrand
from pacs_gateway.sending.study import Sent, StudySending

NOTE_REFUSED = "rejection-note-refused"


class Errands:
    """Does what one endpoint is owed.

    reception  keeps what an archive sends back over our own association (C-GET); None where nothing does
    """

    def __init__(
        self, endpoint: DicomEndpoint, peer: Peer, encoder: Encoder, reception: Reception | None, clock: Clock
    ) -> None:
        self._endpoint = endpoint
        self._peer = peer
        self._line = Line(endpoint.max_bytes_per_sec)
        self._encoder = encoder
        self._clock = clock
        self._priors = PriorsErrand(endpoint, peer, reception, clock)

    async def perform(
        self, due: Due, what: ImagingOwed, turns: Turns, *, urgent: bool, may_go_on: Callable[[], bool]
    ) -> Outcome:
        """One attempt. Raises what the database raises; everything else is in the outcome."""
        if isinstance(what, StudyOwed):
            return await self._send(due, what, turns, urgent=urgent, may_go_on=may_go_on)
        return await self._priors.perform(due, what, turns)

    async def _send(
        self, due: Due, study: StudyOwed, turns: Turns, *, urgent: bool, may_go_on: Callable[[], bool]
    ) -> Outcome:
        is_overtaken = False

        async def remember(answers: Sequence[Answer]) -> None:
            nonlocal is_overtaken
            async with turns.transaction() as connection:
                is_overtaken = await overtaken.lock(connection, study, looked)
                await imaging_outbox.answered(connection, due.id, self._endpoint.name, study, answers, self._clock())
                if is_overtaken and any(answer.taken for answer in answers):
                    await overtaken.owe_notes(connection, study, looked)

        async with turns.transaction() as connection:
            looked = await overtaken.look(connection, study)
            unsent = await imaging_outbox.unsent(connection, self._endpoint.name, study)
        sending = StudySending(
            self._endpoint,
            self._peer,
            self._line,
            self._encoder,
            urgent=urgent,
            remember=remember,
            may_go_on=lambda: not is_overtaken and may_go_on(),
        )
        again: DeliveryError | None = None
        try:
            await sending.send(unsent)
        except HutongError as error:
            again = error if isinstance(error, DeliveryError) else DeliveryError(error.message, code=error.code)
        sending.sent.paused |= is_overtaken  # it stays owed, and goes on with what is served now
        async with turns.transaction() as connection:
            taken = await imaging_outbox.taken(connection, self._endpoint.name, study)
            if any(one.rejects for one in unsent) and again is None and not sending.sent.paused:
                await self._tell_of_rejections(connection, study, sending.sent)
            if self._endpoint.commits and again is None:
                await entrust(connection, self._endpoint.name, study.study_uid, study.facility, self._clock())
        return _outcome(sending.sent, taken, len(unsent), again)

    async def _tell_of_rejections(self, connection: Connection, study: StudyOwed, sent: Sent) -> None:
        """A system that does not take a rejection note goes on showing what was rejected, and nobody there knows."""
        about, at = f"ImagingStudy/{study_id(study.facility, study.study_uid)}", self._clock()
        how = "It was refused again." if sent.rejections_refused else "The note has arrived."
        await findings.settle(connection, NOTE_REFUSED, about, how, at)
        if sent.rejections_refused:
            await findings.raise_many(connection, [Raised(_note_refused(self._endpoint.name), about=about)], at)


def _note_refused(endpoint: str) -> Finding:
    return Finding(
        NOTE_REFUSED,
        f"{endpoint} does not take the rejection note of this study (Key Object Selection Document, IOCM): what was "
        "rejected or corrected here is shown there still. Have it removed there by hand, or have the class accepted "
        "and send the delivery again.",
        Severity.ERROR,
    )


def _outcome(sent: Sent, taken: int, unsent: int, again: DeliveryError | None) -> Outcome:
    known = taken - sent.taken + unsent
    said = f"{taken} of {known} objects have arrived"
    if again is not None:
        again = DeliveryError(f"{again.message}; {said}", code=again.code, disposition=again.disposition)
    refused = "; ".join(f"{number} refused: {why}" for why, number in sorted(sent.refused.items()))
    return Outcome(
        said=json.dumps({"objects": known, "arrived": taken, "sent": sent.taken, "notes": sent.notes}),
        refused=f"{said}; {refused}" if refused else "",
        again=again,
        progress=sent.taken > 0,
        paused=sent.paused,
    )
