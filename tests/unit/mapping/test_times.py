"""Dates and times: read as precisely as they were written, or a finding; never guessed."""

from __future__ import annotations

import pytest

from engine.mapping.functions.moments import UNREADABLE, moment
from tests.unit.mapping.conftest import Map
from tests.unit.mapping.segments import obr, obx, pid


@pytest.mark.parametrize(
    ("written", "date_time"),
    [
        ("2026", "2026"),
        ("202604", "2026-04"),
        ("20260401", "2026-04-01"),
        ("202604010830", "2026-04-01T08:30:00+08:00"),
        ("20260401083059", "2026-04-01T08:30:59+08:00"),
        ("20260401083059.1230", "2026-04-01T08:30:59.1230+08:00"),
        ("20260401083059+0000", "2026-04-01T08:30:59+00:00"),
        ("20260401083059-0500", "2026-04-01T08:30:59-05:00"),
        ("20240229", "2024-02-29"),
    ],
)
def test_an_hl7_time_keeps_its_precision_and_is_chinese_without_a_zone(written: str, date_time: str) -> None:
    assert moment(written).date_time == date_time
    assert moment(written).doubts == ()


@pytest.mark.parametrize(
    ("written", "date_time", "doubts"),
    [
        ("2024-10-23 15:49:54", "2024-10-23T15:49:54+08:00", {"time-format"}),
        ("2024-10-23T15:49:54", "2024-10-23T15:49:54+08:00", {"time-format"}),
        ("2024/1/5", "2024-01-05", {"time-format"}),
        ("2024.01.05", "2024-01-05", {"time-format"}),
        ("2024年1月5日", "2024-01-05", {"time-format"}),
        ("20241023 154954", "2024-10-23T15:49:54+08:00", {"time-format"}),
        ("20241023 15:49:54", "2024-10-23T15:49:54+08:00", {"time-format"}),
        ("20241023 15:49", "2024-10-23T15:49:00+08:00", {"time-format"}),
        ("2024年10月23日15时49分", "2024-10-23T15:49:00+08:00", {"time-format"}),
        ("2024年10月23日 15:49:54", "2024-10-23T15:49:54+08:00", {"time-format"}),
        ("2024年10月23日15点49分54秒", "2024-10-23T15:49:54+08:00", {"time-format"}),
        ("２０２６０４０１", "2026-04-01", {"time-format"}),
        (" 20260401 ", "2026-04-01", {"time-format"}),
        ("2025-06-22T09:06:26Z", "2025-06-22T09:06:26Z", {"time-format", "time-zone-doubtful"}),
        ("2026040108", "2026-04-01T08:00:00+08:00", {"time-precision"}),
    ],
)
def test_another_form_with_one_meaning_is_read_and_said(written: str, date_time: str, doubts: set[str]) -> None:
    found = moment(written)
    assert found.date_time == date_time
    assert {code for code, _ in found.doubts} == doubts


@pytest.mark.parametrize(
    "written",
    [
        "00000000",
        "20261301",
        "20260230",
        "2026040125",
        "260401",
        "45383",
        "01/02/2026",
        "昨天",
        "20260401+9900",
        "20260401T",
    ],
)
def test_what_can_be_read_in_no_way_or_in_two_is_left_out(written: str) -> None:
    assert moment(written) is UNREADABLE


def test_an_unreadable_date_becomes_a_finding_at_its_field(mapped: Map) -> None:
    result = mapped("ADT^A04", pid(f7="60/5/6"))
    assert "birthDate" not in result.resources[0]
    assert [(f.code, f.location, f.rule) for f in result.findings] == [("time-unreadable", "PID-7", "pid-7")]


def test_a_time_of_birth_stands_beside_the_date(mapped: Map) -> None:
    patient = mapped("ADT^A04", pid(f7="202604010830")).resources[0]
    assert patient["birthDate"] == "2026-04-01"
    assert patient["_birthDate"]["extension"][0]["valueDateTime"] == "2026-04-01T08:30:00+08:00"


def test_a_date_is_no_instant(mapped: Map) -> None:
    result = mapped("ORU^R01", pid(), obr(f22="20260401"), obx("ST", "x"))
    report = next(r for r in result.resources if r["resourceType"] == "DiagnosticReport")
    assert "issued" not in report
    assert [f.location for f in result.findings] == ["OBR-22"]
