"""What is to be kept for good? Storage commitment (PS3.4 annex J): N-ACTION asks, N-EVENT-REPORT answers."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import asyncpg
from pydicom.dataset import Dataset

from engine.clock import Clock
from engine.errors import ParseError, StorageError
from engine.finding import Finding
from engine.store import commitments, findings
from engine.store.commitments import KEPT, Named, Taken
from engine.store.database import FAILED, Connection, end_if_cancelled
from engine.store.findings import Raised
from pacs_gateway import status
from pacs_gateway.committing import ALL_KEPT, COMMITMENT, SOME_FAILED, WELL_KNOWN_INSTANCE, Committer
from pacs_gateway.normalized import is_uid, items, plain, uid
from pacs_gateway.query.identifier import Gathered
from pacs_gateway.scp.callers import Caller
from pacs_gateway.scp.normalized import Normalized, Values, understood
from pacs_gateway.scp.service import Answers, Operation, Request
from pacs_gateway.transfer_syntaxes import UNCOMPRESSED
from pacs_gateway.upper_layer.commands import CommandField, Element

REQUEST_COMMITMENT = 1
"""The one action type (PS3.4 J.3.2)."""
COMMIT_TIMEOUT_SECS = 30.0
_LARGEST_REASON = 0xFFFF
"""Failure Reason (0008,1197) is of two bytes."""


class CommitmentRequests:
    """Others ask us. Implements `Service`."""

    request = CommandField.N_ACTION_RQ

    def __init__(self, channel: str, pool: asyncpg.Pool, committer: Committer, clock: Clock) -> None:
        self._channel = channel
        self._pool = pool
        self._committer = committer
        self._clock = clock

    def transfer_syntaxes(self, sop_class: str, caller: Caller) -> Collection[str]:
        return UNCOMPRESSED if sop_class == COMMITMENT else ()

    def begin(self, request: Request) -> Operation:
        return Normalized(self._channel, request, self._take)

    async def _take(self, request: Request, sent: Gathered, answers: Answers) -> Values:
        """Durable on return; it is settled, and reported, after it was answered."""
        _check_instance(request.command.text(Element.REQUESTED_SOP_INSTANCE_UID))
        if request.command.number(Element.ACTION_TYPE_ID) != REQUEST_COMMITMENT:
            raise ParseError("there is no such action", code="action-unknown")
        transaction_uid, instances = await _asked(sent)
        taken = await self._kept(request, transaction_uid, instances)
        self._committer.begin(taken, answers.line())
        return {}

    async def _kept(self, request: Request, transaction_uid: str, instances: list[Named]) -> Taken:
        caller, at = request.caller, self._clock()
        try:
            async with (
                asyncio.timeout(COMMIT_TIMEOUT_SECS),
                self._pool.acquire() as connection,
                connection.transaction(),
            ):
                return await commitments.take(
                    connection,
                    transaction_uid=transaction_uid,
                    channel=self._channel,
                    facility=caller.facility,
                    other=caller.destination,
                    instances=instances,
                    at=at,
                    process=self._committer.process,
                )
        except TimeoutError:
            raise StorageError("the database did not answer in time") from None
        except FAILED as error:
            end_if_cancelled()
            raise StorageError(f"the request cannot be kept: {type(error).__name__}") from error


class CommitmentResults:
    """Others answer what we asked of them. Implements `Service`."""

    request = CommandField.N_EVENT_REPORT_RQ

    def __init__(self, channel: str, pool: asyncpg.Pool, clock: Clock) -> None:
        self._channel = channel
        self._pool = pool
        self._clock = clock

    def transfer_syntaxes(self, sop_class: str, caller: Caller) -> Collection[str]:
        return UNCOMPRESSED if sop_class == COMMITMENT else ()

    def begin(self, request: Request) -> Operation:
        return Normalized(self._channel, request, self._take)

    async def _take(self, request: Request, sent: Gathered, answers: Answers) -> Values:
        command = request.command
        _check_instance(command.text(Element.AFFECTED_SOP_INSTANCE_UID))
        if command.number(Element.EVENT_TYPE_ID) not in (ALL_KEPT, SOME_FAILED):
            raise ParseError("there is no such event", code="event-unknown")
        result = await _answered(sent)
        try:
            async with (
                asyncio.timeout(COMMIT_TIMEOUT_SECS),
                self._pool.acquire() as connection,
                connection.transaction(),
            ):
                await self._keep(connection, result)
        except TimeoutError:
            raise StorageError("the database did not answer in time") from None
        except FAILED as error:
            end_if_cancelled()
            raise StorageError(f"the result cannot be kept: {type(error).__name__}") from error
        return {}

    async def _keep(self, connection: Connection, result: Result) -> None:
        commitment = await commitments.asked_by_us(connection, result.transaction_uid)
        if commitment is None:
            raise ParseError("nothing was asked under this transaction UID", code="instance-unknown")
        at = self._clock()
        found = [result.outcomes.get(one.sop_uid) for one in commitment.instances]
        if not await commitments.settle(connection, commitment.id, found, at):
            return  # it was told before
        known = [outcome for _, outcome in await commitments.outcomes(connection, commitment.id)]
        told = [*_refused(found), *_unreadable(known, result)]
        about = f"Commitment/{result.transaction_uid}"
        await findings.raise_many(connection, [Raised(one, None, about, self._channel) for one in told], at)


@dataclass(frozen=True, slots=True)
class Result:
    """What another system answered.

    outcomes    by the SOP Instance UID of each instance that it names
    unreadable  how many it names by what is no UID
    """

    transaction_uid: str
    outcomes: Mapping[str, int]
    unreadable: int


def _refused(found: Sequence[int | None]) -> Iterator[Finding]:
    failed = sum(outcome not in (None, KEPT) for outcome in found)
    if failed:
        yield Finding(
            "commitment-refused",
            f"Of {len(found)} objects that were sent there, it does not commit itself to keep {failed}. "
            "They are kept here.",
        )


def _unreadable(known: Sequence[int | None], result: Result) -> Iterator[Finding]:
    """Whoever answers takes a refusal for one of the whole result; so a person hears of it instead.

    known  the outcomes by now, those of earlier results among them
    """
    unknown = known.count(None)
    if result.unreadable and unknown:
        yield Finding(
            "commitment-result-unreadable",
            f"It answers whether it keeps what it was sent, and names {result.unreadable} objects by what is no UID: "
            f"of {unknown} of {len(known)} nobody knows. They are kept here; ask there whether it has them.",
            once=result.transaction_uid,
        )


def _check_instance(sop_uid: str) -> None:
    if sop_uid != WELL_KNOWN_INSTANCE:
        raise ParseError("it is not the well-known instance", code="instance-unknown")


async def _asked(sent: Gathered) -> tuple[str, list[Named]]:
    """Transaction UID and the instances named. Raises ParseError."""

    def read() -> tuple[str, list[Named]]:
        dataset = sent.read()
        named = {one.sop_uid: one for one in _named(dataset, "ReferencedSOPSequence")}
        if not named:
            raise ParseError("no instance is named", code="argument-invalid")
        return _uid(dataset, "TransactionUID"), list(named.values())

    return await understood(read)


async def _answered(sent: Gathered) -> Result:
    """Raises ParseError where it answers nothing, or no question."""

    def read() -> Result:
        dataset = sent.read()
        outcomes, unreadable = {}, 0
        for item, outcome in _outcomes(dataset):
            sop_uid = plain(item, "ReferencedSOPInstanceUID")
            if is_uid(sop_uid):
                outcomes[sop_uid] = outcome
            else:
                unreadable += 1
        if unreadable and not outcomes:
            raise ParseError("no instance is named by a UID", code="argument-invalid")
        return Result(_uid(dataset, "TransactionUID"), outcomes, unreadable)

    return await understood(read)


def _outcomes(dataset: Dataset) -> Iterator[tuple[Dataset, int]]:
    """The items of a result; of an instance that is in both sequences the failure counts."""
    for item in items(dataset, "ReferencedSOPSequence"):
        yield item, KEPT
    for item in items(dataset, "FailedSOPSequence"):
        reason = item.get("FailureReason")
        yield item, reason if isinstance(reason, int) and 0 < reason <= _LARGEST_REASON else status.PROCESSING_FAILURE


def _named(dataset: Dataset, keyword: str) -> list[Named]:
    return [Named(_uid(item, "ReferencedSOPInstanceUID"), plain(item, "ReferencedSOPClassUID"))
            for item in items(dataset, keyword)]  # fmt: skip


def _uid(dataset: Dataset, keyword: str) -> str:
    try:
        return uid(dataset, keyword)
    except ParseError as error:
        raise ParseError(error.message, code="argument-invalid") from error
