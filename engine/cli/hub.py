"""Where is the running hub, and may we ask it? `--data DIR`, or `--url` with HUTONG_TOKEN."""

from __future__ import annotations

import json
import os
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlsplit

import httpx
import typer

from engine.cli.supervisor import RUN_FILE, START_SECS, STARTING_FILE
from engine.config.tls import trusting_only
from engine.errors import AccessError, ConfigurationError, HutongError, NotFoundError, RequestStateError

TOKEN = "HUTONG_TOKEN"
AUTHORITIES = "HUTONG_CA"
_TIMEOUT_SECS = 30.0
_LOOK_AGAIN_SECS = 0.1
LONG_SECS = 1800.0
"""For what reads or deletes a whole month."""


@dataclass(frozen=True, slots=True)
class Hub:
    """A hub that runs, and the token to ask it with."""

    url: str
    token: str
    trusts: ssl.SSLContext | bool = True

    def get(self, path: str, /, **parameters: str | None) -> Any:
        """JSON of a path of the API. Raises AccessError, NotFoundError or ConfigurationError with what to do next."""
        given = {name: value for name, value in parameters.items() if value is not None}
        return self._json(self._ask("GET", path, params=given))

    def post(self, path: str, /, **body: Any) -> Any:
        """The JSON that a path of the API answers to this body; keys of None are left out.

        Raises as `get` does, and RequestStateError where the hub says that this cannot be done now.
        """
        given = {name: value for name, value in body.items() if value is not None}
        return self._json(self._ask("POST", path, json=given))

    def payload(self, envelope: str) -> bytes:
        """The exact bytes of an envelope. Raises as `get` does."""
        return self._ask("GET", f"/api/envelopes/{envelope}/payload").content

    def content(self, path: str, /, **parameters: str | None) -> bytes:
        """What a path of the API answers, as it is; it may take its time. Raises as `get` does."""
        given = {name: value for name, value in parameters.items() if value is not None}
        return self._ask("GET", path, timeout=LONG_SECS, params=given).content

    def command(self, path: str, /, **body: Any) -> Any:
        """As `post`, for what takes its time."""
        return self._json(self._ask("POST", path, timeout=LONG_SECS, json=body))

    def _ask(self, method: str, path: str, *, timeout: float = _TIMEOUT_SECS, **request: Any) -> httpx.Response:
        try:
            answer = httpx.request(
                method,
                self.url + path,
                headers={"Authorization": f"Bearer {self.token}"},
                timeout=timeout,
                trust_env=False,
                verify=self.trusts,
                **request,
            )
        except httpx.HTTPError as error:
            reason = str(error).rstrip(".")
            raise ConfigurationError(
                f"no hub answers at {self.url}: {reason}. Start it with `hutong serve`."
            ) from error
        if answer.is_error:
            raise self._refusal(answer, path)
        return answer

    def _refusal(self, answer: httpx.Response, path: str) -> HutongError:
        said, code = _problem(answer)
        match answer.status_code:
            case 403 if said:
                return AccessError(f"the hub at {self.url} refuses: {said}")
            case 401 | 403:
                return AccessError(f"the hub at {self.url} refuses this token; is {TOKEN} right?")
            case 404:
                return NotFoundError(said or f"the hub at {self.url} knows nothing at {path}")
            case 409 if said:
                return RequestStateError(said, code=code)
        why = f": {said}" if said else ""
        return ConfigurationError(f"the hub at {self.url} answered {answer.status_code}{why}", code=code)

    def _json(self, answer: httpx.Response) -> Any:
        try:
            return answer.json()
        except ValueError as error:
            raise ConfigurationError(f"what answers at {self.url} is no hub: its answer is not JSON") from error


def _problem(answer: httpx.Response) -> tuple[str, str | None]:
    """What a hub says of an error (RFC 9457), with the keys that it could not take; empty where it says nothing."""
    if not answer.headers.get("content-type", "").startswith("application/problem+json"):
        return "", None
    problem: dict[str, Any] = answer.json()
    places = "; ".join(f"{line['location']}: {line['problem']}" for line in problem.get("problems", ()))
    return " ".join(part for part in (str(problem.get("detail", "")), places and f"({places})") if part), problem[
        "code"
    ]


def find_hub(data: Path | None, url: str | None) -> Hub:
    """The hub of a data folder, or the one at a URL. Raises ConfigurationError when neither leads to one."""
    if url is not None:
        token = os.environ.get(TOKEN)
        if not token:
            raise ConfigurationError(f"--url needs a token in the environment: set {TOKEN}")
        if urlsplit(url).scheme not in ("http", "https"):
            raise ConfigurationError(f"--url {url}: expected an address such as http://127.0.0.1:8080")
        return Hub(url.rstrip("/"), token, _authorities())
    if data is None:
        raise ConfigurationError(f"say which hub: --data DIR of a running one, or --url URL and {TOKEN}")
    run_file, token_file = data / RUN_FILE, data / "admin.token"
    _await_start(data)
    try:
        run = json.loads(run_file.read_text(encoding="utf-8"))
        token = os.environ.get(TOKEN) or token_file.read_text(encoding="utf-8").strip()
    except PermissionError as error:
        raise AccessError(
            f"this account may not read {error.filename}; use the account that the hub runs as"
        ) from error
    except ValueError as error:
        raise ConfigurationError(f"{run_file} is not what `hutong serve` writes; start it again") from error
    except FileNotFoundError as error:
        if Path(str(error.filename)).name == token_file.name:
            raise ConfigurationError(
                f"{token_file} is not there: set {TOKEN} to a token, or start the hub again, which makes a new one"
            ) from error
        raise ConfigurationError(
            f"no hub runs with {data}: {RUN_FILE} is not there. Start it with `hutong serve`, and wait until it says "
            "its address."
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"{error.filename}: {error.strerror}. Name the data folder of a running hub"
        ) from error
    if "http" not in run:
        raise ConfigurationError(f"the hub of {data} runs without its web part; start `hutong serve --only web`")
    return Hub(run["http"], token, _certificate_of(run))


def _authorities() -> ssl.SSLContext | bool:
    """Who signs the certificates of hubs: those that HUTONG_CA names, else those that Python knows."""
    file = os.environ.get(AUTHORITIES)
    if not file:
        return True
    try:
        return ssl.create_default_context(cafile=file)
    except OSError as error:
        raise ConfigurationError(f"{AUTHORITIES}: {file} holds no certificates in PEM") from error


def _certificate_of(run: dict[str, Any]) -> ssl.SSLContext | bool:
    """The hub of this machine is known by its own certificate, whoever signed it and for whatever name."""
    if "http_certificate" not in run:
        return True
    try:
        return trusting_only(Path(run["http_certificate"]))
    except OSError as error:
        raise ConfigurationError(f"the certificate of the hub cannot be read: {run['http_certificate']}") from error


def _await_start(data: Path) -> None:
    """While a hub starts on this folder, waits for it to be ready, for as long as a start may take."""
    if not _is_starting(data):
        return
    typer.echo(f"the hub of {data} is starting; waiting for it", err=True)
    deadline = time.monotonic() + START_SECS
    while _is_starting(data) and time.monotonic() < deadline:
        _pause()


def _pause() -> None:
    Event().wait(_LOOK_AGAIN_SECS)


def _is_starting(data: Path) -> bool:
    """Whether a process that lives has noted a start and run.json is not there yet."""
    try:
        if (data / RUN_FILE).is_file():
            return False
        process = int((data / STARTING_FILE).read_text(encoding="ascii"))
    except (OSError, ValueError):  # nobody starts, or nothing here may be read, which the caller says
        return False
    try:
        os.kill(process, 0)
    except PermissionError:  # it lives, and is another account's
        return True
    except (OSError, OverflowError):
        return False
    return process > 0
