"""Orders: what each order control does, and what is held."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from engine.errors import Disposition, MappingError
from tests.unit.mapping.conftest import Map
from tests.unit.mapping.segments import obr, pid, segment


def order(mapped: Map, *segments: str) -> dict[str, Any]:
    resources = mapped("ORM^O01", pid(), *segments).resources
    return next(resource for resource in resources if resource["resourceType"] == "ServiceRequest")


@pytest.mark.parametrize(
    ("control", "stated", "status"),
    [
        ("NW", "", "active"),
        ("NW", "IP", "active"),
        ("XO", "", "active"),
        ("XO", "HD", "on-hold"),
        ("CA", "", "revoked"),
        ("CA", "IP", "revoked"),
        ("OC", "", "revoked"),
        ("DC", "", "revoked"),
        ("HD", "", "on-hold"),
        ("RL", "", "active"),
        ("SC", "IP", "active"),
        ("SC", "SC", "active"),
        ("SC", "CM", "completed"),
        ("SC", "CA", "revoked"),
        ("SC", "HD", "on-hold"),
        ("SC", "", "active"),
        ("", "CM", "completed"),
    ],
)
def test_order_control_and_order_status_make_one_status(mapped: Map, control: str, stated: str, status: str) -> None:
    assert order(mapped, segment("ORC", f1=control, f2="PL1", f5=stated), obr())["status"] == status


CONTROLS = {
    "revoked": "CA CR OC DC DR OD UA DF RP RQ RU",
    "on-hold": "HD HR OH",
    "active": "AF CH CN CP DE LI NA NR NW OE OF OK OP OR PA PR PY RE RF RL RO RR SC SN SR SS UC UD UF UH UM UN UR UX "
    "XO XR XX MC",
    "completed": "FU",
}
"""What every order control of HL7 table 0119 makes of an order of which nothing else is said."""
DECIDING = CONTROLS["revoked"].split() + CONTROLS["on-hold"].split()


@pytest.mark.parametrize(
    ("control", "status"), [(control, status) for status, codes in CONTROLS.items() for control in codes.split()]
)
def test_every_order_control_of_the_standard_does_what_it_means(mapped: Map, control: str, status: str) -> None:
    result = mapped("ORM^O01", pid(), segment("ORC", f1=control, f2="PL1"), obr())
    found = next(each for each in result.resources if each["resourceType"] == "ServiceRequest")
    assert (found["status"], result.findings) == (status, [])


@pytest.mark.parametrize("control", DECIDING)
def test_what_takes_back_holds_or_replaces_an_order_wins_over_its_stated_status(mapped: Map, control: str) -> None:
    alone = order(mapped, segment("ORC", f1=control, f2="PL1"), obr())["status"]
    assert order(mapped, segment("ORC", f1=control, f2="PL1", f5="IP"), obr())["status"] == alone


def test_the_table_lists_the_order_controls_of_the_standard_and_no_others(folder: Path) -> None:
    with (folder / "tables/order_control.csv").open(encoding="utf-8", newline="") as file:
        listed = {row["from"] for row in csv.DictReader(file)}
    assert listed == {control for codes in CONTROLS.values() for control in codes.split()}


def test_an_unknown_order_control_is_a_finding_and_leaves_the_status_unknown(mapped: Map) -> None:
    result = mapped("ORM^O01", pid(), "ORC|QQ|PL1", obr())
    assert [(f.code, f.location) for f in result.findings] == [("code-unmapped", "ORC-1[1].1")]
    assert order(mapped, "ORC|QQ|PL1", obr())["status"] == "unknown"
    assert order(mapped, segment("ORC", f1="QQ", f2="PL1", f5="CM"), obr())["status"] == "completed"


@pytest.mark.parametrize(
    ("service", "section", "modality", "body_part"),
    [
        ("DR-CHEST-PA^胸部正位^L", "", "DX", "CHEST"),
        ("DR-CHEST-PA^胸部正位^L", "RAD", "DX", "CHEST"),
        ("36643-5^XR Chest 2 Views^LN", "", "DX", "CHEST"),
        ("ecg-12-lead^心电图^L", "", "ECG", "HEART"),
        ("X123^自定义^L", "CT", "CT", None),
        ("X123^自定义^L", "EC", "ECG", None),
        ("X123^自定义^L", "RUS", "US", None),
        ("X123^自定义^L", "NMR", "MR", None),
        ("GLU^葡萄糖^L", "CH", None, None),
        ("GLU^葡萄糖^L", "", None, None),
    ],
)
def test_the_examination_says_modality_and_body_part(
    mapped: Map, service: str, section: str, modality: str | None, body_part: str | None
) -> None:
    found = order(mapped, "ORC|NW|PL1", obr(f4=service, f24=section))
    codings = [coding for category in found.get("category", []) for coding in category["coding"]]
    modalities = [coding["code"] for coding in codings if coding["system"].endswith("/DCM")]
    assert modalities == ([modality] if modality else [])
    sites = [site["coding"][0]["code"] for site in found.get("bodySite", [])]
    assert sites == ([body_part] if body_part else [])


def test_the_code_of_mutual_recognition_stands_beside_the_local_one(mapped: Map) -> None:
    codings = order(mapped, "ORC|NW|PL1", obr(f4="36643-5^XR Chest^LN"))["code"]["coding"]
    assert [(coding["system"], coding["code"]) for coding in codings] == [
        ("http://loinc.org", "36643-5"),
        ("urn:hutong:recognition-item", "DR-CHEST-PA"),
    ]


def test_numbers_of_placer_filler_and_accession_are_told_apart(mapped: Map) -> None:
    identifiers = order(mapped, "ORC|NW|PL1^HIS", obr(f2="", f18="A1"))["identifier"]
    assert [(each["type"]["coding"][0]["code"], each["value"]) for each in identifiers] == [
        ("PLAC", "PL1"),
        ("FILL", "FL1"),
        ("ACSN", "A1"),
    ]


@pytest.mark.parametrize(
    ("timing", "expected"),
    [
        ({"f36": "20260402"}, "2026-04-02"),
        ({"f27": "^^^202604030800"}, "2026-04-03T08:00:00+08:00"),
        ({"f6": "20260404"}, "2026-04-04"),
        ({"f36": "20260402", "f6": "20260404"}, "2026-04-02"),
    ],
)
def test_the_time_it_is_due_is_looked_for_where_it_may_stand(
    mapped: Map, timing: dict[str, str], expected: str
) -> None:
    assert order(mapped, "ORC|NW|PL1", obr(**timing))["occurrenceDateTime"] == expected


def test_an_order_nobody_numbered_is_held_with_rule_and_field(mapped: Map) -> None:
    with pytest.raises(MappingError) as held:
        mapped("ORM^O01", pid(), "ORC|NW|PL1", obr(), "ORC|NW", obr(f2="", f3=""))
    assert (held.value.rule, held.value.location) == ("order-id", "OBR[2]-2")
    assert held.value.disposition is Disposition.HOLD


def test_a_result_without_a_code_is_held_with_the_place_of_its_segment(mapped: Map) -> None:
    lines = [segment("OBX", f2="ST", f3=code, f5="x") for code in ("A", "B", "")]
    with pytest.raises(MappingError) as held:
        mapped("ORU^R01", pid(), obr(), *lines)
    assert (held.value.rule, held.value.location) == ("result-id", "OBX[3]-3")


def test_an_order_without_a_patient_is_held(mapped: Map) -> None:
    with pytest.raises(MappingError) as held:
        mapped("ORM^O01", "ORC|NW|PL1", obr())
    assert (held.value.code, held.value.rule, held.value.location) == ("not-identified", "subject", "OBR-2")


def test_a_registration_without_a_patient_is_held(mapped: Map) -> None:
    with pytest.raises(MappingError) as held:
        mapped("ADT^A04", "EVN|A04")
    assert (held.value.code, held.value.location) == ("nothing-mapped", "PID")


def test_a_second_service_under_one_number_is_not_silently_lost(mapped: Map) -> None:
    result = mapped("ORM^O01", pid(), "ORC|NW|O1", "OBR|1|O1||DR-HAND^手^L", "OBR|2|O1||DR-KNEE^膝^L")
    assert [finding.code for finding in result.findings] == ["order-number-repeated"]


def test_a_report_that_mentions_one_order_twice_says_nothing_of_it(mapped: Map) -> None:
    result = mapped("ORU^R01", pid(), obr(), obr(f4="CBC^血常规^L"))
    assert [finding.code for finding in result.findings] == []


def test_an_order_names_the_order_it_came_of(mapped: Map) -> None:
    result = mapped("OML^O21", pid(), "ORC|NW|O2", "OBR|1|O2||CULT^培养^L|||||||||||||||||||||||||P1^F1")
    order = next(r for r in result.resources if r["resourceType"] == "ServiceRequest")
    assert order["basedOn"][0]["identifier"]["value"] == "P1"


@pytest.mark.parametrize(
    ("stands", "value"),
    [
        ("^WPN^PH^^^0570^88001234", "0570-88001234"),
        ("8012", "8012"),
        ("120", "120"),
        ("０５７０８８００１２３４", "057088001234"),
        ("13800138000 转 12", "13800138000 转 12"),
        ("tel8801", "tel8801"),
        ("护士站8012", "护士站8012"),
        ("^NET^Internet^lab@example.org", "lab@example.org"),
        ("https://example.org/call", "https://example.org/call"),
        ("D11^李^医生", None),
        ("D0112^李^医生", None),
        ("K-0112", None),
        ("李医生", None),
        ("F", None),
        ("12", None),
    ],
)
def test_only_what_reaches_somebody_is_a_telephone_to_ask_back(mapped: Map, stands: str, value: str | None) -> None:
    result = mapped("ORM^O01", pid(), "ORC|NW|1", obr(f17=stands))
    found = next(each for each in result.resources if each["resourceType"] == "ServiceRequest")
    telephones = [
        each["valueContactPoint"]["value"] for each in found.get("extension", ()) if "valueContactPoint" in each
    ]
    findings = [(each.code, each.rule) for each in result.findings if each.code == "no-telephone"]
    assert telephones == ([value] if value is not None else [])
    assert findings == ([] if value is not None else [("no-telephone", "callback")])


@pytest.mark.parametrize(
    ("further", "found"),
    [
        ("TQ1|2||||||20260402090000||R", True),
        ("TQ1|2||||||20260401090000||S", True),
        ("TQ1|2||||||20260401090000||R", False),
        ("TQ1|2", False),
    ],
)
def test_a_further_time_of_an_order_is_said_and_not_taken(mapped: Map, further: str, found: bool) -> None:
    first = "TQ1|1||||||20260401090000||R"
    result = mapped("OMG^O19", pid(), segment("ORC", f1="NW"), first, further, obr())
    order = next(each for each in result.resources if each["resourceType"] == "ServiceRequest")
    assert (order["occurrenceDateTime"], order["priority"]) == ("2026-04-01T09:00:00+08:00", "routine")
    assert [f.code for f in result.findings if f.rule == "further-times"] == ["repetition-not-mapped"] * found
