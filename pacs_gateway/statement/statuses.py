"""Which statuses are answered, and what does each say? Every one of `pacs_gateway.status`; a test holds it to that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pacs_gateway import status
from pacs_gateway.scp import find, worklist
from pacs_gateway.scp.mpps import MAY_NO_LONGER_BE_UPDATED
from pacs_gateway.scp.retrieving import RETRIEVE_LIMIT
from pacs_gateway.statement.document import Block, Heading, table

STATUS_HEADINGS = ("Request", "Status", "Meaning")
REASON_HEADINGS = ("Failure reason", "Meaning")
_Said = tuple[int, str]

_DONE: _Said = (status.SUCCESS, "done")
_UNREADABLE: _Said = (status.CANNOT_UNDERSTAND, "it cannot be understood")
_CANCELLED: _Said = (status.CANCELLED, "cancelled by C-CANCEL")
_NOT_THE_MODEL_S: _Said = (
    status.DATA_SET_MISMATCH,
    "the identifier does not fit the model: no level, no unique key above it, or a value that cannot be read",
)
_FAILED: _Said = (status.PROCESSING_FAILURE, "it cannot be read, or disk or database do not answer: nothing was done")
_INVALID: _Said = (status.INVALID_ATTRIBUTE_VALUE, "an attribute has a value that it cannot have")
_MISSING: _Said = (status.MISSING_ATTRIBUTE, "an attribute that is needed is missing")
_EMPTY: _Said = (status.MISSING_ATTRIBUTE_VALUE, "an attribute that is needed is empty")


def statuses(number: str) -> Iterator[Block]:
    yield Heading(3, f"{number} Statuses")
    yield table(
        STATUS_HEADINGS,
        [(request, f"{code:04X}", meaning) for request, said in _by_request() for code, meaning in sorted(said)],
    )
    yield table(REASON_HEADINGS, [(f"{code:04X}", meaning) for code, meaning in _REASONS])


def _by_request() -> Sequence[tuple[str, Sequence[_Said]]]:
    retrieved = (
        (status.PENDING, "an object was sent, or is not taken; the counts say how many are left"),
        (status.SUCCESS, "every object was sent, or there is none"),
        (status.SUBOPERATIONS_FAILED, "some objects were not sent, or taken with a warning; the failed are named"),
        _CANCELLED,
        (status.UNABLE_TO_COUNT, f"the index does not answer, or there are more than {RETRIEVE_LIMIT} objects"),
        (status.UNABLE_TO_PERFORM, "no object could be sent: the receiver is away, or takes none; all are named"),
        _NOT_THE_MODEL_S,
        _UNREADABLE,
    )
    queried = (
        (status.PENDING, "a match"),
        (status.SUCCESS, "these are all"),
        _CANCELLED,
    )
    return (
        ("any", [(status.UNRECOGNIZED_OPERATION, "the SOP class of the context has no such request")]),
        ("C-ECHO", [_DONE]),
        (
            "C-STORE",
            [
                (status.SUCCESS, "kept: flushed to disk"),
                (status.SOP_CLASS_NOT_SUPPORTED, "the class is none of 2.3"),
                (status.OUT_OF_RESOURCES, "it cannot be kept now: no room, or disk or database do not answer"),
                (status.DATA_SET_MISMATCH, "the data set is not the announced one, or lacks a UID"),
                _UNREADABLE,
            ],
        ),
        (
            "C-FIND (Query/Retrieve)",
            [
                *queried,
                (
                    status.OUT_OF_RESOURCES,
                    f"behind the newest {find.MATCH_LIMIT} matches there are more, or behind {find.SEARCH_LIMIT} "
                    "objects that were looked into; or the index does not answer",
                ),
                _NOT_THE_MODEL_S,
                _UNREADABLE,
            ],
        ),
        (
            "C-FIND (Modality Worklist)",
            [
                *queried,
                (
                    status.OUT_OF_RESOURCES,
                    f"there are more than {worklist.MATCH_LIMIT} steps, of which none is told; or the index does not "
                    "answer",
                ),
                (status.DATA_SET_MISMATCH, "a key cannot be read, or a date or time is none"),
                _UNREADABLE,
            ],
        ),
        ("C-GET", retrieved),
        ("C-MOVE", (*retrieved, (status.DESTINATION_UNKNOWN, "the destination is no AE title of 2.2 with a port"))),
        (
            "N-CREATE (Modality Performed Procedure Step)",
            [
                _DONE,
                _INVALID,
                _FAILED,
                (status.DUPLICATE_SOP_INSTANCE, "the step is there already"),
                (status.INVALID_SOP_INSTANCE, "the SOP Instance UID is none"),
                _MISSING,
                _EMPTY,
            ],
        ),
        (
            "N-SET (Modality Performed Procedure Step)",
            [
                _DONE,
                _INVALID,
                (
                    status.PROCESSING_FAILURE,
                    f"the step has ended (Error ID {MAY_NO_LONGER_BE_UPDATED:04X}); or {_FAILED[1]}",
                ),
                (status.NO_SUCH_SOP_INSTANCE, "the facility has no such step"),
                _MISSING,
                _EMPTY,
            ],
        ),
        (
            "N-GET (Modality Performed Procedure Step Retrieve)",
            [
                _DONE,
                (status.OPTIONAL_ATTRIBUTES_NOT_SUPPORTED, "the step has not all that was asked for"),
                (status.ATTRIBUTE_LIST_ERROR, "something asked for is no attribute, named in the answer"),
                _FAILED,
                (status.NO_SUCH_SOP_INSTANCE, "the facility has no such step"),
                (status.CLASS_INSTANCE_CONFLICT, "the class that is asked for is not that of steps"),
            ],
        ),
        (
            "N-ACTION (Storage Commitment)",
            [
                (status.SUCCESS, "asked, durably; the result follows"),
                _FAILED,
                (status.NO_SUCH_SOP_INSTANCE, "it is not addressed to the well-known instance"),
                (status.INVALID_ARGUMENT_VALUE, "there is no transaction UID, or no instance, or one that is none"),
                (status.NO_SUCH_ACTION, "the action is not 1"),
            ],
        ),
        (
            "N-EVENT-REPORT (Storage Commitment, results of what we asked)",
            [
                _DONE,
                _FAILED,
                (status.NO_SUCH_SOP_INSTANCE, "nothing was asked under this transaction UID"),
                (status.NO_SUCH_EVENT_TYPE, "the event is neither 1 nor 2"),
                (
                    status.INVALID_ARGUMENT_VALUE,
                    "there is no transaction UID, or none of the instances that it names is one",
                ),
            ],
        ),
        ("N-CREATE (Instance Availability)", [_DONE, _INVALID, _FAILED, _MISSING, _EMPTY]),
    )


_REASONS: Sequence[_Said] = (
    (status.PROCESSING_FAILURE, "it is in the index, but what lies in the store is not what came"),
    (status.NO_SUCH_SOP_INSTANCE, "the facility has no such instance"),
    (status.CLASS_INSTANCE_CONFLICT, "the instance is of another class"),
    (status.SOP_CLASS_NOT_SUPPORTED, "the facility has no such instance, and its class is none of 2.3"),
    (status.DUPLICATE_TRANSACTION, "the transaction UID was used for other instances before"),
)
"""Why an instance of a storage commitment is not kept for good."""
