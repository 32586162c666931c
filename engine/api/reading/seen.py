"""Has the caller seen this already? A page that looks every few seconds is told, and audited, only when it changed."""

from __future__ import annotations

from hashlib import sha256

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response


class Answer:
    """A body with its entity tag (RFC 9110 §8.8.3)."""

    def __init__(self, told: BaseModel) -> None:
        self._body = told.model_dump_json().encode()
        self._tag = f'"{sha256(self._body).hexdigest()[:32]}"'

    def is_known_to(self, request: Request) -> bool:
        """Whether the caller holds this very body and says so in If-None-Match."""
        return request.headers.get("if-none-match") == self._tag

    def unchanged(self) -> Response:
        """304: nothing is told that was not told before."""
        return Response(status_code=304, headers={"ETag": self._tag})

    def whole(self) -> Response:
        return Response(self._body, media_type="application/json", headers={"ETag": self._tag})
