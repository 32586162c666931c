"""Every field can answer where it came from: rule, field, component and bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.codecs import er7
from engine.mapping import Context, FieldSource, MappingSet
from tests.unit.mapping.conftest import CONTEXT


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
    # What comes from the channel, not from a field, has none.
    assert set(patient) - explained == {"resourceType", "id", "managingOrganization"}


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
