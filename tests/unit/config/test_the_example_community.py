"""The example county loads, means what its files say, and cannot be changed once read."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from engine.config import Acknowledge, Community, DicomChannel, Event, Level, MllpChannel, Role, load

HOUSE = Path(__file__).parents[3]
EXAMPLE = HOUSE / "docker" / "example"


@pytest.fixture(scope="module")
def community() -> Community:
    return load(EXAMPLE)


def test_it_has_two_hospitals_two_township_centres_and_a_village_clinic(community: Community) -> None:
    assert {facility.code: facility.level for facility in community.facilities.values()} == {
        "qingxi-county": Level.COUNTY,
        "qingxi-tcm": Level.COUNTY,
        "qingxi": Level.TOWNSHIP,
        "baishi": Level.TOWNSHIP,
        "liushu": Level.VILLAGE,
    }


def test_a_channel_is_named_after_its_file(community: Community) -> None:
    channel = community.channels["baishi-his"]
    assert isinstance(channel, MllpChannel)
    assert (channel.name, channel.facility, channel.charset) == ("baishi-his", "baishi", "gb18030")
    assert channel.acknowledge is Acknowledge.WHEN_PERSISTED
    assert channel.max_connections >= 500


def test_the_imaging_channel_knows_every_modality_and_nobody_else(community: Community) -> None:
    channel = community.channels["imaging"]
    assert isinstance(channel, DicomChannel)
    assert {entry.ae_title: entry.facility for entry in channel.ae_entries}["DR_BAISHI"] == "baishi"
    assert channel.default_facility is None


def test_orders_go_to_a_centre_and_signed_reports_back_to_whoever_asked(community: Community) -> None:
    assert [route.to.centre for route in community.routes if route.when.event is Event.ORDER] == [
        "county-imaging",
        "county-ecg",
    ]
    assert [route.to.requester for route in community.routes if route.when.event is Event.REPORT_SIGNED] == [True]


def test_every_centre_has_two_people_who_can_finish_a_report(community: Community) -> None:
    for centre in community.centres.values():
        assert any(set(centre.reviewers) - {reader} for reader in centre.readers), centre.name
        assert all(Role.REVIEWER in community.users[name].roles for name in centre.reviewers)


def test_channels_are_sorted_by_kind(community: Community) -> None:
    assert {channel.name for channel in community.mllp_channels} == {
        "qingxi-his",
        "baishi-his",
        "county-his",
        "county-lis",
    }
    assert [channel.name for channel in community.dicom_channels] == ["imaging"]


def test_every_recognised_code_is_one_that_orders_can_have(community: Community) -> None:
    with (HOUSE / "mappings" / "tables" / "imaging_procedures.csv").open(encoding="utf-8", newline="") as file:
        codes = {row["recognition"] for row in csv.DictReader(file)}
    assert {item.code for item in community.recognition.items} <= codes


def test_what_was_read_cannot_be_changed(community: Community) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        community.http.port = 1


def test_no_secret_stands_in_the_example() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in EXAMPLE.rglob("*.yaml"))
    assert not re.search(r"password|secret|token\s*:|://[^/\s]*@", text)
