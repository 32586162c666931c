"""The installed mappings, and a short way to map a message written in a test."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.codecs import er7
from engine.mapping import Context, Mapped, MappingSet

FOLDER = Path(__file__).parents[3] / "mappings"
CONTEXT = Context("baishi", "白石乡卫生院", "baishi-his", datetime(2026, 4, 1, tzinfo=UTC))

Map = Callable[..., Mapped]


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
