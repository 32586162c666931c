"""The guide to watching tells every key of alerts.yaml and its default, in both languages, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from engine.config import load
from engine.config.alerts import Alerts, Backlog, Email, Quiet, Webhook
from engine.config.problems import InvalidConfiguration

DOCS = Path(__file__).parents[3] / "docs"
EXAMPLE = Path(__file__).parents[3] / "docker" / "example"
GUIDES = ("watch.md", "watch.zh-CN.md")
NESTED: dict[str, type[BaseModel]] = {
    "backlog": Backlog,
    "channels.NAME": Quiet,
    "webhooks.NAME": Webhook,
    "emails.NAME": Email,
}


def rows(guide: str) -> dict[str, str]:
    """Each key of the table with its row."""
    text = (DOCS / guide).read_text(encoding="utf-8")
    lines = re.findall(r"^\| `[a-z_]+(?:\.|_)[^\n]*", text, re.MULTILINE)
    return {key: line for line in lines for key in re.findall(r"`([^`]+)`", line.split(" | ")[0])}


def keys() -> set[str]:
    own = {name for name in Alerts.model_fields if name not in {prefix.split(".")[0] for prefix in NESTED}}
    inner = {f"{prefix}.{name}" for prefix, model in NESTED.items() for name in model.model_fields if name != "name"}
    return own | inner


@pytest.mark.parametrize("guide", GUIDES)
def test_every_key_of_alerts_is_told_and_no_other(guide: str) -> None:
    assert set(rows(guide)) == keys()


@pytest.mark.parametrize("guide", GUIDES)
def test_the_defaults_of_alerts_are_those_of_the_models(guide: str) -> None:
    told = rows(guide)
    for prefix, model in (("", Alerts), ("backlog.", Backlog)):
        for name, field in model.model_fields.items():
            if isinstance(field.default, int | float) and not isinstance(field.default, bool):
                assert f"{field.default:g}" in told[prefix + name], name


@pytest.mark.parametrize("guide", GUIDES)
def test_the_example_of_the_guide_can_be_loaded(guide: str, tmp_path: Path) -> None:
    import shutil

    text = (DOCS / guide).read_text(encoding="utf-8")
    folder = tmp_path / "community"
    shutil.copytree(EXAMPLE, folder)
    (folder / "alerts.yaml").write_text(text.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    alerts = load(folder).alerts
    assert alerts.channels["qingxi-his"].quiet_after_secs == 1800
    assert not alerts.channels["imaging"].expected
    assert alerts.emails["it"].to == ("it@county.example.cn",)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("chanels: {}", "alerts.yaml:1: chanels: unknown key; did you mean 'channels'?"),
        ("look_every_secs: 0", "alerts.yaml:1: look_every_secs: expected a number of at least 1"),
        ("backlog: {older_than: 5}", "backlog.older_than: unknown key; did you mean 'older_than_secs'?"),
        ("channels:\n  qingxi-hiss: {}", "alerts.yaml:2: channels.qingxi-hiss: expected the name of a channel"),
        (
            "channels:\n  qingxi-his: {working_hours: {start: '8', end: '17:00'}}",
            "expected a time of day such as 07:30",
        ),
        ("channels:\n  qingxi-his: {working_hours: {start: '17:00', end: '08:00'}}", "expected end to be later"),
        ("webhooks:\n  it: {url: 'ftp://x'}", "expected an address such as https://"),
        ("webhooks:\n  it: {url: 'https://user:pass@x/'}", "without a password in it"),
        ("webhooks:\n  it: {url: 'https://x', secret: hunter2}", "expected a reference to a secret"),
        ("emails:\n  it: {host: h, sender: a@b, to: []}", "emails.it.to: expected a list that is not empty"),
        ("emails:\n  it: {host: h, sender: a@b, to: [x]}", "expected a mail address"),
        ("emails:\n  it: {host: h, sender: a@b, to: [x@y], user: u}", "expected user and password together"),
        (
            "emails:\n  it: {host: h, sender: a@b, to: [x@y], user: u, password: env:P, security: none}",
            "a password would be sent in the clear",
        ),
        ("remind_after_secs: []", "expected a list that is not empty"),
        ("- a", "expected keys and values"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_a_secret_is_not_repeated(written: str, said: str, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "community"
    shutil.copytree(EXAMPLE, folder)
    (folder / "alerts.yaml").write_text(written, encoding="utf-8")
    with pytest.raises(InvalidConfiguration) as refused:
        load(folder)
    assert said in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert "user:pass" not in str(refused.value)
