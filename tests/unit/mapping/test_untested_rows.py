"""Which rows of a facility does a test have to make give something? All but an id that is made as it is anyhow."""

from __future__ import annotations

from pathlib import Path

from engine.mapping.mapping_set import MappingSet
from engine.mapping.tested import Exercised

OVERLAY = """\
version: 1
mappings: [ADT]
changes:
  Patient:
    - {rule: z-name, from: PID-30, to: name+, with: person_name}
  Coverage:
    - {rule: class-id, from: PV1-21, with: patient_item_id, as: Coverage}
"""


def test_a_row_of_its_own_is_asked_for_with_both_ways_out(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "mappings"
    (own / "facilities/baishi").mkdir(parents=True)
    (own / "facilities/baishi/adt.yaml").write_text(OVERLAY, encoding="utf-8")
    mappings = MappingSet.load(folder, ["baishi"], own)
    untested = [each for each in Exercised().untested(mappings) if each.file.startswith("mappings/")]
    assert [(each.line, each.failures[0]) for each in untested] == [
        (
            5,
            "rule z-name: no test makes it give anything; add a message that does to a mapping_test.yaml "
            "(PID-30 filled), or, if it is never sent, write {rule: z-name, remove: yes}",
        )
    ]
