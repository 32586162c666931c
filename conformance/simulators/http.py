"""How does an outside program speak to a hub's HTTP interface? With a bearer token, and an answer it insists on."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import httpx

from conformance.errors import NoAnswerError, UnexpectedAnswerError


class HubHttp:
    """One caller with one token."""

    def __init__(
        self, base_url: str, token: str, *, timeout_secs: float = 30, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        # The address is a hub's own; a proxy of the environment has nothing to do with it.
        self._client = httpx.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout_secs,
            transport=transport,
            trust_env=False,
        )

    async def get(self, path: str, **query: str) -> Any:
        """The JSON that answers. Raises unless the status is 2xx."""
        return (await self._asked("GET", path, params=query)).json()

    async def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        response = await self._asked("POST", path, json=body or {})
        return response.json() if response.content else None

    async def get_bytes(self, path: str, *, accept: str = "*/*") -> tuple[str, bytes]:
        """Media type and bytes."""
        response = await self._asked("GET", path, headers={"Accept": accept})
        return response.headers.get("Content-Type", ""), response.content

    async def close(self) -> None:
        await self._client.aclose()

    async def __aenter__(self) -> HubHttp:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _asked(self, method: str, path: str, **parts: Any) -> httpx.Response:
        try:
            response = await self._client.request(method, path, **parts)
        except httpx.TransportError as error:
            raise NoAnswerError(f"{method} {path}: {type(error).__name__}") from error
        if not response.is_success:
            raise UnexpectedAnswerError(f"{method} {path} was answered {response.status_code}: {response.text[:300]}")
        return response
