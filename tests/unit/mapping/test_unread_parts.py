"""Components that no rule reads are counted like fields that no rule reads, and none that a rule does read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from engine.codecs import er7
from engine.codecs.er7 import Message
from engine.errors import HutongError
from engine.mapping import MappingSet, unread_parts
from engine.mapping.components import _READ, components_of
from engine.mapping.definition import FieldName, Line, Rule
from engine.mapping.registry import FUNCTIONS, ID_FUNCTIONS
from engine.mapping.scope import Scope
from engine.mapping.unread_parts import LIMIT_COMPONENTS, Left, LeftOfSegment, PartlyRead
from tests.unit.mapping.conftest import CONTEXT, Map
from tests.unit.mapping.segments import obr, obx, pid, segment


def rule(function: str, *sources: str, otherwise: tuple[str, ...] = ()) -> Rule:
    fields = tuple(map(FieldName.parse, sources))
    return Rule(
        "r", Line("", 1), "x", sources=fields, otherwise=tuple(map(FieldName.parse, otherwise)), function=function
    )


@pytest.mark.parametrize(
    ("each", "at", "expected"),
    [
        (rule("text", "PID-31"), 0, {1}),
        (rule("date_time", "OBX-14", otherwise=("OBR-7",)), 1, {1}),
        (rule("concept", "OBX-3"), 0, {1, 2, 3, 4, 5, 6, 9}),
        (rule("concept", "OBR-27.4"), 0, {4}),
        (rule("observation_value", "OBX-5", "OBX-2", "OBX-6", "OBX-3", "OBX-11"), 0, None),
        (rule("payor", *(f"IN1-{number}" for number in (1, 4, 3, 5, 7, 2, 36, 6))), 2, {1, 4, 5}),
        (rule("visit_number", "PV1-19", "PV1-50"), 1, None),
        (rule("nobody_wrote_this", "PV1-19"), 0, None),
    ],
)
def test_a_rule_reads_components_or_the_whole_field(each: Rule, at: int, expected: set[int] | None) -> None:
    found = components_of(each, at, makes_id=False)
    assert found == (frozenset(expected) if expected is not None else None)


def test_what_makes_an_id_reads_other_components_than_what_says_a_number() -> None:
    number = rule("patient_id", "PID-3", "PID-2", "PID-4", "PID-19", "PID-18")
    assert components_of(number, 1, makes_id=True) == frozenset({1, 4})


@pytest.mark.usefixtures("mappings")
def test_the_table_names_functions_that_there_are_with_no_more_fields_than_they_take() -> None:
    for line in _READ.replace(" |\n ", " |").strip().splitlines():
        name, _, fields = line.partition(": ")
        known = ID_FUNCTIONS[name.removeprefix("id:")] if name.startswith("id:") else FUNCTIONS[name]
        assert known.fields is None or len(fields.split(" | ")) <= known.fields, line


def test_a_component_that_no_rule_reads_is_named_once_behind_the_fields(mapped: Map) -> None:
    lines = obx("NM", "1", f3="A^甲^L^^^^2.1", f18="D1^N1"), obx("NM", "2", f3="B^乙^L^^^^2.1", f31="x")
    unmapped = mapped("ORU^R01", pid(f3="P1^7^M10^HIS^MR", f38="x"), obr(), *lines).unmapped
    assert unmapped == ["PID-38", "OBX-31", "PID-3.2", "PID-3.3", "OBX-3.7", "OBX-18.2"]


def test_components_of_insurances_and_further_repetitions_are_counted(mapped: Map) -> None:
    insured = segment("IN1", f1="1", f2="YB", f3="I1^9^M11^SH", f4="医保局")
    unmapped = mapped("ADT^A01", pid(f3="P1^^^HIS^MR~C2^3"), "PV1|1|I||||||||||||||||||V1", insured).unmapped
    assert unmapped == ["PID-3.2", "IN1-3.2", "IN1-3.3"]


@pytest.mark.parametrize("rest", ["", "^", "^^^^^^^", "^ ^&&^&", "~", "~^^^^^"])
def test_nothing_is_counted_where_there_is_nothing(mapped: Map, rest: str) -> None:
    assert mapped("ADT^A31", pid(f3=f"P1^^^HIS^MR{rest}")).unmapped == []


def test_a_deleted_field_has_no_components(mapped: Map) -> None:
    assert mapped("ADT^A31", pid(f5='""', f11='""')).unmapped == []


def test_unusual_separators_change_nothing(mappings: MappingSet) -> None:
    message = er7.parse(b"MSH$*~!&$HIS$B$H$Q$20260401083000$$ADT*A31$C1$P$2.5.1\rPID$$$P1*7**HIS*MR\r", "utf-8")
    mapping = mappings.find("ADT^A31", "baishi")
    assert mapping is not None
    assert mapping.apply(message, CONTEXT).unmapped == ["PID-3.2"]


def test_a_text_that_comes_again_is_counted_in_every_message(mapped: Map) -> None:
    lines = pid(f15="zh^中文^ISO639^^^^9"), segment("PD1", f4="D1^张^^^^^^^^^^k")
    for _ in range(3):
        assert mapped("ADT^A31", *lines).unmapped == ["PID-15.7", "PD1-4.12"]
        assert mapped("ADT^A31", pid(f15="zh^中文^ISO639")).unmapped == []


def test_a_component_is_not_counted_where_another_rule_reads_it(mapped: Map) -> None:
    timed = segment("ORC", f1="NW", f2="L1", f7="1^^^20260401^^R")
    assert mapped("ORM^O01", pid(), timed, obr(f25="")).unmapped == ["ORC-7.1"]


def test_of_single_components_that_are_read_the_others_are_counted(mapped: Map) -> None:
    assert mapped("ORM^O01", pid(), segment("ORC", f1="NW", f4="G1^F1^x"), obr(f25="")).unmapped == ["ORC-4.3"]


def test_endless_components_are_looked_for_as_far_as_any_version_goes() -> None:
    left = Left(FieldName("OBX", 3), frozenset({1}))
    found = left.names("^".join(["x"] * 100_000))
    assert found == [f"OBX-3.{number}" for number in range(2, LIMIT_COMPONENTS + 1)]


@pytest.mark.parametrize(
    ("read", "raw", "expected"),
    [
        ({1}, "a", []),
        ({1}, "a^b", ["OBX-3.2"]),
        ({1, 3}, "a^^c", []),
        ({1, 3}, "a^b^c~a^^^d", ["OBX-3.2", "OBX-3.4"]),
        ({2}, "a", ["OBX-3.1"]),
        ({2}, "", []),
        ({2}, '""', []),
        ({1, 3}, "a^& ^c^ ^&~^^c", []),
        ({1, 3}, "a~a^b\n^c", ["OBX-3.2"]),
        ({2}, "^b~x^b", ["OBX-3.1"]),
        ({1, 70}, "^" * 69 + "x", []),
    ],
)
def test_components_are_found_in_every_repetition(read: set[int], raw: str, expected: list[str]) -> None:
    assert Left(FieldName("OBX", 3), frozenset(read)).names(raw) == expected


def test_of_segments_that_are_alike_each_is_looked_at_whatever_was_seen_before() -> None:
    rest = LeftOfSegment([Left(FieldName("OBX", number), frozenset(read)) for number, read in ((1, {1}), (2, {2}))])
    clean, first, second = ["OBX", "a", "^b"], ["OBX", "a^x", ""], ["OBX", "", "y^b^z"]
    for _ in range(2):
        assert rest.names([clean, clean]) == []
        assert rest.names([clean, second, first]) == ["OBX-1.2", "OBX-2.1", "OBX-2.3"]
        assert rest.names([second]) == ["OBX-2.1", "OBX-2.3"]


def test_of_one_field_the_same_is_found() -> None:
    rest = LeftOfSegment([Left(FieldName("OBX", 1), frozenset({1}))])
    assert rest.names([["OBX", "a"], ["OBX", "a^"], ["OBX", ""]]) == []
    assert rest.names([["OBX", "a"], ["OBX", "a^b"]]) == ["OBX-1.2"]


def test_what_is_remembered_of_segments_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread_parts, "LIMIT_REMEMBERED", 2)
    rest = LeftOfSegment([Left(FieldName("OBX", 1), frozenset({1, 2}))])
    for number in range(9):
        assert rest.names([["OBX", f"{number}^a^"]]) == []
        assert rest.names([["OBX", f"{number}^a^b"]]) == ["OBX-1.3"]


def test_what_a_mapping_leaves_out_on_purpose_is_not_counted(mappings: MappingSet) -> None:
    (found,) = [each for each in mappings.definitions() if each.name == "ADT"]

    def counted(*left: str) -> list[str]:
        partly = PartlyRead(replace(found, not_mapped={**found.not_mapped, **dict.fromkeys(left, "known")}))
        rest = partly.rest("patient", "PID")
        said = {3: "P1^7^M10", 5: "张^三^^^^^^^x"}
        return [] if rest is None else rest.names([["PID", *(said.get(number, "") for number in range(1, 64))]])

    assert counted() == ["PID-3.2", "PID-3.3", "PID-5.9"]
    assert counted("PID-3.2") == ["PID-3.3", "PID-5.9"]
    assert counted("PID-3") == ["PID-5.9"]
    assert counted("PID") == []


def test_no_component_is_counted_that_makes_a_difference(
    mappings: MappingSet, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over all sample messages: without such a component a message becomes the very same."""
    monkeypatch.setattr(Scope, "fingerprint", lambda self: "the same")
    seen: set[str] = set()
    for path in sorted(folder.glob("hl7v2/*/*.hl7")):
        message = er7.parse(path.read_bytes())
        mapping = mappings.find(message.message_type, "")
        try:
            made = mapping.apply(message, CONTEXT) if mapping is not None else None
        except HutongError:
            continue
        left = [name for name in made.unmapped if "." in name] if made is not None else []
        if mapping is not None and made is not None and left:
            seen.update(left)
            assert mapping.apply(er7.parse(_without(message, left), "utf-8"), CONTEXT).resources == made.resources, path
    assert len(seen) > 10


def _without(message: Message, names: Sequence[str]) -> bytes:
    return "".join(f"{line}\r" for line in _emptied(message, names)).encode()


def _emptied(message: Message, names: Sequence[str]) -> Iterator[str]:
    places = [_place(name) for name in names]
    for line in message.lines.texts:
        fields = line.split("|")
        for name, number, component in places:
            if fields[0] == name and number < len(fields):
                fields[number] = "~".join(
                    "^".join("" if at == component else part for at, part in enumerate(each.split("^"), 1))
                    for each in fields[number].split("~")
                )
        yield "|".join(fields)


def _place(name: str) -> tuple[str, int, int]:
    segment_name, _, rest = name.partition("-")
    number, _, component = rest.partition(".")
    return segment_name, int(number), int(component)
