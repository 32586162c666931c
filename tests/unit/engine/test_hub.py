"""Where is the running hub? Whatever is wrong with its data folder is said, with what to do, and no traceback."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from engine.cli.hub import TOKEN, Hub, find_hub
from engine.errors import AccessError, ConfigurationError, NotFoundError, RequestStateError


def _data(folder: Path, run: str = '{"http": "http://127.0.0.1:8080"}', token: str | None = "t\n") -> Path:
    (folder / "run.json").write_text(run)
    if token is not None:
        (folder / "admin.token").write_text(token)
    return folder


def test_a_data_folder_leads_to_its_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    assert find_hub(_data(tmp_path), None) == Hub("http://127.0.0.1:8080", "t")


def test_an_address_needs_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    with pytest.raises(ConfigurationError, match=TOKEN):
        find_hub(None, "http://h:1/")
    monkeypatch.setenv(TOKEN, "t")
    assert find_hub(None, "http://h:1/") == Hub("http://h:1", "t")


@pytest.mark.parametrize(
    ("run", "token", "said"),
    [
        ("{}", "t", "without its web part"),
        ("{", "t", "is not what"),
        ('{"http": "http://x"}', None, "admin.token is not there"),
    ],
)
def test_a_folder_of_no_running_hub_says_why(
    run: str, token: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    with pytest.raises(ConfigurationError, match=said):
        find_hub(_data(tmp_path, run, token), None)


def test_a_lost_token_file_is_told_apart_from_a_hub_that_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    with pytest.raises(ConfigurationError, match="start the hub again, which makes a new one"):
        find_hub(_data(tmp_path, token=None), None)
    with pytest.raises(ConfigurationError, match="no hub runs with"):
        find_hub(tmp_path / "nowhere", None)
    with pytest.raises(ConfigurationError, match="Name the data folder"):
        find_hub(tmp_path / "run.json", None)


@pytest.mark.parametrize("url", ["nonsense", "127.0.0.1:8080", "mllp://127.0.0.1:2575"])
def test_an_address_that_is_none_is_said_before_anybody_is_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, "t")
    with pytest.raises(ConfigurationError, match="expected an address such as"):
        find_hub(None, url)


def test_a_hub_that_is_starting_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    (tmp_path / "starting.pid").write_text(f"{os.getpid()}\n")
    monkeypatch.setattr("engine.cli.hub._pause", lambda: _data(tmp_path))
    assert find_hub(tmp_path, None) == Hub("http://127.0.0.1:8080", "t")
    assert "is starting; waiting for it" in capsys.readouterr().err


@pytest.mark.parametrize("note", ["", "x", "-1", "0", "99999999999999999999999", "4194304000"])
def test_a_note_of_a_start_that_nobody_makes_is_not_waited_for(note: str, tmp_path: Path) -> None:
    (tmp_path / "starting.pid").write_text(note)
    with pytest.raises(ConfigurationError, match="wait until it says"):
        find_hub(tmp_path, None)


def test_neither_folder_nor_address_is_a_question_back() -> None:
    with pytest.raises(ConfigurationError, match="--data"):
        find_hub(None, None)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, AccessError),
        (403, AccessError),
        (404, NotFoundError),
        (500, ConfigurationError),
        (422, ConfigurationError),
    ],
)
def test_a_refusal_is_one_of_our_errors(status: int, error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx, "request", lambda *_, **__: httpx.Response(status))
    with pytest.raises(error):
        Hub("http://h", "t").get("/api/trace", word="x")


def test_an_answer_that_is_no_json_is_no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx, "request", lambda *_, **__: httpx.Response(200, text="<html>"))
    with pytest.raises(ConfigurationError, match="no hub"):
        Hub("http://h", "t").get("/api/trace", word="x")


@pytest.mark.parametrize(
    ("status", "error"),
    [(403, AccessError), (404, NotFoundError), (409, RequestStateError), (400, ConfigurationError)],
)
def test_what_the_hub_says_of_a_refusal_is_passed_on(
    status: int, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = {"detail": "this envelope is not held", "code": "not-held"}
    answer = httpx.Response(status, json=problem, headers={"content-type": "application/problem+json"})
    monkeypatch.setattr(httpx, "request", lambda *_, **__: answer)
    with pytest.raises(error, match="this envelope is not held"):
        Hub("http://h", "t").post("/api/envelopes/x/release", reason="x")


def test_what_is_not_said_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def answer(*_: object, **request: object) -> httpx.Response:
        asked.append(request.get("params", request.get("json")))
        return httpx.Response(200, json={})

    monkeypatch.setattr(httpx, "request", answer)
    Hub("http://h", "t").get("/api/held", channel=None, code="x")
    Hub("http://h", "t").post("/api/held/release", channel=None, reason="x", everything=False)
    assert asked == [{"code": "x"}, {"reason": "x", "everything": False}]
