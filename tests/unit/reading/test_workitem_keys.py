"""What a workstation asks of workitems is matched as the standard says; what they never tell is left out, and said."""

from __future__ import annotations

import pytest

from engine.api.reading.workitem_keys import keys_of
from engine.errors import ParseError

SAID = {
    "00080018": {"vr": "UI", "Value": ["2.25.7"]},
    "00100010": {"vr": "PN", "Value": [{"Ideographic": "赵小燕"}]},
    "00100030": {"vr": "DA", "Value": ["19800315"]},
    "00404005": {"vr": "DT", "Value": ["20261122103000+0800"]},
    "00404018": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["110005"]}}]},
    "00741000": {"vr": "CS", "Value": ["SCHEDULED"]},
}
START = "ScheduledProcedureStepStartDateTime"


def found(name: str, value: str) -> bool:
    keys, ignored = keys_of([(name, value)])
    assert not ignored
    return all(key.matches(SAID) for key in keys)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("00404005", "20261122-20261123", True),
        ("00404005", "20261122", True),
        (START, "20261121-20261122", True),
        (START, "20261122-", True),
        (START, "-20261122", True),
        (START, "-20261121", False),
        (START, "20261123-", False),
        (START, "20261122 - 20261122", True),
        (START, "2026", True),
        (START, "202612", False),
        (START, "2026-2027", True),
        (START, "20261122103000-20261122103000", True),
        (START, "20261122103001-", False),
        (START, "20261122103000.000000-20261122104500.999999", True),
        (START, "20261122023000+0000", True),
        (START, "20261122-0800", False),  # a day of another time zone, which begins when ours is over
        (START, "20261121180000-0800-20261121190000-0800", True),
        (START, "20261122-99991231", True),
        (START, "20261122*", True),
        (START, "", True),
        ("PatientBirthDate", "19800101-19801231", True),
        ("PatientBirthDate", "19810101-", False),
        ("ScheduledWorkitemCodeSequence.CodeValue", "110005", True),
        ("00404018.00080100", "110006", False),
        ("scheduledworkitemcodesequence.codevalue", "11*", True),
        ("SOPInstanceUID", "2.25.1,2.25.7", True),
        ("SOPInstanceUID", "2.25.1\\2.25.77", False),
        ("SOPInstanceUID", "2.25.*", True),
        ("PatientName", "赵*", True),
        ("ProcedureStepState", "[S]CHEDULED", False),
    ],
)
def test_a_key_matches_as_the_standard_says(name: str, value: str, expected: bool) -> None:
    assert found(name, value) is expected


@pytest.mark.parametrize(
    "name",
    ["OperatorsName", "AccessionNumber", "00741204.00080100", "ScheduledWorkitemCodeSequence", "x", ".", "00741204."],
)
def test_what_no_workitem_tells_is_ignored_and_said_to_be(name: str) -> None:
    assert keys_of([(name, "X")]) == ([], True)
    assert keys_of([(name, "")]) == ([], False)


@pytest.mark.parametrize(
    "value", ["yesterday", "-", "20261322", "2026112", "20261122--20261123", "1-2-3", "20261122-x"]
)
def test_a_time_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(ParseError):
        keys_of([(START, value)])


def test_a_time_that_was_recorded_as_none_matches_no_range() -> None:
    (key,), _ = keys_of([("PatientBirthDate", "1900-2100")])
    assert not key.matches({"00100030": {"vr": "DA", "Value": ["unknown"]}})
