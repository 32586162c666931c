"""The example community is moved to free ports and stays a valid one."""

from __future__ import annotations

from pathlib import Path

from conformance.cast import BAISHI, COUNTY_CHANNEL, COUNTY_DOCTOR, ECG, IMAGING, QINGXI
from conformance.community import stage_community
from engine.cli.demo import EXAMPLE
from engine.config import DicomChannel, load


def test_every_listener_of_the_copy_takes_any_free_port(tmp_path: Path) -> None:
    stage_community(EXAMPLE, tmp_path / "copy", http_port=0, endpoints={"baishi-his": "mllp://127.0.0.1:9"})
    copy, original = load(tmp_path / "copy"), load(EXAMPLE)
    assert copy.http.port == 0
    assert {channel.port for channel in copy.mllp_channels} == {channel.port for channel in copy.dicom_channels} == {0}
    assert copy.mllp_endpoints["baishi-his"].address == "mllp://127.0.0.1:9"
    assert copy.mllp_endpoints["qingxi-his"] == original.mllp_endpoints["qingxi-his"]
    assert copy.mllp_endpoints["baishi-his"].version == original.mllp_endpoints["baishi-his"].version
    assert copy.users == original.users


def test_the_cast_of_the_story_stands_in_the_example_community() -> None:
    community = load(EXAMPLE)
    (imaging,) = (channel for channel in community.channels.values() if isinstance(channel, DicomChannel))
    entries = {entry.ae_title: entry.facility for entry in imaging.ae_entries}
    for site in (BAISHI, QINGXI):
        assert site.channel in community.channels
        assert community.facilities[site.facility].name == site.name
        assert site.his.facility in community.facilities[site.facility].msh4
        assert community.mllp_endpoints[site.endpoint].facility == site.facility
        assert entries[site.ae_title] == site.facility
    for desk in (IMAGING, ECG):
        assert desk.reader in community.centres[desk.centre].readers
        assert desk.reviewer in community.centres[desk.centre].reviewers
    assert COUNTY_CHANNEL in community.channels
    assert COUNTY_DOCTOR in community.users
