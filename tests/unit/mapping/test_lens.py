"""Resources become a message again: in its groups, read as they were, and what is lost is named."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.clock import CHINA
from engine.codecs import er7
from engine.errors import MappingError
from engine.mapping import Mapped, MappingSet
from engine.mapping.lens import WriteContext, Written
from tests.unit.mapping.conftest import CONTEXT, FOLDER, Map
from tests.unit.mapping.segments import pid

AT = datetime(2026, 4, 1, 10, 0, tzinfo=CHINA)
WRITING = (
    "ADT",
    "ADT_PERSON",
    "ORM_O01",
    "OMG_O19",
    "OMI_O23",
    "OML_O21",
    "ORU_R01",
    "OUL_R22",
    "OUL_R24",
    "VXU_V04",
    "RDE",
    "RDS",
    "RAS",
    "DFT",
    "MFN_M02",
    "MFN_M05",
)
SAMPLES = sorted(path for name in WRITING for path in FOLDER.glob(f"hl7v2/{name}/*.hl7"))


@dataclass(frozen=True)
class Endpoint:
    version: str = "2.5.1"
    charset: str = "utf-8"
    sending_application: str = "HUTONG"
    sending_facility: str = "QINGXI"
    receiving_application: str = "HIS"
    receiving_facility: str = "BSXWSY"


def written(
    mappings: MappingSet, message_type: str, resources: list[Any], *, endpoint: Endpoint | None = None
) -> Written:
    mapping = mappings.find(message_type, "baishi")
    assert mapping is not None
    context = WriteContext(message_type, "C1", AT, endpoint or Endpoint(), CONTEXT.facility_name)
    return mapping.write(resources, context)


def lines(result: Written, charset: str = "utf-8") -> list[str]:
    return result.payload.decode(charset).rstrip("\r").split("\r")


def lost(result: Written) -> list[tuple[str, str]]:
    return [(each.resource.partition("/")[0], each.path) for each in result.loss]


def read(mappings: MappingSet, payload: bytes) -> Mapped:
    message = er7.parse(payload)
    mapping = mappings.find(message.message_type, "baishi")
    assert mapping is not None
    return mapping.apply(message, CONTEXT)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_message_written_of_resources_is_read_and_written_as_the_same(mappings: MappingSet, path: Path) -> None:
    message = er7.parse(path.read_bytes(), "gb18030" if "gb18030" in path.stem else None)
    mapping = mappings.find(message.message_type, "baishi")
    assert mapping is not None
    try:
        resources = mapping.apply(message, CONTEXT).resources
    except MappingError:
        return  # a sample of a message that is held
    once = written(mappings, message.message_type, resources)
    again = written(mappings, message.message_type, read(mappings, once.payload).resources)
    assert lines(again) == lines(once)
    # What was lost is gone; nothing else may be: all that the second message's resources say came through.
    assert set(lost(again)) <= set(lost(once))


def test_results_keep_their_groups(mapped: Map, mappings: MappingSet) -> None:
    body = (
        pid(f1="1", f5="李四", f8="F"),
        "ORC|RE|P1|F1",
        "OBR|1|P1|F1|CHEM^生化^L|||20260401080000|||||||||||||||20260401100000||CH|F",
        "OBX|1|NM|14749-6^葡萄糖^LN||5.10|mmol/L^^UCUM|3.90-6.10|N|||F|||20260401083000",
        "NTE|1||空腹",
        "NTE|2||复测",
        "OBX|2|SN|2823-3^血钾^LN||<^0.5|mmol/L^^UCUM|3.5-5.3|LL|||F|||20260401083000",
        "SPM|1|S1||BLD^血^L|||||||||||||20260401080000",
        "ORC|RE|P2|F2",
        "OBR|2|P2|F2|CBC^血常规^L|||20260401080000|||||||||||||||||HM|P",
        "OBX|1|NM|6690-2^白细胞^LN||10.0|10*9/L^^UCUM|3.5-9.5|↑|||P|||20260401080000",
        "SPM|1|S2||BLD^血^L",
    )
    result = written(mappings, "ORU^R01", mapped("ORU^R01", *body).resources)
    assert lines(result)[1:] == list(body)
    assert result.loss == ()


def test_orders_keep_what_follows_them(mapped: Map, mappings: MappingSet) -> None:
    body = (
        pid(f1="1", f5="王^小东", f8="M"),
        "PV1|1|O|全科门诊||||||||||||||||O2604010001",
        "ORC|NW|37||G37|||||20260401084000|||D001^赵大夫",
        "TQ1|1||||||||S",
        "OBR|1|37||CHEM^生化^L|||||||G|||||||||||||CH|||||35",
        "NTE|1||空腹",
        "OBX|1|CWE|FAST^是否空腹^L||Y^是^L||||||I",
        "SPM|1|S37||BLD^血^L|||||||||||||20260401081500",
        "ORC|NW|38",
        "OBR|2|38||CBC^血常规^L||||||||||||||||||||HM",
    )
    result = written(mappings, "OML^O21", mapped("OML^O21", *body).resources)
    assert lines(result)[1:] == list(body)
    assert result.loss == ()


def test_a_registration_is_written_for_an_older_system_in_its_charset(mapped: Map, mappings: MappingSet) -> None:
    body = (
        "EVN|A08|20260401100000",
        "PID|1||B1^^^HIS^MR~110105194912310021^^^CN^NNCHN||王^小东^^^^^L||19491231|M|||柳树村^^青溪县^^312000^CHN^H"
        "||13800138000^PRN^CP|||M",
        "PV1|1|O|全科门诊||||D001^赵大夫||||||||||||O1|||||||||||||||||||||||||20260401082500",
    )
    resources = mapped("ADT^A08", *body).resources
    result = written(mappings, "ADT^A08", resources, endpoint=Endpoint("2.3", "gb18030"))
    assert lines(result, "gb18030")[0].startswith(
        "MSH|^~\\&|HUTONG|QINGXI|HIS|BSXWSY|20260401100000||ADT^A08|C1|P|2.3|"
    )
    assert lines(result, "gb18030")[1:] == list(body)
    assert result.loss == ()


def test_a_field_that_the_version_lacks_gives_way_to_the_next(mapped: Map, mappings: MappingSet) -> None:
    order = (pid(f5="王"), "ORC|NW|1", "TQ1|1||||||20260402||S", "OBR|1|1||CT^CT^L")
    resources = mapped("ORM^O01", *order).resources
    newer = [line for line in lines(written(mappings, "ORM^O01", resources)) if line.startswith("TQ1")]
    older = lines(written(mappings, "ORM^O01", resources, endpoint=Endpoint("2.3.1")))
    assert newer == ["TQ1|1||||||||S"]
    assert not any(line.startswith("TQ1") for line in older)
    assert any("^^^^^S" in line for line in older)


def test_what_the_sender_deletes_is_deleted_on_the_way_back(mapped: Map, mappings: MappingSet) -> None:
    resources = mapped("ADT^A31", pid(f5="王^小东", f8='""', f11='""')).resources
    result = written(mappings, "ADT^A31", resources)
    segment = er7.parse(result.payload).named("PID")[0]
    assert (segment.field(8), segment.field(11)) == ('""', '""')
    assert result.loss == ()


def test_a_row_that_only_reads_is_named_as_the_reason(mapped: Map, mappings: MappingSet) -> None:
    body = pid(f5="王"), "PV1|1|I|||||||||||||||||V1", "PV2|||||||||||3"
    result = written(mappings, "ADT^A08", mapped("ADT^A08", *body).resources)
    assert [(each.path, each.why) for each in result.loss] == [("length", "pv2-11 only read (dir: in)")]


PATIENT = {
    "resourceType": "Patient",
    "id": "p",
    "identifier": [{"system": "urn:hutong:facility:baishi:patient:HIS", "value": "B1"}],
    "name": [{"family": "王", "given": ["小东"], "text": "王小东"}],
}


def test_resources_of_another_hand_are_written_and_what_has_no_place_is_named(mappings: MappingSet) -> None:
    other = {
        **PATIENT,
        "meta": {"versionId": "3", "lastUpdated": "2026-04-01T00:00:00Z", "tag": [{"code": "x"}]},
        "photo": [{"url": "https://example.org/p.png"}],
        "gender": "male",
        "birthDate": "1949-12-31",
    }
    alone = {"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "体温"}}
    basic = {"resourceType": "Basic", "id": "b"}
    result = written(mappings, "ADT^A08", [other, alone, basic])
    assert "PID|1||B1^^^HIS||王^小东||19491231|M" in lines(result)
    assert lost(result) == [
        ("Patient", "meta.tag[0].code"),
        ("Patient", "photo[0].url"),
        ("Observation", ""),
        ("Basic", ""),
    ]
    reasons = {each.resource: each.why for each in result.loss}
    assert reasons["Basic/b"] == "nothing in the message names it"
    assert reasons["Observation/o"].startswith("nothing links it")


def test_one_moment_in_two_zones_is_no_loss(mappings: MappingSet) -> None:
    died = {**PATIENT, "deceasedDateTime": "2026-04-01T00:30:00Z"}
    result = written(mappings, "ADT^A08", [died])
    assert er7.parse(result.payload).named("PID")[0].field(29) == "20260401003000+0000"
    assert result.loss == ()


@pytest.mark.parametrize(
    ("resources", "code"),
    [
        ([], "nothing-written"),
        ([{"resourceType": "Practitioner", "id": "1"}], "nothing-written"),
        ([{**PATIENT, "name": "王小东"}], "not-writable"),
        ([{**PATIENT, "telecom": [7]}], "not-writable"),
        ([{**PATIENT, "name": [{"text": "\U0001f600"}]}], "charset-cannot-carry"),
    ],
    ids=["nothing", "nobody", "a name that is a text", "a number for a telephone", "a character that GB2312 lacks"],
)
def test_what_can_be_no_message_is_refused(mappings: MappingSet, resources: list[Any], code: str) -> None:
    with pytest.raises(MappingError) as caught:
        written(mappings, "ADT^A08", resources, endpoint=Endpoint(charset="gb2312"))
    assert caught.value.code == code


def test_a_resource_nested_without_end_is_refused(mappings: MappingSet) -> None:
    deep: dict[str, Any] = {}
    for _ in range(5_000):
        deep = {"extension": [deep]}
    with pytest.raises(MappingError) as caught:
        written(mappings, "ADT^A08", [{**PATIENT, "extension": [deep]}])
    assert caught.value.code == "not-writable"


def test_a_message_that_would_be_held_is_not_written(mappings: MappingSet) -> None:
    """An order without any number: what we would hold ourselves is not sent."""
    order = {"resourceType": "ServiceRequest", "id": "o", "status": "active", "subject": {"reference": "Patient/p"}}
    with pytest.raises(MappingError) as caught:
        written(mappings, "ORM^O01", [PATIENT, {**order, "code": {"text": "CT"}}])
    assert caught.value.code == "not-identified"


def test_a_mapping_writes_only_the_messages_it_takes(mappings: MappingSet) -> None:
    mapping = mappings.find("ADT^A08", "baishi")
    assert mapping is not None
    with pytest.raises(MappingError) as caught:
        mapping.write([PATIENT], WriteContext("ORU^R01", "C1", AT, Endpoint()))
    assert caught.value.code == "message-type-not-written"


CODES = st.sampled_from(["CHEM^生化^L", "14749-6^葡萄糖^LN", "CBC", "X^Y&Z"])
WORDS = st.sampled_from(["未见异常", "a\\.br\\b", "5 < 6", "结节\\T\\囊肿", "第一行~第二行"])
RESULT_VALUES = st.sampled_from(
    [
        "NM|{code}||5.10|mmol/L",
        "SN|{code}||<^0.5|g/L",
        "ST|{code}||阴性|",
        "ST|{code}||<0.5|毫克/升",
        "ST|{code}||1:80|titer",
        "CE|{code}||A^A型^L|",
        "TS|{code}||202604010830|",
    ]
)
STATUSES = st.sampled_from(["F", "P", "C", "X"])


@st.composite
def results(draw: st.DrawFn) -> list[str]:
    """ORU: orders with results, comments and specimens, in numbers and order that nobody chose."""
    lines = [f"PID|1||B{draw(st.integers(1, 99))}^^^HIS^MR||王^小东||19491231|{draw(st.sampled_from(['M', 'F', 'U']))}"]
    for order in range(1, draw(st.integers(1, 4)) + 1):
        if draw(st.booleans()):
            lines.append(f"ORC|RE|P{order}|F{order}")
        status, code = draw(STATUSES), draw(CODES)
        lines.append(f"OBR|{order}|P{order}|F{order}|{code}|||20260401080000||||||||||||||||||{status}")
        lines += [f"NTE|{n}||{draw(WORDS)}" for n in range(1, draw(st.integers(0, 2)) + 1)]
        for number in range(1, draw(st.integers(0, 3)) + 1):
            value = draw(RESULT_VALUES).format(code=draw(CODES))
            lines.append(f"OBX|{number}|{value}||||{draw(STATUSES)}|||202604010831")
            lines += [f"NTE|{n}||{draw(WORDS)}" for n in range(1, draw(st.integers(0, 2)) + 1)]
        if draw(st.booleans()):
            lines.append(f"SPM|1|S{order}||BLD^血^L")
    return lines


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(body=results())
def test_results_in_any_structure_come_back_in_it(mapped: Map, mappings: MappingSet, body: list[str]) -> None:
    first = mapped("ORU^R01", *body)
    once = written(mappings, "ORU^R01", first.resources)
    second = read(mappings, once.payload)
    # Each group is there again with what it held: reports with their results, notes and specimens.
    assert structure(second) == structure(first)
    again = written(mappings, "ORU^R01", second.resources)
    assert lines(again) == lines(once)
    # An order without ORC had no state: result messages are written with ORC, which gives it one.
    assert set(lost(once)) <= {("ServiceRequest", "status")}


def structure(mapped: Mapped) -> list[tuple[object, ...]]:
    """Of every report: its number, how many results with how many notes each, how many specimens, its own comments."""
    by_reference = {f"{each['resourceType']}/{each['id']}": each for each in mapped.resources}
    found: list[tuple[object, ...]] = []
    for report in (each for each in mapped.resources if each["resourceType"] == "DiagnosticReport"):
        results_of = [by_reference[each["reference"]] for each in report.get("result", [])]
        notes = [len(each.get("note", [])) for each in results_of]
        values = [sorted(key for key in each if key.startswith("value")) for each in results_of]
        numbers = [each["value"] for each in report["identifier"]]
        found.append((numbers, notes, values, len(report.get("specimen", [])), len(report.get("extension", []))))
    return found
