"""A comment behind the last result of an order is that result's, unless the facility says that it is the order's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.codecs import er7
from engine.config.problems import InvalidConfiguration
from engine.mapping import Mapped, MappingSet
from tests.unit.mapping.conftest import CONTEXT, FOLDER
from tests.unit.mapping.segments import obr, obx, pid

CLOSING = "version: 1\nmappings: [ORU_R01]\ngroups:\n  order: {closing: [NTE]}\n"


def changed(folder: Path, text: str) -> MappingSet:
    facility = folder / "mappings" / "facilities" / "baishi"
    facility.mkdir(parents=True)
    (facility / "oru.yaml").write_text(text)
    return MappingSet.load(FOLDER, ["baishi", "qingxi"], folder / "mappings")


@pytest.fixture(scope="module")
def closing(tmp_path_factory: pytest.TempPathFactory) -> MappingSet:
    return changed(tmp_path_factory.mktemp("closing"), CLOSING)


def applied(mappings: MappingSet, *lines: str, facility: str = "baishi") -> Mapped:
    header = "MSH|^~\\&|LIS|BS|H|Q|20260401083000||ORU^R01|C1|P|2.5.1"
    message = er7.parse("".join(f"{line}\r" for line in (header, *lines)).encode(), "utf-8")
    mapping = mappings.find("ORU^R01", facility)
    assert mapping is not None
    return mapping.apply(message, CONTEXT, with_sources=True)


def comments(mapped: Mapped) -> tuple[list[list[str]], list[list[str]]]:
    """Of each report and of each result."""

    def of(each: dict[str, Any]) -> list[str]:
        notes = [
            *each.get("note", ()),
            *(e["valueAnnotation"] for e in each.get("extension", ()) if "valueAn" in str(e)),
        ]
        return [note["text"] for note in notes]

    those = {kind: [of(r) for r in mapped.resources if r["resourceType"] == kind] for kind in KINDS}
    return those["DiagnosticReport"], those["Observation"]


KINDS = ("DiagnosticReport", "Observation")
TWO_ORDERS = (
    pid(),
    obr(),
    "NTE|1||申请",
    obx("NM", "1", f3="A"),
    "NTE|1||甲",
    obx("NM", "2", f3="B"),
    "NTE|1||标本溶血",
    "NTE|2||建议复查",
    obr(f2="PL2", f3="FL2"),
    obx("NM", "3", f3="C"),
    "NTE|1||末",
)


def test_hl7_has_it_as_a_comment_on_the_last_result(mappings: MappingSet) -> None:
    reports, results = comments(applied(mappings, *TWO_ORDERS))
    assert results == [["甲"], ["标本溶血", "建议复查"], ["末"]]
    assert reports == [["申请"], []]


def test_a_facility_may_say_that_it_closes_the_order(closing: MappingSet) -> None:
    reports, results = comments(applied(closing, *TWO_ORDERS))
    assert results == [["甲"], [], []]
    assert reports == [["申请", "标本溶血", "建议复查"], ["末"]]


def test_it_says_so_for_itself_alone(closing: MappingSet) -> None:
    assert comments(applied(closing, *TWO_ORDERS, facility="qingxi"))[1] == [["甲"], ["标本溶血", "建议复查"], ["末"]]


def test_what_closes_an_order_is_told_to_come_from_its_own_bytes(closing: MappingSet) -> None:
    mapped = applied(closing, *TWO_ORDERS)
    told = {source.field for source in mapped.sources if source.rule == "comment"}
    assert told == {"NTE[1]-3[1]", "NTE[3]-3[1]", "NTE[4]-3[1]", "NTE[5]-3[1]"}
    assert mapped.unmapped == []


@pytest.mark.parametrize(
    "lines",
    [
        (obr(), "NTE|1||一"),
        (obr(), obx("NM", "1"), "SPM|1|S1", "NTE|1||一"),
        (obr(), obx("NM", "1"), "NTE|1||一", "SPM|1|S1"),
        ("NTE|1||一", obr(), obx("NM", "1")),
    ],
)
def test_specimens_orders_without_results_and_stray_comments_stay_whole(
    closing: MappingSet, lines: tuple[str, ...]
) -> None:
    mapped = applied(closing, pid(), *lines)
    assert len([each for each in mapped.resources if each["resourceType"] == "DiagnosticReport"]) == 1
    assert "一" not in str([each for each in mapped.resources if each["resourceType"] == "Observation"])


def test_misspelt_lines_are_named_with_the_nearest_words(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration) as raised:
        changed(tmp_path, CLOSING.replace("NTE", "NTF") + "  result: {close: [NTE]}\n")
    assert "group 'order' holds no NTF; did you mean 'NTE'?" in str(raised.value)
    assert "did you mean 'closing'?" in str(raised.value)
