"""Every field can answer where it came from: rule, field, component and bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.codecs import er7
from engine.errors import MappingError
from engine.mapping import Context, FieldSource, MappingSet
from engine.mapping.decisive import leaves
from tests.unit.mapping.conftest import CONTEXT, Map


@pytest.fixture(scope="module")
def trail(folder: Path) -> tuple[bytes, list[FieldSource], list[dict[str, object]]]:
    payload = (folder / "hl7v2/ADT/registration_gb18030.hl7").read_bytes()
    mappings = MappingSet.load(folder, [])
    mapping = mappings.find("ADT^A04", "baishi")
    assert mapping is not None
    mapped = mapping.apply(er7.parse(payload), CONTEXT, with_sources=True)
    return payload, mapped.sources, mapped.resources


@pytest.mark.parametrize(
    ("path", "rule", "field", "text"),
    [
        ("name[0].family", "pid-5", "PID-5[1].1", "王"),
        ("name[0].given[0]", "pid-5", "PID-5[1].2", "小东"),
        ("identifier[1].value", "pid-3", "PID-3[2].1", "１１０１０５１９４９１２３１００２ｘ"),
        ("birthDate", "pid-7", "PID-7[1]", "19491231"),
        ("gender", "pid-8", "PID-8[1]", "M"),
        ("address[0].city", "pid-11", "PID-11[1].3", "青溪县"),
        ("telecom[0].value", "pid-13", "PID-13[1].1", "13800138000"),
        ("class.code", "pv1-2", "PV1-2[1].1", "O"),
        ("period.start", "pv1-44", "PV1-44[1]", "20260401082500"),
    ],
)
def test_an_element_leads_to_its_bytes(
    trail: tuple[bytes, list[FieldSource], list[dict[str, object]]], path: str, rule: str, field: str, text: str
) -> None:
    payload, sources, _ = trail
    source = next(each for each in sources if each.path == path and each.rule == rule)
    assert (source.field, source.version) == (field, "1")
    assert payload[source.start : source.end].decode("gb18030") == text


def test_every_element_that_came_from_the_message_has_a_source(
    trail: tuple[bytes, list[FieldSource], list[dict[str, object]]],
) -> None:
    _, sources, resources = trail
    patient = next(resource for resource in resources if resource["resourceType"] == "Patient")
    explained = {source.path.partition("[")[0].partition(".")[0] for source in sources if "Patient/" in source.resource}
    assert set(patient) - explained == {"resourceType", "id"}


def test_looking_for_sources_changes_nothing(folder: Path) -> None:
    mappings = MappingSet.load(folder, [])
    message = er7.parse((folder / "hl7v2/ORU_R01/two_reports.hl7").read_bytes())
    mapping = mappings.find("ORU^R01", "baishi")
    assert mapping is not None
    context = Context("baishi", "白石乡卫生院", "c", CONTEXT.received_at)
    slow, fast = mapping.apply(message, context, with_sources=True), mapping.apply(message, context)
    assert (slow.resources, slow.findings, slow.unmapped) == (fast.resources, fast.findings, fast.unmapped)
    assert fast.sources == []
    values = [source for source in slow.sources if source.path == "valueQuantity.value"]
    assert [message.payload[source.start : source.end] for source in values if source.field.startswith("OBX[1]-5")] == [
        b"5.10"
    ]


def fields_of(sources: list[FieldSource], kind: str) -> dict[str, list[tuple[str, str]]]:
    """By path, the rule and the field of every source, for the resources of a kind."""
    found: dict[str, list[tuple[str, str]]] = {}
    for each in sources:
        if each.resource.startswith(f"{kind}/"):
            found.setdefault(each.path, []).append((each.rule, each.field))
    return found


PRESCRIPTION = (
    "PID|1||P1^^^HIS^MR||王^小东",
    "ORC|NW|R1",
    "RXE||A1^阿莫西林^L|0.5||g^克|JN",
    "TQ1|1||TID",
    "TQ1|2|1^g|BID",
    "RXR|PO^口服^L|MTH^口^L",
)


def test_an_element_names_the_fields_that_it_came_from_and_no_others(mapped: Map) -> None:
    found = fields_of(mapped("RDE^O11", *PRESCRIPTION, with_sources=True).sources, "MedicationRequest")
    first = "dosageInstruction[0]"
    assert found[f"{first}.route.coding[0].code"] == [("rxr-1", "RXR-1[1]")]
    assert found[f"{first}.site.coding[0].code"] == [("rxr-2", "RXR-2[1].1")]
    assert found[f"{first}.doseAndRate[0].doseQuantity.value"] == [("rxe-3", "RXE-3[1]")]
    assert found[f"{first}.doseAndRate[0].doseQuantity.unit"] == [("rxe-3", "RXE-5[1]")]
    second = "dosageInstruction[1]"
    assert found[f"{second}.doseAndRate[0].doseQuantity.value"] == [("further-times", "TQ1[2]-2[1]")]
    assert found[f"{second}.route.coding[0].code"] == [("further-times", "RXR-1[1]")]
    timing = {field for path, said in found.items() if path.startswith(f"{first}.timing") for _, field in said}
    assert timing == {"TQ1[1]-3[1]"}


def test_constants_references_and_defaults_name_the_rule_that_says_them(mapped: Map) -> None:
    sources = mapped("RDE^O11", *PRESCRIPTION, with_sources=True).sources
    found = fields_of(sources, "MedicationRequest")
    assert found["intent"] == [("intent", "")]
    assert found["subject.reference"] == [("subject", "")]
    assert {(each.start, each.end) for each in sources if not each.field} == {(0, 0)}
    lines = PRESCRIPTION[0], "ORC|NW|O1", "OBR|1|O1||A^a^L"
    order = fields_of(mapped("ORM^O01", *lines, with_sources=True).sources, "ServiceRequest")
    assert order["intent"] == [("intent", "")]
    assert order["status"] == [("status", "ORC-1[1]")]


def test_every_element_of_every_sample_has_a_source(folder: Path) -> None:
    mappings = MappingSet.load(folder, [])
    without: list[str] = []
    for path in sorted(folder.glob("hl7v2/*/*.hl7")):
        message = er7.parse(path.read_bytes(), "gb18030")
        mapping = mappings.find(message.message_type, "baishi")
        if mapping is None:
            continue
        try:
            mapped = mapping.apply(message, CONTEXT, with_sources=True)
        except MappingError:
            continue
        told = {(each.resource, each.path) for each in mapped.sources}
        owners = {owner for owner, _ in told}
        for resource in mapped.resources:
            owner = f"{resource['resourceType']}/{resource['id']}"
            if owner in owners:  # people and places that a field merely names have no rules of their own
                paths = {path.removeprefix(".") for path, _ in leaves("", resource)} - {"resourceType", "id"}
                without += [f"{message.message_type} {owner} {each}" for each in paths if (owner, each) not in told]
    assert without == []
