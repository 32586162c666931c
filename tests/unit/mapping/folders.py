"""What do the tests ask of a mappings folder? What is wrong with it, and what it makes of a registration."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.codecs import er7
from engine.config.problems import InvalidConfiguration
from engine.mapping import Mapped, MappingSet
from tests.unit.mapping.conftest import CONTEXT


def problems(folder: Path, facilities: list[str] | None = None) -> list[str]:
    with pytest.raises(InvalidConfiguration) as caught:
        MappingSet.load(folder, facilities or [])
    return [str(problem) for problem in caught.value.problems]


def registered(mappings: MappingSet, facility: str, *lines: str) -> Mapped:
    mapping = mappings.find("ADT^A04", facility)
    assert mapping is not None
    header = "MSH|^~\\&|HIS|F|H|H|20260401||ADT^A04|C1|P|2.5.1"
    return mapping.apply(er7.parse("".join(f"{line}\r" for line in (header, *lines)).encode()), CONTEXT)
