"""Codes that nobody has explained: an examination without a code of recognition, a flag that no table lists."""

from __future__ import annotations

import pytest

from engine.finding import Finding, Severity
from engine.mapping import Mapped
from tests.unit.mapping.conftest import Map
from tests.unit.mapping.segments import obr, obx, pid, segment


def told(mapped: Mapped) -> list[Finding]:
    return [finding for finding in mapped.findings if finding.once]


@pytest.mark.parametrize("section", ["DX", "US", "CT", "ECG"])
def test_an_image_of_an_item_without_a_code_of_recognition_is_told_with_its_code(mapped: Map, section: str) -> None:
    found = mapped("ORM^O01", pid(), segment("ORC", f1="NW"), obr(f4="XP-77^胸片^L", f24=section))
    (finding,) = told(found)
    assert (finding.code, finding.severity, finding.once) == ("recognition-off", Severity.WARNING, "OBR-4 XP-77")
    assert "XP-77" in finding.text
    assert "imaging_procedures" in finding.text


@pytest.mark.parametrize("fields", [{"f4": "DR-CHEST^胸片^L", "f24": "DX"}, {"f4": "XCG^血常规^L", "f24": "LAB"}])
def test_nothing_is_told_of_what_has_a_code_or_is_no_image(mapped: Map, fields: dict[str, str]) -> None:
    assert told(mapped("ORM^O01", pid(), segment("ORC", f1="NW"), obr(**fields))) == []


def test_an_order_that_names_its_modality_itself_is_told_of_as_well(mapped: Map) -> None:
    lines = pid(), segment("ORC", f1="NW"), obr(f4="XP-77^胸片^L"), segment("IPC", f1="A1", f5="DX")
    (finding,) = told(mapped("OMI^O23", *lines))
    assert (finding.code, finding.once) == ("recognition-off", "OBR-4 XP-77")


def test_what_is_too_long_for_a_code_is_not_repeated(mapped: Map) -> None:
    (finding,) = told(mapped("ORM^O01", pid(), segment("ORC", f1="NW"), obr(f4="张三家住" * 40, f24="DX")))
    assert (finding.once, "张三" in finding.text) == ("OBR-4", False)


@pytest.mark.parametrize(
    ("flag", "once"),
    [("升高", "interpretation 升高"), ("3.5-9.5", "interpretation"), ("见报告单背面的说明文字", "interpretation")],
)
def test_a_flag_that_nobody_knows_is_to_be_settled(mapped: Map, flag: str, once: str) -> None:
    (finding,) = told(mapped("ORU^R01", pid(), obr(), obx("NM", "12", f8=flag)))
    assert (finding.code, finding.severity, finding.rule) == ("code-unmapped", Severity.WARNING, "obx-8")
    assert finding.once == once
    assert told(mapped("ORU^R01", pid(), obr(), obx("NM", "12", f8="↑"))) == []
