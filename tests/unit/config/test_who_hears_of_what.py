"""An endpoint that is to hear of the steps and studies of a facility names one that exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config import InvalidConfiguration, load
from tests.unit.config.test_what_is_wrong_and_where import folder  # noqa: F401 - a fixture

ENDPOINT = """\
type: dicom
facility: qingxi-county
host: 10.0.0.9
port: 104
ae_title: RIS
commits: true
performed_steps_of: [baishi]
availability_of: [baishi, {other}]
"""


def test_facilities_that_exist_are_taken(folder: Path) -> None:  # noqa: F811
    (folder / "endpoints/ris.yaml").write_text(ENDPOINT.format(other="qingxi"), encoding="utf-8")
    endpoint = load(folder).dicom_endpoints["ris"]
    assert endpoint.performed_steps_of == ("baishi",)
    assert endpoint.availability_of == ("baishi", "qingxi")
    assert endpoint.commits


def test_a_facility_that_does_not_is_told_with_the_nearest(folder: Path) -> None:  # noqa: F811
    (folder / "endpoints/ris.yaml").write_text(ENDPOINT.format(other="qingxii"), encoding="utf-8")
    with pytest.raises(InvalidConfiguration) as raised:
        load(folder)
    assert [str(problem) for problem in raised.value.problems] == [
        "endpoints/ris.yaml:8: availability_of[2]: expected the name of a facility, found 'qingxii'; "
        "did you mean 'qingxi'?"
    ]
