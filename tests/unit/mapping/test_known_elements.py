"""A row that writes what FHIR does not have fails the check, where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

import mappings
from engine.mapping import MappingSet
from engine.mapping.known_elements import unknown_elements

SHIPPED = Path(mappings.__file__).parent


def own(folder: Path, target: str) -> MappingSet:
    """The shipped mappings with one row more for a facility."""
    overlay = folder / "mappings" / "facilities" / "baishi"
    overlay.mkdir(parents=True)
    (overlay / "card.yaml").write_text(
        "version: 1\nmappings: [ADT]\ngroups:\n  patient: {holds: [ZPI]}\nchanges:\n  Patient:\n"
        f'    - {{rule: zpi-2, from: ZPI-2, to: "{target}", with: text}}\n',
        encoding="utf-8",
    )
    return MappingSet.load(SHIPPED, ["baishi"], folder / "mappings")


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("identifer", "Patient has no element 'identifer' in FHIR R4; did you mean 'identifier'?"),
        ("contact.nam", "PatientContact has no element 'nam' in FHIR R4; did you mean 'name'?"),
        ("maritalstatus.text", "Patient has no element 'maritalstatus' in FHIR R4; did you mean 'maritalStatus'?"),
        ("decesed[x]", "Patient has no element 'decesed[x]' in FHIR R4"),
    ],
)
def test_a_misspelt_element_is_named_with_its_place_and_the_nearest(tmp_path: Path, target: str, told: str) -> None:
    (result,) = unknown_elements(own(tmp_path, target))
    assert (result.file, result.line) == ("mappings/facilities/baishi/card.yaml", 7)
    assert result.failures == (f"rule zpi-2: {told}",)


@pytest.mark.parametrize("target", ["identifier+", "contact.name.text", "name[0].text", "deceased[x]", "extension+"])
def test_elements_of_fhir_pass(tmp_path: Path, target: str) -> None:
    assert list(unknown_elements(own(tmp_path, target))) == []
