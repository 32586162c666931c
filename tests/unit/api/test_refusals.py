"""Every kind of error has its place in the table, and OperationOutcomes are valid FHIR."""

from __future__ import annotations

from http import HTTPStatus

import asyncpg
import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome
from starlette.exceptions import HTTPException

from engine import errors
from engine.api.refusals import operation_outcome, refusal_of


def kinds(kind: type[errors.HutongError]) -> list[type[errors.HutongError]]:
    return [kind, *(deeper for child in kind.__subclasses__() for deeper in kinds(child))]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.AccessError("x", code="unauthenticated"), 401),
        (errors.AccessError("x", code="forbidden"), 403),
        (errors.NotFoundError("x"), 404),
        (errors.RequestStateError("x", code="already-claimed"), 409),
        (errors.RecordError("x", code="version-conflict"), 409),
        (errors.StorageError("x"), 503),
        (errors.ParseError("x", location="PID-3"), 400),
        (HTTPException(405), 405),
        (asyncpg.QueryCanceledError("张三"), 503),
        (asyncpg.ConnectionDoesNotExistError("张三"), 503),
        (ConnectionRefusedError("张三"), 503),
        (TimeoutError("张三"), 503),
        (asyncpg.UniqueViolationError("张三"), 500),
        (ValueError("张三"), 500),
    ],
)
def test_an_error_has_its_status_and_a_valid_outcome(error: Exception, status: int) -> None:
    refusal = refusal_of(error)
    assert refusal.status == status
    outcome = operation_outcome(refusal)
    OperationOutcome.model_validate(outcome)
    assert "张三" not in str(outcome)


def test_no_error_of_ours_is_left_to_chance() -> None:
    for kind in kinds(errors.HutongError):
        if kind is not errors.HutongError and kind.__module__ == errors.__name__:
            refusal = refusal_of(kind("said"))
            assert refusal.status in set(HTTPStatus)
            assert refusal.detail == "said"
