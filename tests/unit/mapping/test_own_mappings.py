"""An installation has mappings of its own, over those of the distribution."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.config.problems import InvalidConfiguration
from engine.mapping import MappingSet
from engine.mapping.testing import run_tests
from tests.unit.mapping.conftest import OVERLAY
from tests.unit.mapping.folders import registered
from tests.unit.mapping.segments import pid


def test_a_misspelt_table_beside_the_configuration_is_named_from_it(copied: Path, tmp_path: Path) -> None:
    own = tmp_path / "community" / "mappings"
    (own / "facilities/baishi/tables").mkdir(parents=True)
    (own / "facilities/baishi/tables/modality.csv").write_text("from,code\nDR,DX\n", encoding="utf-8")
    with pytest.raises(InvalidConfiguration) as caught:
        MappingSet.load(copied, ["baishi"], own)
    (found,) = map(str, caught.value.problems)
    assert found.startswith("mappings/facilities/baishi/tables/modality.csv")
    assert "did you mean 'modalities'?" in found


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """An installation's own mappings: a facility that tests its row, and a code more for everybody."""
    place = tmp_path / "config/mappings"
    (place / "facilities/baishi").mkdir(parents=True)
    (place / "tables").mkdir()
    (place / "tables/sex.csv").write_text("from,code\nMAN,male\n", encoding="utf-8")
    (place / "facilities/baishi/adt.yaml").write_text(OVERLAY, encoding="utf-8")
    return place


def test_an_installation_has_mappings_of_its_own_over_those_of_the_distribution(folder: Path, own: Path) -> None:
    mappings = MappingSet.load(folder, ["baishi"], own)
    lines = pid(f5="王^小东", f8="MAN", f13="1"), "ZPD|1|小^东"
    patient = registered(mappings, "baishi", *lines).resources[0]
    assert patient["gender"] == "male"
    assert [name["text"] for name in patient["name"]] == ["王小东", "小东"]
    assert registered(mappings, "qingxi", *lines).resources[0]["gender"] == "male"
    assert {
        (result.file, result.failures[0].partition(":")[0]) for result in run_tests(folder, own) if result.failures
    } == {
        ("mappings/facilities/baishi/adt.yaml", "rule pid-13"),
        ("mappings/facilities/baishi/adt.yaml", "rule z-name"),
    }


def test_an_own_mapping_stands_for_the_one_of_its_name(folder: Path, own: Path) -> None:
    shutil.copytree(folder / "hl7v2/ADT_PERSON", own / "hl7v2/person")
    path = own / "hl7v2/person/mapping.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("version: 1", "version: own", 1), encoding="utf-8")
    found = MappingSet.load(folder, ["baishi"], own).find("ADT^A31", "baishi")
    assert found is not None
    assert found.label.startswith("ADT_PERSON@own+")


def test_a_mistake_in_an_own_file_is_named_with_its_folder(folder: Path, own: Path) -> None:
    path = own / "facilities/baishi/adt.yaml"
    path.write_text(OVERLAY.replace("with: person_name", "with: person_nam"), encoding="utf-8")
    with pytest.raises(InvalidConfiguration) as caught:
        MappingSet.load(folder, ["baishi"], own)
    assert "mappings/facilities/baishi/adt.yaml:9" in str(caught.value)
