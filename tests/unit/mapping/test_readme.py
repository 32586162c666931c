"""The analysts' guide names every function there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.mapping.registry import FUNCTIONS, ID_FUNCTIONS
from engine.mapping.writing import WRITERS


@pytest.mark.usefixtures("mappings")
def test_every_function_stands_in_the_guide_with_what_it_says(folder: Path) -> None:
    guide = (folder / "README.md").read_text(encoding="utf-8")
    missing = [
        name for name, each in {**FUNCTIONS, **ID_FUNCTIONS}.items() if f"| `{name}` | {each.says} |" not in guide
    ]
    missing += [name for name in WRITERS if f"| `{name}` |" not in guide]
    assert missing == []


def test_every_function_says_what_it_does() -> None:
    assert [name for name, each in {**FUNCTIONS, **ID_FUNCTIONS}.items() if not each.says] == []


@pytest.mark.usefixtures("mappings")
def test_the_guide_names_the_functions_that_know_the_way_back(folder: Path) -> None:
    guide = (folder / "README.md").read_text(encoding="utf-8")
    listed = guide.partition("These do:")[2].partition(".")[0]
    writing = sorted(name for name, each in FUNCTIONS.items() if each.put is not None)
    assert [name.strip().strip("`") for name in listed.split(",")] == writing
