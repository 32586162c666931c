"""`gateway` of community.yaml says how many processes share the DICOM ports, and `hutong serve` starts so many."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.cli.serve import roles_of
from engine.config import InvalidConfiguration, load

EXAMPLE = Path(__file__).parents[3] / "docker" / "example"


@pytest.fixture
def county(tmp_path: Path) -> Path:
    folder = tmp_path / "county"
    shutil.copytree(EXAMPLE, folder)
    return folder


def put(county: Path, text: str) -> None:
    with (county / "community.yaml").open("a", encoding="utf-8") as file:
        file.write(text)


def test_without_a_word_there_is_one() -> None:
    assert load(EXAMPLE).gateway.processes == 1
    assert roles_of(load(EXAMPLE), None) == ["engine", "pipeline", "web", "gateway"]


def test_so_many_are_started_as_it_says(county: Path) -> None:
    put(county, "gateway:\n  processes: 3\n")
    assert roles_of(load(county), "gateway") == ["gateway"] * 3
    assert roles_of(load(county), "engine") == ["engine", "pipeline"]


def test_a_hub_without_a_dicom_channel_starts_none(county: Path) -> None:
    put(county, "gateway:\n  processes: 3\n")
    (county / "channels" / "imaging.yaml").unlink()
    (county / "routes.yaml").unlink()
    assert roles_of(load(county), None) == ["engine", "pipeline", "web"]


def test_each_needs_an_association_of_its_own(county: Path) -> None:
    put(county, "gateway:\n  processes: 3\n")
    with (county / "channels" / "imaging.yaml").open("a", encoding="utf-8") as file:
        file.write("max_associations: 2\n")
    with pytest.raises(InvalidConfiguration, match=r"imaging\.yaml.*max_associations: expected at least one for each"):
        load(county)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("processes: 0", "gateway.processes: expected a number of at least 1"),
        ("processes: 9", "gateway.processes: expected a number of at most 8"),
        ("processes: two", "gateway.processes: expected"),
        ("proceses: 2", "gateway.proceses"),
    ],
)
def test_what_cannot_be_meant_is_told(county: Path, said: str, told: str) -> None:
    put(county, f"gateway:\n  {said}\n")
    with pytest.raises(InvalidConfiguration) as raised:
        load(county)
    assert told in str(raised.value), str(raised.value)
