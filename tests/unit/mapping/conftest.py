"""The installed mappings, and a short way to map a message written in a test."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.codecs import er7
from engine.mapping import Context, Mapped, MappingSet

FOLDER = Path(__file__).parents[3] / "mappings"
CONTEXT = Context("baishi", "白石乡卫生院", "baishi-his", datetime(2026, 4, 1, tzinfo=UTC))

Map = Callable[..., Mapped]
Edit = Callable[[str, str, str], int]

OVERLAY = """\
version: 1
mappings: [ADT]
groups:
  patient: {holds: [ZPD]}
changes:
  Patient:
    - {rule: pid-13, from: PID-13, to: telecom+, with: telecom, as: work}
    - {rule: pid-14, remove: yes}
    - {rule: z-name, from: ZPD-2, to: name+, with: person_name}
"""
"""What the facility of Baishi changes."""


@pytest.fixture(scope="session")
def mappings() -> MappingSet:
    return MappingSet.load(FOLDER, ["baishi", "qingxi"])


@pytest.fixture
def mapped(mappings: MappingSet) -> Map:
    """Maps segments, given as lines after MSH, as a message of a type; `separators` rewrites MSH-1 and MSH-2."""

    def apply(
        message_type: str, *segments: str, with_sources: bool = False, charset: str = "utf-8", facility: str = "baishi"
    ) -> Mapped:
        header = f"MSH|^~\\&|HIS|BSXWSY|HUTONG|QINGXI|20260401083000||{message_type}|C1|P|2.5.1"
        payload = "".join(f"{line}\r" for line in (header, *segments)).encode(charset)
        message = er7.parse(payload, charset)
        mapping = mappings.find(message.message_type, facility)
        assert mapping is not None
        return mapping.apply(message, CONTEXT, with_sources=with_sources)

    return apply


@pytest.fixture(scope="session")
def folder() -> Path:
    return FOLDER


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    """The installed mappings, to be changed."""
    return Path(shutil.copytree(folder, tmp_path / "mappings"))


@pytest.fixture
def edit(copied: Path) -> Edit:
    def replace(file: str, old: str, new: str) -> int:
        """Replaces a text in a file; returns the line it stood on."""
        path = copied / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return text[: text.index(old)].count("\n") + 1

    return replace


@pytest.fixture
def overlaid(copied: Path) -> Path:
    """With what a facility changes, and a table of its own."""
    place = copied / "facilities/baishi"
    (place / "tables").mkdir(parents=True)
    (place / "adt.yaml").write_text(OVERLAY, encoding="utf-8")
    (place / "tables/sex.csv").write_text("from,code\nX,other\nM,unknown\n", encoding="utf-8")
    return copied
