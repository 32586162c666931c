"""Prescriptions, dispensings, administrations, charges and people come back as they were from any structure."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.codecs import er7
from engine.errors import MappingError
from engine.mapping import Mapped, MappingSet
from tests.unit.mapping.conftest import CONTEXT, FOLDER, Map
from tests.unit.mapping.segments import pid
from tests.unit.mapping.test_lens import Endpoint, lines, lost, read, written

SAMPLES = [
    path for name in ("RDE", "RDS", "RAS", "DFT", "MFN_M02", "MFN_M05") for path in FOLDER.glob(f"hl7v2/{name}/*.hl7")
]


@pytest.mark.parametrize("version", ["2.3", "2.4", "2.8"])
@pytest.mark.parametrize("path", sorted(SAMPLES), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_in_any_version_nothing_is_lost_that_is_not_named(mappings: MappingSet, path: Path, version: str) -> None:
    message = er7.parse(path.read_bytes(), "gb18030" if "gb18030" in path.stem else None)
    mapping = mappings.find(message.message_type, "baishi")
    assert mapping is not None
    try:
        resources = mapping.apply(message, CONTEXT).resources
    except MappingError:
        return  # a sample of a message that is held
    once = written(mappings, message.message_type, resources, endpoint=Endpoint(version))
    second = read(mappings, once.payload).resources
    again = written(mappings, message.message_type, second, endpoint=Endpoint(version))
    assert set(lost(again)) <= set(lost(once))
    third = written(mappings, message.message_type, read(mappings, again.payload).resources, endpoint=Endpoint(version))
    assert lines(third) == lines(again)


CODES = st.sampled_from(["A1^甲^L", "A2^乙", "869^丙^NMPA^X^丁^L", "^中药代煎"])
AMOUNTS = st.sampled_from([("1", "", "片"), ("0.25", "", "g^克^UCUM"), ("1", "2", "粒"), ("", "", "")])
TIMINGS = st.sampled_from(["TID", "Q8H", "^DW^1^5", "QD^^^^^^^AC^30^min", "&必要时", "PRN^^^^6^h"])
NOTES = st.sampled_from(["遵医嘱", "a\\T\\b", "第一行~第二行", "5 < 6"])
TIMES_OF_DAY = st.sampled_from(["0800~1200", "", "2130"])


@st.composite
def prescriptions(draw: st.DrawFn) -> list[str]:
    """RDE: prescriptions as ordered and as made of it, with routes, mixtures, times and comments, as nobody chose."""
    found = []
    for number in range(1, draw(st.integers(1, 3)) + 1):
        found.append(f"ORC|{draw(st.sampled_from(['NW', 'CA', 'HD', 'XO']))}|P{number}|F{number}")
        if draw(st.booleans()):
            low, high, unit = draw(AMOUNTS)
            found.append(f"RXO|{draw(CODES)}|{low}|{high}|{unit}")
            found += [f"RXC|{draw(st.sampled_from('AB'))}|{draw(CODES)}|1|mL" for _ in range(draw(st.integers(0, 2)))]
        low, high, unit = draw(AMOUNTS)
        found.append(f"RXE||{draw(CODES)}|{low}|{high}|{unit}")
        found += [f"NTE|{n}||{draw(NOTES)}" for n in range(1, draw(st.integers(0, 2)) + 1)]
        found += [
            f"TQ1|{n}|{n}^片|{draw(TIMINGS)}|{draw(TIMES_OF_DAY)}|||||||第{n}次"
            for n in range(1, draw(st.integers(0, 3)) + 1)
        ]
        if draw(st.booleans()):
            found.append("RXR|PO^口服^HL70162|MTH^口^L")
        found += [f"RXC|{draw(st.sampled_from('AB'))}|{draw(CODES)}|||2.50|g" for _ in range(draw(st.integers(0, 2)))]
    return found


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(body=prescriptions())
def test_prescriptions_in_any_structure_come_back_in_it(mapped: Map, mappings: MappingSet, body: list[str]) -> None:
    again_and_again(mappings, "RDE^O11", mapped("RDE^O11", pid(), *body))


@st.composite
def dispensings(draw: st.DrawFn) -> list[str]:
    """RDS: what was given out, on prescriptions of which more or less is known."""
    found = []
    for number in range(1, draw(st.integers(1, 3)) + 1):
        found.append(f"ORC|{draw(st.sampled_from(['RE', 'CA', 'DE']))}|P{number}|F{number}")
        if draw(st.booleans()):
            found.append(f"RXE||{draw(CODES)}|1||片|||||||||||R{number}")
            if draw(st.booleans()):
                found.append(f"TQ1|1||{draw(TIMINGS)}")
        found.append(f"RXD|1|{draw(CODES)}|20260401|{draw(st.sampled_from(['10', '2.50']))}|片||R{number}|||D1^王^药师")
        found += [f"NTE|{n}||{draw(NOTES)}" for n in range(1, draw(st.integers(0, 2)) + 1)]
        found += [f"RXC|B|{draw(CODES)}|1|mL" for _ in range(draw(st.integers(0, 2)))]
    return found


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(body=dispensings())
def test_dispensings_in_any_structure_come_back_in_it(mapped: Map, mappings: MappingSet, body: list[str]) -> None:
    again_and_again(mappings, "RDS^O13", mapped("RDS^O13", pid(), *body))


@st.composite
def administrations(draw: st.DrawFn) -> list[str]:
    """RAS: what was given, several times on one order or on several."""
    found = []
    for number in range(1, draw(st.integers(1, 3)) + 1):
        found += [f"ORC|RE|P{number}|F{number}", f"RXE||{draw(CODES)}|1||片"]
        for time in range(1, draw(st.integers(1, 3)) + 1):
            done = draw(st.sampled_from(["CP", "NA", "PA"]))
            much = draw(st.sampled_from(["1|片", "999|", "0.25|g^克^UCUM"]))
            found.append(f"RXA|0|{time}|202604010{time}00||{draw(CODES)}|{much}|||D1^孙^护士||||||||||{done}")
            if draw(st.booleans()):
                found.append("RXR|PO^口服^HL70162")
    return found


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(body=administrations())
def test_administrations_in_any_structure_come_back_in_it(mapped: Map, mappings: MappingSet, body: list[str]) -> None:
    again_and_again(mappings, "RAS^O17", mapped("RAS^O17", pid(), *body))


@st.composite
def charges(draw: st.DrawFn) -> list[str]:
    """DFT: charges with procedures, and diagnoses of the visit."""
    found = [f"DG1|{n}||J{n}^病{n}^I10|||A" for n in range(1, draw(st.integers(0, 2)) + 1)]
    for number in range(1, draw(st.integers(1, 4)) + 1):
        price = draw(st.sampled_from(["20.00&CNY", "0.5", "", "10&USD"]))
        found.append(f"FT1|{number}|T{number}||20260401|20260402|{draw(st.sampled_from(['CG', 'CD']))}|{draw(CODES)}")
        found[-1] += f"|||{draw(st.sampled_from(['1', '2.50', '']))}|{price}"
        found += [f"PR1|{n}||P{number}{n}^术^L||20260401" for n in range(1, draw(st.integers(0, 2)) + 1)]
    return found


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(body=charges())
def test_charges_in_any_structure_come_back_in_it(mapped: Map, mappings: MappingSet, body: list[str]) -> None:
    again_and_again(mappings, "DFT^P03", mapped("DFT^P03", pid(), *body))


@st.composite
def people(draw: st.DrawFn) -> list[str]:
    found = []
    for number in range(1, draw(st.integers(1, 4)) + 1):
        found.append(f"MFE|{draw(st.sampled_from(['MAD', 'MUP', 'MDC']))}|||D{number}|CWE")
        if draw(st.booleans()):
            found.append(f"STF|D{number}|G{number}^^^^EI|王^{number}|{draw(CODES)}|F|19700101|A|{draw(CODES)}")
            if draw(st.booleans()):
                found.append(f"PRA|D{number}|||||{number}^MD^ZYYS^20301231")
    return found


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(body=people())
def test_people_come_back_as_they_were(mapped: Map, mappings: MappingSet, body: list[str]) -> None:
    again_and_again(mappings, "MFN^M02", mapped("MFN^M02", *body))


def again_and_again(mappings: MappingSet, message_type: str, first: Mapped) -> None:
    """What is written says all that was read, but for what is named; and it is written as the same again."""
    once = written(mappings, message_type, first.resources)
    second = read(mappings, once.payload)
    assert kinds(second) == kinds(first)
    again = written(mappings, message_type, second.resources)
    assert lines(again) == lines(once)
    assert set(lost(again)) <= set(lost(once))
    assert {path for _, path in lost(once)} <= {"dosageInstruction[0].doseAndRate[0].doseRange.high"}
    assert er7.parse(once.payload).message_type == message_type


def kinds(mapped: Mapped) -> list[str]:
    return sorted(each["resourceType"] for each in mapped.resources)
