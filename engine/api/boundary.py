"""What surrounds every route? It asks who calls, adds the headers that browsers obey, and tells errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.api.caller import caller_by_token
from engine.api.refusals import refusal_of, response_of
from engine.api.services import Services

_OPEN = frozenset({"/health", "/fhir/metadata", "/cds-services"})
PROTECTED = frozenset({"fhir", "dicomweb", "api", "cds-services"})
"""First segments of everything that is no page: below them only _OPEN answers without a token."""

_CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", _CONTENT_SECURITY_POLICY.encode()),
)
_HEADERS_OF_DATA = (*_HEADERS, (b"cache-control", b"no-store"))

LARGEST_BODY_BYTES = 4 * 1024 * 1024
"""A report is a few kilobytes; whatever is larger would only fill memory."""


class Boundary:
    """ASGI middleware around all routes, and around applications that have a path of two segments of their own.

    It lets nothing below PROTECTED through without a caller.
    """

    def __init__(self, app: ASGIApp, services: Callable[[], Services], mounted: Mapping[str, ASGIApp]) -> None:
        self._app = app
        self._services = services
        self._mounted = mounted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _add_headers(message, scope["path"])
            await send(message)

        try:
            if needs_caller(scope["path"]):
                authorization = Headers(scope=scope).get("authorization")
                scope["caller"] = await caller_by_token(self._services(), authorization)
            app = self._mounted.get(_two_segments(scope["path"]), self._app)
            await app(scope, receive if _is_streamed(scope) else _bounded(receive), answer)
        except Exception as error:  # noqa: BLE001 the last place that can answer; the refusal logs what was not foreseen
            refusal = refusal_of(error)
            if started:
                raise ConnectionAbortedError("an answer broke off") from None
            await response_of(refusal, scope)(scope, receive, answer)


def _is_streamed(scope: Scope) -> bool:
    """Whether the route takes a body of any length in pieces, and bounds what it holds of it: objects being stored."""
    return scope["method"] == "POST" and first_segment(scope["path"]) == "dicomweb"


def _bounded(receive: Receive) -> Receive:
    """Raises HTTPException 413 from the read that goes over LARGEST_BODY_BYTES."""
    taken = 0

    async def take() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > LARGEST_BODY_BYTES:
            raise HTTPException(413)  # the one kind that FastAPI lets through while it reads a body
        return message

    return take


def needs_caller(path: str) -> bool:
    """Whether this path answers only to a known caller."""
    return path not in _OPEN and first_segment(path) in PROTECTED


def first_segment(path: str) -> str:
    return path.lstrip("/").partition("/")[0]


def _two_segments(path: str) -> str:
    """`/dicomweb/studies` of whatever is below it."""
    return "/".join(path.split("/", 3)[:3])


def is_open(path: str) -> bool:
    return path in _OPEN


def _add_headers(message: Message, path: str) -> None:
    """Those that the answer does not have by itself; ASGI writes names in lower case."""
    given = {name for name, _ in message["headers"]}
    ours = _HEADERS_OF_DATA if first_segment(path) in PROTECTED else _HEADERS
    message["headers"] = [*message["headers"], *(one for one in ours if one[0] not in given)]
