"""Every field can answer where it came from: rule, field, component and bytes."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from engine.codecs import er7
from engine.errors import MappingError
from engine.mapping import Context, FieldSource, Mapped, MappingSet
from engine.mapping.decisive import leaves
from engine.mapping.definition import Rule
from engine.mapping.mapping import Mapping
from engine.mapping.registry import FUNCTIONS
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


Trails = list[tuple[Mapping, er7.Message, Mapped]]


@pytest.fixture(scope="module")
def trails(folder: Path) -> Trails:
    """Every sample that can be mapped, with its sources."""
    mappings = MappingSet.load(folder, [])
    found: Trails = []
    for path in sorted(folder.glob("hl7v2/*/*.hl7")):
        message = er7.parse(path.read_bytes(), "gb18030")
        mapping = mappings.find(message.message_type, "baishi")
        if mapping is None:
            continue
        try:
            found.append((mapping, message, mapping.apply(message, CONTEXT, with_sources=True)))
        except MappingError:
            continue
    return found


def values_of(mapped: Mapped) -> dict[str, dict[str, object]]:
    """What stands where, by the resource."""
    return {
        f"{each['resourceType']}/{each['id']}": {path.removeprefix("."): value for path, value in leaves("", each)}
        for each in mapped.resources
    }


def test_every_element_of_every_sample_has_a_source(trails: Trails) -> None:
    without: list[str] = []
    for _, message, mapped in trails:
        told = {(each.resource, each.path) for each in mapped.sources}
        owners = {owner for owner, _ in told}
        for owner, values in values_of(mapped).items():
            if owner in owners:  # people and places that a field merely names have no rules of their own
                paths = values.keys() - {"resourceType", "id"}
                without += [f"{message.message_type} {owner} {each}" for each in paths if (owner, each) not in told]
    assert without == []


def test_every_source_of_every_sample_is_of_an_element_that_is_there(trails: Trails) -> None:
    for _, _, mapped in trails:
        values = values_of(mapped)
        assert [each for each in mapped.sources if each.path not in values[each.resource]] == []


def test_every_source_of_every_sample_is_a_rule_for_that_element_and_a_field_that_it_reads(trails: Trails) -> None:
    for mapping, _, mapped in trails:
        rules: dict[tuple[str, str], list[Rule]] = {}
        for made in mapping.definition.resources:
            for rule in made.rules:
                rules.setdefault((made.resource, rule.id), []).append(rule)
        for each in mapped.sources:
            own = rules[each.resource.partition("/")[0], each.rule]
            assert any(may_say(rule, each.path) for rule in own), each
            segment = each.field[:3]
            assert not segment or any(name.segment == segment for rule in own for name in rule.fields), each


def may_say(rule: Rule, path: str) -> bool:
    """Whether a rule is about a path; one of a choice of types (`start[x]`) says elements of any name beside it."""
    around = rule.to.rpartition(".")[0] if rule.to.endswith("[x]") else rule.to
    elements = FUNCTIONS[rule.function].elements if rule.function else False
    around = rule.to.rpartition(".")[0] if elements else around
    return not around or path == around or path.startswith((f"{around}.", f"{around}["))


def test_what_a_rule_merely_copies_stands_in_the_field_that_is_named(trails: Trails) -> None:
    copied = 0
    for mapping, message, mapped in trails:
        values = values_of(mapped)
        copying = {rule.id for made in mapping.definition.resources for rule in made.rules if rule.function == "text"}
        others = {rule.id for made in mapping.definition.resources for rule in made.rules if rule.function != "text"}
        for each in mapped.sources:
            if each.rule in copying - others and each.field:
                copied += 1
                said = message.payload[each.start : each.end].decode(message.charset)
                assert values[each.resource][each.path] == said.strip(), each
    assert copied > 10


def test_every_number_of_a_result_stands_in_the_field_that_is_named(trails: Trails) -> None:
    measured = 0
    for _, message, mapped in trails:
        values = values_of(mapped)
        for each in mapped.sources:
            if each.resource.startswith("Observation/") and each.path == "valueQuantity.value":
                measured += 1
                said = message.payload[each.start : each.end].decode(message.charset)
                assert str(values[each.resource][each.path]) in unicodedata.normalize("NFKC", said), each
    assert measured > 10


@pytest.fixture(scope="module")
def booked(folder: Path) -> dict[str, list[tuple[str, str]]]:
    message = er7.parse((folder / "hl7v2/SIU/booked_gb18030.hl7").read_bytes(), "gb18030")
    mapping = MappingSet.load(folder, []).find(message.message_type, "baishi")
    assert mapping is not None
    return fields_of(mapping.apply(message, CONTEXT, with_sources=True).sources, "Appointment")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("status", [("status", "SCH-25[1]"), ("status", "MSH-9[1]")]),
        ("start", [("time", "SCH-11[1]")]),
        ("end", [("time", "SCH-11[1]")]),
        ("minutesDuration", [("sch-9", "SCH-9[1]")]),
        ("appointmentType.coding[0].code", [("sch-8", "SCH-8[1]")]),
        ("appointmentType.text", [("sch-8", "SCH-8[1]")]),
        ("identifier[1].value", [("sch-2", "SCH-2[1].1")]),
        ("serviceType[0].text", [("ais-3", "AIS-3[1]")]),
        ("participant[0].actor.display", [("sch-12", "SCH-12[1].1")]),
        ("participant[1].actor.display", [("sch-16", "SCH-16[1].1")]),
        ("participant[2].actor.display", [("sch-20", "SCH-20[1].1")]),
        ("participant[3].actor.reference", [("patient", "")]),
        ("participant[3].status", [("patient-accepted", "")]),
        ("participant[4].actor.display", [("aig-3", "AIG[1]-3[1]")]),
        ("participant[5].actor.display", [("aig-3", "AIG[2]-3[1]")]),
        ("participant[5].period.start", [("aig-3", "AIG[2]-8[1]")]),
        ("participant[6].actor.display", [("ail-3", "AIL-3[1]")]),
        ("participant[6].status", [("ail-3", "AIL-12[1]")]),
        ("participant[6].type[0].text", [("ail-3", "AIL-4[1]")]),
        ("participant[7].actor.identifier.value", [("aip-3", "AIP-3[1]")]),
        ("extension[2].valueAnnotation.text", [("note", "NTE[2]-3[1]")]),
        ("extension[5].valueAnnotation.text", [("note", "NTE[5]-3[1]")]),
    ],
)
def test_an_appointment_that_many_segments_tell_of_names_for_each_element_the_one_that_said_it(
    booked: dict[str, list[tuple[str, str]]], path: str, said: list[tuple[str, str]]
) -> None:
    assert booked[path] == said


def test_an_entry_that_two_segments_say_alike_came_from_the_first(mapped: Map) -> None:
    lines = ("SCH|P1|F1||||||||||^^^20260403090000", "PID|1||P1^^^HIS^MR||王^小东", "RGS|1")
    twice = *lines, "AIS|1||A^甲^L", "AIS|2||A^甲^L", "AIS|3||B^乙^L"
    found = mapped("SIU^S12", *twice, with_sources=True)
    appointment = next(each for each in found.resources if each["resourceType"] == "Appointment")
    assert [each["text"] for each in appointment["serviceType"]] == ["甲", "乙"]
    told = fields_of(found.sources, "Appointment")
    assert told["serviceType[0].text"] == [("ais-3", "AIS[1]-3[1]")]
    assert told["serviceType[1].text"] == [("ais-3", "AIS[3]-3[1]")]


@pytest.mark.parametrize(
    ("said", "value"), [("6.8", "6.8"), ("６.８", "6.8"), ("６．８", "6.8"), ("<６.８", "6.8"), (".5", "0.5")]
)
def test_a_number_came_from_the_field_that_says_it_in_whatever_width(mapped: Map, said: str, value: str) -> None:
    lines = "PID|1||P1^^^HIS^MR||王^小东", "OBR|1|O1|F1|A^a^L", f"OBX|1|NM|GLU^血糖^L||{said}|mmol/L|||||F"
    found = mapped("ORU^R01", *lines, with_sources=True)
    observation = next(each for each in found.resources if "valueQuantity" in each)
    assert str(observation["valueQuantity"]["value"]) == value
    assert fields_of(found.sources, "Observation")["valueQuantity.value"] == [("obx-5", "OBX-5[1]")]


def test_a_number_that_two_fields_say_came_from_both_and_not_from_its_unit(mapped: Map) -> None:
    lines = "PID|1||P1^^^HIS^MR||王^小东", "ORC|NW|R1", "RXE||A1^阿莫西林^L|1||片", "TQ1|1|1|BID", "RXR|PO^口服^L"
    found = fields_of(mapped("RDE^O11", *lines, with_sources=True).sources, "MedicationRequest")
    dose = "dosageInstruction[0].doseAndRate[0].doseQuantity"
    assert found[f"{dose}.value"] == [("rxe-3", "RXE-3[1]"), ("rxe-3", "TQ1-2[1]")]
    assert found[f"{dose}.unit"] == [("rxe-3", "RXE-5[1]")]
