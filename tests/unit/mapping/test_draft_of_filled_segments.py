"""A shifted segment is read as a whole: also the fields that no sample fills give what they give in their places."""

from __future__ import annotations

from collections.abc import Mapping as Fields
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.codecs import er7
from engine.mapping.draft import Ground, draft, samples_of
from engine.mapping.draft.moving import Moved, moved
from engine.mapping.draft.shifting import Shift
from engine.mapping.lens.structures import Structure
from engine.mapping.loader import load
from engine.mapping.mapped import Context
from engine.mapping.mapping_set import MappingSet
from engine.mapping.testing import run_tests
from tests.unit.mapping.segments import pid, segment

HEAD = "MSH|^~\\&|HIS|ZLXWSY|H|Q|20260511083012||ADT^{}|Z1|P|2.4||||||UNICODE UTF-8"
BY_TYPE = {
    "XPN": "王^小{}",
    "XCN": "D{}^李^医生",
    "XAD": "柏树村{}组^^曲靖市",
    "XTN": "139881122{:02}",
    "CX": "N{:04}^^^HIS^AN",
    "PL": "内科{}^201^03",
    "XON": "单位{}",
    "NM": "{}",
    "TS": "202605{:02}0830",
    "DT": "202605{:02}",
    "FC": "F{}",
}
"""By datatype, another value for each field."""
SAID_OF_ITSELF = {("PV1", 2): "I", ("PV1", 4): "E", ("PID", 8): "F", ("PID", 16): "M", ("PID", 30): "N"}
SAMPLED = {
    "PV1": {2: "I", 3: "NEI^201^03", 7: "D012^李^医生", 10: "NK", 19: "ZY2026000321", 44: "202605100830"},
    "PID": {3: "P1^^^HIS^MR", 5: "李^秀英", 7: "19560312", 8: "女", 11: "柏树村3组15号^^曲靖市", 13: "13988112233"},
}
"""What the samples fill, by the fields of the standard."""
SAMPLED["PID"][19] = "530302197808200318"
SAMPLED_LATE = {45: "202605140830"}
LAST = {"PV1": 52, "PID": 39}


def whole(name: str) -> dict[int, str]:
    """All fields of a segment, each with something of its own."""
    structure = Structure("ADT^A03", "2.4")
    found = {at: _value(name, at, structure.datatype(name, at)) for at in range(2, LAST[name] + 1)}
    return {**found, **({3: "P1^^^HIS^MR"} if name == "PID" else {})}


def _value(name: str, at: int, datatype: str) -> str:
    number = at % 28 + 1 if datatype in ("TS", "DT") else at
    return SAID_OF_ITSELF.get((name, at), BY_TYPE.get(datatype, "C{}").format(number))


def shifted(name: str, fields: Fields[int, str], first: int, by: int) -> str:
    """Fields from `first` on stand `by` fields later; what would stand before it is not sent."""
    places = {(at + by if at >= first else at): text for at, text in fields.items() if by > 0 or at != first + by}
    return segment(name, **{f"f{at}": text for at, text in sorted(places.items())})


def message(event: str, name: str, said: str) -> str:
    others = {"PID": pid(f5="李^秀英"), "PV1": segment("PV1", f2="I", f19="ZY2026000321")}
    return "\r".join((HEAD.format(event), *({**others, name: said}[each] for each in ("PID", "PV1"))))


def drafted(folder: Path, own: Path, name: str, first: int, by: int) -> str:
    """Writes the draft of an admission and a discharge that fill few fields; returns its rows."""
    samples = own.parent / "samples.hl7"
    late = {**SAMPLED[name], **(SAMPLED_LATE if name == "PV1" else {})}
    said = [message("A01", name, shifted(name, SAMPLED[name], first, by))]
    said += [message("A03", name, shifted(name, late, first, by))]
    samples.write_text("\r".join(said), encoding="utf-8")
    made = draft(samples_of([samples]), Ground(folder, own, ["zhuling"], "zhuling"))
    for each in made.files:
        place = own / each.file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(each.content)
    return (own / "facilities/zhuling/adt_draft.yaml").read_text(encoding="utf-8")


def made_of(texts: Sequence[str], folder: Path, own: Path | None) -> list[Sequence[dict[str, Any]]]:
    mapping = MappingSet(load(folder, ["zhuling"], own)).find("ADT^A03", "zhuling")
    assert mapping is not None
    context = Context("zhuling", "zhuling", "test", datetime(2026, 5, 15, tzinfo=UTC))
    return [mapping.apply(er7.parse(text.encode()), context).resources for text in texts]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    place = tmp_path / "mappings"
    place.mkdir()
    return place


@pytest.mark.parametrize(("name", "first", "by"), [("PV1", 2, 1), ("PV1", 19, 2), ("PID", 5, -1)])
def test_a_whole_shifted_segment_gives_what_it_gives_in_its_place(
    name: str, first: int, by: int, folder: Path, own: Path
) -> None:
    drafted(folder, own, name, first, by)
    fields = {at: text for at, text in whole(name).items() if by > 0 or at != first + by}
    ever = {at: text for at, text in fields.items() if at in (2, 3, 19)}
    sent = [fields, *({**ever, at: fields[at]} for at in fields)]
    events = [message("A03", name, shifted(name, each, first, by)) for each in sent]
    straight = [message("A03", name, shifted(name, each, 1, 0)) for each in sent]
    for at, given, expected in zip(
        ["all", *fields], made_of(events, folder, own), made_of(straight, folder, None), strict=True
    ):
        assert given == expected, f"{name}-{at}"


def test_the_draft_of_a_shifted_segment_passes_the_check_as_it_stands(folder: Path, own: Path) -> None:
    assert "remove: yes" not in drafted(folder, own, "PV1", 2, 1)
    assert [f"{each}" for each in run_tests(folder, own) if each.failures] == []


def rows(folder: Path, *shifts: Shift) -> dict[str, Moved]:
    mapping = MappingSet(load(folder, ["zhuling"])).find("ADT^A03", "zhuling")
    assert mapping is not None
    return {each.id: each for _, each in moved(mapping.definition, shifts)}


def test_what_is_made_of_fields_that_are_not_sent_is_taken_out_with_its_id(folder: Path) -> None:
    found = rows(folder, Shift("PV1", 20, 25, 1, (), to_the_end=True))
    assert found["class-id"].row == "{rule: class-id, remove: yes}"
    assert "pv1-20" not in found


def test_a_row_of_several_fields_reads_nothing_in_place_of_one_that_is_not_sent(folder: Path) -> None:
    found = rows(folder, Shift("PV1", 2, 44, 1, (), to_the_end=True))
    assert "from: [PV1-999, MSH-9], to: class" in found["pv1-2"].row
    assert "from: [PV1-18, PV1-43, PV1-999, MSH-9]" in found["visit-id"].row
    assert "from: [MSH-9, PV1-44, PV1-999]" in found["status"].row


def test_between_a_shift_and_what_stands_in_its_place_again_nothing_is_guessed(folder: Path) -> None:
    found = rows(folder, Shift("PV1", 3, 20, -1, (), to_the_end=False, resumed=44))
    assert found["pv1-36"].row == "{rule: pv1-36, remove: yes}"
    assert found["pv1-19"].row.startswith("{rule: pv1-19, from: PV1-20,")
    assert "pv1-44" not in found
    assert "pv1-50" not in found
