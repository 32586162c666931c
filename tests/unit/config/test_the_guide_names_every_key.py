"""The guide tells every key of every file and its default, in both languages, and tells of none that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from engine.config import (
    AeEntry,
    Centre,
    Community,
    DicomChannel,
    DicomEndpoint,
    Facility,
    FolderChannel,
    Http,
    HutongEndpoint,
    ImagingGateway,
    MllpChannel,
    MllpEndpoint,
    Priors,
    Recognition,
    RecognitionItem,
    Retry,
    Role,
    Route,
    To,
    User,
    When,
)
from engine.config.objects import S3Objects
from engine.config.transport import EndpointTls, ListenerTls

DOCS = Path(__file__).parents[3] / "docs"
GUIDES = ("connect-a-system.md", "connect-a-system.zh-CN.md")
MODELS: tuple[type[BaseModel], ...] = (
    AeEntry, Centre, DicomChannel, DicomEndpoint, EndpointTls, Facility, FolderChannel, Http, HutongEndpoint,
    ImagingGateway, ListenerTls, MllpChannel, MllpEndpoint, Priors, Recognition, RecognitionItem, Retry, Route,
    S3Objects, To, User, When,
)  # fmt: skip
FILES = set(Community.model_fields)
"""Files and folders, which the headings name."""
GIVEN = {"name", "code", "type"}
"""Given by the file's name, by the key above, or told in the heading."""


def keys(guide: str) -> set[str]:
    """The last step of every key in the first column of the reference."""
    reference = (DOCS / guide).read_text(encoding="utf-8").split("`community.yaml`\n", 1)[1]
    cells = re.findall(r"^\| (`[^|]+`) \|", reference, re.MULTILINE)
    named = [key for cell in cells for key in re.findall(r"`([^`]+)`", cell)]
    return {re.sub(r"\[\]|:.*", "", key).rsplit(".", 1)[-1] for key in named if not key.startswith("HUTONG_")}


@pytest.mark.parametrize("guide", GUIDES)
def test_every_key_is_told_and_no_other(guide: str) -> None:
    exist = {field for model in MODELS for field in model.model_fields}
    groups = ("when", "to", "retry", "ae_entries", "items", "tls", "priors")
    nested = {field for field in exist if field in FILES or field in groups}
    assert keys(guide) >= exist - nested - GIVEN
    assert keys(guide) <= exist | FILES


@pytest.mark.parametrize("guide", GUIDES)
def test_the_defaults_are_those_of_the_models(guide: str) -> None:
    text = (DOCS / guide).read_text(encoding="utf-8")
    for model in (MllpChannel, FolderChannel, DicomChannel, MllpEndpoint, DicomEndpoint, Centre, Recognition):
        for name, field in model.model_fields.items():
            default = field.default
            if default is PydanticUndefined or not isinstance(default, int | float) or isinstance(default, bool):
                continue
            rows = [
                line for line in text.splitlines() if line.startswith("| `") and f"`{name}`" in line.split(" | ")[0]
            ]
            assert any(str(default) in row or f"| {default:g} |" in row for row in rows), (name, default)


@pytest.mark.parametrize("guide", GUIDES)
def test_every_role_is_told(guide: str) -> None:
    text = (DOCS / guide).read_text(encoding="utf-8")
    assert all(f"| `{role}` |" in text for role in Role)
