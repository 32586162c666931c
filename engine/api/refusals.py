"""How is an error told over HTTP? One table gives status and issue; OperationOutcome below /fhir, RFC 9457 elsewhere.

Nothing of the request is repeated in an answer: a value could be a patient's.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from engine.errors import (
    AccessError,
    ConfigurationError,
    DeliveryError,
    FramingError,
    HutongError,
    MappingError,
    NotFoundError,
    ParseError,
    RecordError,
    RequestStateError,
    StorageError,
)

_log = logging.getLogger(__name__)
_OURS = str(Path(__file__).parents[2])

_BY_CODE: Mapping[str, tuple[int, str]] = {
    "unauthenticated": (401, "login"),
    "forbidden": (403, "forbidden"),
    "not-your-request": (403, "forbidden"),
    "not-a-reader": (403, "forbidden"),
    "not-a-reviewer": (403, "forbidden"),
    "unknown-parameter": (400, "not-supported"),
    "unsupported-parameter": (400, "not-supported"),
    "unknown-type": (404, "not-supported"),
    "too-long": (413, "too-long"),
    "not-acceptable": (406, "not-supported"),
    "unsupported-media-type": (415, "not-supported"),
    "not-renderable": (406, "not-supported"),
    "decoder-died": (500, "exception"),
    "version-conflict": (409, "conflict"),
    "already-settled": (409, "conflict"),
}
"""Status and FHIR issue code (http://hl7.org/fhir/R4/valueset-issue-type.html) of particular errors …"""
_BY_CLASS: tuple[tuple[type[HutongError], int, str], ...] = (
    (ConfigurationError, 500, "exception"),
    (FramingError, 400, "structure"),
    (ParseError, 400, "invalid"),
    (MappingError, 422, "processing"),
    (RecordError, 422, "business-rule"),
    (RequestStateError, 409, "conflict"),
    (NotFoundError, 404, "not-found"),
    (AccessError, 403, "forbidden"),
    (StorageError, 503, "transient"),
    (DeliveryError, 502, "transient"),
)
"""… and of the others, by kind."""
_BY_STATUS: Mapping[int, tuple[str, str]] = {
    400: ("invalid", "the request cannot be read"),
    404: ("not-found", "nothing is here"),
    405: ("not-supported", "this method is not supported here"),
    413: ("too-long", "the request is too large"),
    415: ("not-supported", "this content type is not supported here"),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as HTTP tells it. `detail` names places, never values."""

    status: int
    issue: str
    code: str
    detail: str
    location: str | None = None
    problems: tuple[Mapping[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def refusal_of(error: Exception) -> Refusal:
    """What to tell about an error. One that hutong did not raise on purpose is logged by its kind and place only."""
    match error:
        case HutongError():
            return _of_ours(error)
        case RequestValidationError():
            problems = tuple({"location": _place(e["loc"]), "problem": str(e["type"])} for e in error.errors())
            return Refusal(422, "invalid", "invalid-request", "the request is not as described", problems=problems)
        case HTTPException():
            issue, detail = _BY_STATUS.get(error.status_code, ("processing", "the request was refused"))
            return Refusal(error.status_code, issue, issue, detail, headers=dict(error.headers or {}))
        case asyncpg.QueryCanceledError():
            return Refusal(503, "too-costly", "too-costly", "this took too long; ask for less")
        case TimeoutError():  # before OSError, whose child it is
            return Refusal(503, "timeout", "timeout", "this took too long", headers={"Retry-After": "5"})
        case asyncpg.PostgresConnectionError() | asyncpg.CannotConnectNowError() | asyncpg.InterfaceError() | OSError():
            _log.error("database not reachable: %s", type(error).__name__)
            return Refusal(503, "transient", "storage", "the store cannot be reached now", headers={"Retry-After": "5"})
        case _:
            _log.error("unexpected %s at %s", type(error).__name__, _where(error))
            return Refusal(500, "exception", "unexpected", "something went wrong here; the log says where")


def response_of(refusal: Refusal, scope: Scope) -> Response:
    """The refusal in the form its reader expects."""
    path: str = scope["path"]
    if path == "/fhir" or path.startswith("/fhir/"):
        return Response(
            json.dumps(operation_outcome(refusal), ensure_ascii=False),
            refusal.status,
            headers=refusal.headers,
            media_type="application/fhir+json",
        )
    return Response(
        json.dumps(_problem(refusal), ensure_ascii=False),
        refusal.status,
        headers=refusal.headers,
        media_type="application/problem+json",
    )


def operation_outcome(refusal: Refusal) -> dict[str, Any]:
    """http://hl7.org/fhir/R4/operationoutcome.html; `location` is left to `diagnostics`, as it is no FHIRPath."""
    diagnostics = f"{refusal.detail} [{refusal.location}]" if refusal.location else refusal.detail
    return {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "error",
                "code": refusal.issue,
                "details": {"text": refusal.code},
                "diagnostics": diagnostics,
            }
        ],
    }


def _problem(refusal: Refusal) -> dict[str, Any]:
    """RFC 9457 §3.1; `code` is the stable name a program can act on."""
    problem: dict[str, Any] = {
        "type": f"urn:hutong:error:{refusal.code}",
        "title": refusal.code,
        "status": refusal.status,
        "detail": refusal.detail,
        "code": refusal.code,
    }
    if refusal.location:
        problem["location"] = refusal.location
    if refusal.problems:
        problem["problems"] = list(refusal.problems)
    return problem


def _of_ours(error: HutongError) -> Refusal:
    status, issue = _BY_CODE.get(error.code) or next(
        ((status, issue) for kind, status, issue in _BY_CLASS if isinstance(error, kind)), (500, "exception")
    )
    headers = {"WWW-Authenticate": 'Bearer realm="hutong"'} if status == 401 else {}
    if status == 503:
        headers["Retry-After"] = "5"
    return Refusal(status, issue, error.code, error.message, error.location, headers=headers)


def _place(location: tuple[int | str, ...]) -> str:
    """`body.observed`. Names of undeclared keys are the caller's text, but FastAPI reports declared ones only."""
    return ".".join(str(part) for part in location)


def _where(error: Exception) -> str:
    """The innermost place of ours; a library's message could hold a value, so only places are told."""
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(_OURS)]
    return f"{Path(ours[-1].filename).relative_to(_OURS)}:{ours[-1].lineno}" if ours else "unknown place"
