"""A signed report goes back as ORU^R01 in the words, the version and the charset of the system that asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.codecs import er7
from engine.errors import MappingError
from engine.mapping import MappingSet
from engine.mapping.outbound import build_oru
from tests.unit.mapping.conftest import CONTEXT

AT = datetime(2026, 4, 1, 2, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Endpoint:
    version: str = "2.4"
    charset: str = "gb18030"
    sending_application: str = "HUTONG"
    sending_facility: str = "HUTONG"
    receiving_application: str = "HIS"
    receiving_facility: str = "BSXWSY"


REPORT: dict[str, Any] = {
    "resourceType": "DiagnosticReport",
    "id": "r",
    "status": "final",
    "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RX"}]}],
    "effectiveDateTime": "2026-04-01T09:10:00+08:00",
    "issued": "2026-04-01T01:30:00.123Z",
    "conclusion": "双肺未见实质性病变。\n心影不大|膈面光整^肋膈角锐利。",
    "resultsInterpreter": [
        {"reference": "Practitioner/w", "identifier": {"value": "wang"}, "display": "王读片"},
        {"reference": "Practitioner/l", "identifier": {"value": "li"}, "display": "李审核"},
    ],
}
OBSERVED: dict[str, Any] = {
    "resourceType": "Observation",
    "code": {"coding": [{"system": "http://loinc.org", "code": "59776-5"}], "text": "检查所见"},
    "status": "final",
    "valueString": "胸廓对称，两肺纹理清晰。",
}


@pytest.fixture
def order(folder: Path, mappings: MappingSet) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first order of the ORM^O01 beside its mapping, with what the hub adds, and its patient."""
    mapping = mappings.find("ORM^O01", "baishi")
    assert mapping is not None
    mapped = mapping.apply(er7.parse((folder / "hl7v2/ORM_O01/new_order.hl7").read_bytes()), CONTEXT)
    found = next(each for each in mapped.resources if each["resourceType"] == "ServiceRequest")
    found["identifier"] += [
        {"type": {"coding": [{"code": "ACSN"}]}, "value": "A2604010001"},
        {"system": "urn:dicom:uid", "value": "urn:oid:2.25.77"},
    ]
    return found, mapped.resources[0]


def written(order: tuple[dict[str, Any], dict[str, Any]], endpoint: Endpoint, **changes: Any) -> er7.Message:
    payload = build_oru(REPORT | changes, order[0], order[1], [OBSERVED], endpoint=endpoint, control_id="CTL1", at=AT)
    assert payload.endswith(b"\r")
    return er7.parse(payload)


def test_the_report_carries_what_the_requester_knows_it_by(order: tuple[dict[str, Any], dict[str, Any]]) -> None:
    message = written(order, Endpoint())
    header, patient, request = message.header, message.named("PID")[0], message.named("OBR")[0]
    assert [header.value(n) for n in (3, 4, 5, 6, 7, 10, 12, 18)] == [
        "HUTONG",
        "HUTONG",
        "HIS",
        "BSXWSY",
        "20260401100000",
        "CTL1",
        "2.4",
        "GB 18030-2000",
    ]
    assert header.field(9) == "ORU^R01^ORU_R01"
    assert patient.field(3) == "B000123^^^HIS^MR"
    assert patient.field(5) == "王^小东"
    assert [patient.value(n) for n in (7, 8)] == ["19491231", "M"]
    assert [request.value(n) for n in (2, 3, 18, 7, 22, 24, 25)] == [
        "BS-2604010007",
        "A2604010001",
        "A2604010001",
        "20260401091000",
        "20260401093000",
        "RX",
        "F",
    ]
    assert request.field(4) == "DR-CHEST-PA^胸部正位^L"
    assert (request.field(16), request.field(32), request.field(33)) == ("D001^赵大夫", "li&李审核", "wang&王读片")


def test_findings_conclusion_and_study_are_results(order: tuple[dict[str, Any], dict[str, Any]]) -> None:
    results = written(order, Endpoint()).named("OBX")
    assert [(each.value(1), each.value(2), each.field(3)) for each in results] == [
        ("1", "FT", "59776-5^检查所见^LN"),
        ("2", "FT", "19005-8^诊断意见^LN"),
        ("3", "HD", "113014^DICOM Study^DCM"),
    ]
    assert results[0].value(5) == OBSERVED["valueString"]
    assert results[1].value(5) == REPORT["conclusion"]
    assert results[2].value(5) == "2.25.77"
    assert {each.value(11) for each in results} == {"F"}


@pytest.mark.parametrize(
    ("version", "message_type"), [("2.3", "ORU^R01"), ("2.4", "ORU^R01^ORU_R01"), ("2.5.1", "ORU^R01^ORU_R01")]
)
def test_the_header_suits_the_version(
    order: tuple[dict[str, Any], dict[str, Any]], version: str, message_type: str
) -> None:
    assert written(order, Endpoint(version=version)).header.field(9) == message_type


@pytest.mark.parametrize(("status", "flag"), [("final", "F"), ("preliminary", "P"), ("corrected", "C")])
def test_the_status_is_told(order: tuple[dict[str, Any], dict[str, Any]], status: str, flag: str) -> None:
    assert written(order, Endpoint(), status=status).named("OBR")[0].value(25) == flag


def test_nothing_is_written_in_a_charset_that_cannot_carry_it(order: tuple[dict[str, Any], dict[str, Any]]) -> None:
    with pytest.raises(MappingError) as refused:
        written(order, replace(Endpoint(), charset="ascii"))
    assert refused.value.code == "charset-cannot-carry"


def test_the_same_report_gives_the_same_bytes(order: tuple[dict[str, Any], dict[str, Any]]) -> None:
    assert written(order, Endpoint()).payload == written(order, Endpoint()).payload


def test_what_goes_out_can_come_in_again(order: tuple[dict[str, Any], dict[str, Any]], mappings: MappingSet) -> None:
    mapping = mappings.find("ORU^R01", "baishi")
    assert mapping is not None
    back = mapping.apply(written(order, Endpoint()), CONTEXT)
    by_type = {each["resourceType"]: each for each in back.resources}
    assert by_type["Patient"]["id"] == order[1]["id"]
    assert by_type["ServiceRequest"]["id"] == order[0]["id"]
    assert by_type["DiagnosticReport"]["resultsInterpreter"][0]["display"] == "李审核"
    assert back.findings == []
    assert [each["valueString"] for each in back.resources if "valueString" in each][:2] == [
        OBSERVED["valueString"],
        REPORT["conclusion"],
    ]
