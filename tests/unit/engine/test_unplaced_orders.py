"""Which orders may be of images, and which say plainly that they are something else?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from engine import config
from engine.config import Community
from engine.envelope import Envelope, Kind
from engine.finding import Finding, Severity
from engine.recording.unplaced_orders import of_unknown_kind
from engine.studies import MODALITY
from engine.understanding import Understood

SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"
ITEM: dict[str, Any] = {"coding": [{"system": "urn:x", "code": "XP-1"}], "text": "胸片"}


@pytest.fixture(scope="module")
def community() -> Community:
    return config.load(Path(__file__).parents[3] / "docker" / "example")


def told(
    community: Community,
    order: dict[str, Any],
    *,
    message_type: str = "ORM^O01",
    facility: str = "baishi",
    unmapped: Sequence[str] = (),
) -> list[Finding]:
    envelope = Envelope(
        id=UUID(int=1),
        kind=Kind.HL7V2,
        channel="baishi-his",
        facility=facility,
        peer="",
        received_at=datetime(2026, 11, 21, tzinfo=UTC),
        control_id="M1",
        message_type=message_type,
        payload=b"",
        sha256=b"",
        lanes=(),
    )
    walk = Understood(envelope, unmapped=[*unmapped])
    return [*of_unknown_kind(community, walk, [{"resourceType": "ServiceRequest", "id": "o1", **order}])]


def _listed(code: str, system: str = SECTION) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def test_nothing_but_a_code_that_nobody_knows_is_told_with_the_field_and_what_to_do(community: Community) -> None:
    (finding,) = told(community, {"status": "active", "code": ITEM})
    assert (finding.code, finding.severity) == ("order-kind-unknown", Severity.WARNING)
    assert (finding.location, finding.once) == ("OBR-4", "OBR-4 XP-1")
    assert "OBR-24 is empty" in finding.text
    assert "imaging_procedures" in finding.text


def test_radiology_without_a_modality_is_told(community: Community) -> None:
    (finding,) = told(community, {"code": ITEM, "category": [_listed("RAD")]})
    assert "not by which modality" in finding.text
    assert finding.once == "OBR-4 XP-1"


def test_a_section_that_no_table_lists_is_told_once_for_all_of_its_codes(community: Community) -> None:
    (finding,) = told(community, {"code": ITEM, "category": [{"text": "放射科"}]})
    assert (finding.location, finding.once) == ("OBR-24", "OBR-24 放射科")
    assert "diagnostic_services" in finding.text


@pytest.mark.parametrize(
    "order",
    [
        {"code": ITEM, "category": [_listed("DX", MODALITY), _listed("RX")]},
        {"code": ITEM, "category": [_listed("LAB")]},
        {"code": ITEM, "category": [_listed("PHR")]},
        {"code": ITEM, "specimen": [{"reference": "Specimen/s1"}]},
        {"code": ITEM, "status": "revoked"},
        {"code": ITEM, "status": "entered-in-error"},
        {"code": ITEM, "status": "completed"},
        {},
        {"status": "active"},
    ],
)
def test_what_is_placed_or_something_else_or_over_is_not_told(community: Community, order: dict[str, Any]) -> None:
    assert told(community, order) == []


@pytest.mark.parametrize("field", ["OBR-15", "SPM-4"])
def test_a_specimen_that_no_rule_reads_says_laboratory(community: Community, field: str) -> None:
    assert told(community, {"code": ITEM}, unmapped=["PID-31", field]) == []
    assert len(told(community, {"code": ITEM}, unmapped=["PID-31"])) == 1


@pytest.mark.parametrize("message_type", ["OML^O21", "ORU^R01", "RDE^O11", "SIU^S12", ""])
def test_other_messages_place_no_orders_of_images(community: Community, message_type: str) -> None:
    assert told(community, {"code": ITEM}, message_type=message_type) == []


def test_a_message_of_imaging_orders_needs_no_code_to_be_told(community: Community) -> None:
    (finding,) = told(community, {"status": "active"}, message_type="OMI^O23")
    assert (finding.once, "names no code" in finding.text) == ("OBR-4", True)


def test_only_where_a_modality_or_a_centre_would_be_told_of_the_order(community: Community) -> None:
    without_channels = {name: one for name, one in community.channels.items() if one not in community.dicom_channels}
    routed = community.model_copy(update={"channels": without_channels})
    alone = routed.model_copy(update={"routes": ()})
    entry = community.model_copy(update={"routes": ()})
    assert [len(told(here, {"code": ITEM})) for here in (routed, entry, alone)] == [1, 1, 0]
    assert told(community, {"code": ITEM}, facility="qingxi-tcm") == []


def test_a_channel_that_takes_every_title_for_a_facility_is_a_worklist_of_it(community: Community) -> None:
    imaging = community.dicom_channels[0].model_copy(update={"default_facility": "qingxi-tcm"})
    open_to_all = community.model_copy(update={"channels": {**community.channels, imaging.name: imaging}})
    assert len(told(open_to_all, {"code": ITEM}, facility="qingxi-tcm")) == 1


@pytest.mark.parametrize("word", ["胸片 张三 床12", "胸片张三", "XP 1", "ZHANG SAN"])
def test_free_text_in_place_of_a_code_is_not_repeated(community: Community, word: str) -> None:
    for code in ({"text": word}, {"coding": [{"code": word}]}, {"coding": [{"code": ""}], "text": word}):
        (finding,) = told(community, {"code": code})
        assert (finding.once, word in finding.text) == ("OBR-4", False)
        assert "OBR-4 names no code" in finding.text


def test_only_the_code_that_the_tables_know_it_by_is_named(community: Community) -> None:
    (finding,) = told(community, {"code": {"coding": [{"code": "胸片"}, {"code": "XP-2"}]}})
    assert finding.once == "OBR-4"


@pytest.mark.parametrize("word", ["张三家住" * 40, "XP\x00\r\n1", "X" * 100_000, "X" * 65])
def test_what_is_no_code_is_not_repeated(community: Community, word: str) -> None:
    (item,) = told(community, {"code": {"coding": [{"code": word}]}})
    (section,) = told(community, {"code": {"text": word}, "category": [{"text": word}]})
    assert item.once == section.once == "OBR-4"
    assert all(word not in finding.text for finding in (item, section))
    assert "something else than a code" in section.text
