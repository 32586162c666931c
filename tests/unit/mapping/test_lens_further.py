"""Appointments, referrals and documents become messages again, each entry in its segment, and are read as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.codecs import er7
from engine.errors import MappingError
from engine.mapping import Mapped, MappingSet
from engine.mapping.lens import WriteContext
from tests.unit.mapping.conftest import CONTEXT, FOLDER, Map
from tests.unit.mapping.segments import pid
from tests.unit.mapping.test_lens import AT, CODES, WORDS, Endpoint, lines, lost, read, written

WRITING = ("SIU", "SIU_SLOTS", "REF", "RRI", "MDM")
WITHOUT_REFERRAL = FOLDER / "hl7v2/RRI/without_rf1.hl7"
"""It tells of a patient only: nothing that an answer to a referral could say."""
SAMPLES = sorted(path for name in WRITING for path in FOLDER.glob(f"hl7v2/{name}/*.hl7") if path != WITHOUT_REFERRAL)


@pytest.mark.parametrize("version", ["2.3.1", "2.5.1", "2.8"])
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_message_written_of_resources_is_read_and_written_as_the_same(
    mappings: MappingSet, path: Path, version: str
) -> None:
    message = er7.parse(path.read_bytes(), "gb18030" if "gb18030" in path.stem else None)
    mapping = mappings.find(message.message_type, "baishi")
    assert mapping is not None
    try:
        resources = mapping.apply(message, CONTEXT).resources
    except MappingError:
        return  # a sample of a message that is held
    once = written(mappings, message.message_type, resources, endpoint=Endpoint(version))
    again = written(mappings, message.message_type, read(mappings, once.payload).resources, endpoint=Endpoint(version))
    assert lines(again) == lines(once)
    assert set(lost(again)) <= set(lost(once))


BOOKED = (
    "SCH|P1^HIS|F1^GZ||||NEW^新预约^L|CHECKUP^体检^HL70276|Normal^普通^HL70277|30|min|^^^20260403090000^20260403093000"
    "|D01^周^大夫||||D02^钱^护士||||D03^赵^挂号员|||||Booked|O1|O1F",
    "TQ1|1||||||20260403090000|20260403093000",
    "NTE|1||请空腹",
    pid(f1="1", f5="王^小东", f8="M"),
    "RGS|1|A",
    "AIS|1|A|US-ABD^腹部超声^L|20260403090000|||30|min",
    "AIS|2|A|US-HEP^肝脏超声^L|20260403090000|||30|min",
    "AIG|1|A|US01^彩超一号机|EQ^设备^L||||20260403090500|||20|min||Booked",
    "AIG|2|A|US02^彩超二号机",
    "AIL|1|A|影像科^301|C^诊室^HL70305||20260403090000|||30|min||Pending",
    "AIP|1|A|D04^孙^医师|SON^超声医师^L||20260403090000|||30|min||Booked",
    "AIP|2|A|D05^李^医师|||||||||Cancelled",
)


def test_everything_that_is_booked_stands_in_a_segment_of_its_own(mapped: Map, mappings: MappingSet) -> None:
    result = written(mappings, "SIU^S12", mapped("SIU^S12", *BOOKED).resources)
    again = [line.replace("US02^彩超二号机|||||||||||Booked", "US02^彩超二号机") for line in lines(result)[1:]]
    assert again == list(BOOKED)
    assert lost(result) == [("Provenance", "recorded")]


def test_an_older_system_gets_the_time_where_it_looks_for_it(mapped: Map, mappings: MappingSet) -> None:
    resources = mapped("SIU^S12", *BOOKED).resources
    older = written(mappings, "SIU^S12", resources, endpoint=Endpoint("2.3.1"))
    newer = written(mappings, "SIU^S12", resources, endpoint=Endpoint("2.8"))
    assert er7.parse(older.payload).named("SCH")[0].field(11) == "^^^20260403090000^20260403093000"
    assert not er7.parse(older.payload).named("TQ1")
    assert er7.parse(newer.payload).named("SCH")[0].field(11) == ""
    assert er7.parse(newer.payload).named("TQ1")[0].field(7) == "20260403090000"


def test_a_time_of_another_zone_is_written_by_the_clock_on_the_wall(mapped: Map, mappings: MappingSet) -> None:
    """A receiver that does not look at zones would have the patient come at half past one in the morning."""
    resources = mapped("SIU^S12", *BOOKED).resources
    booked = next(each for each in resources if each["resourceType"] == "Appointment")
    booked |= {"start": "2026-05-01T01:30:00.000Z", "end": "2026-05-01T02:00:00.250Z"}
    result = written(mappings, "SIU^S12", resources)
    assert er7.parse(result.payload).named("SCH")[0].field(11) == "^^^20260501093000^20260501100000.25"
    assert ("Appointment", "start") not in lost(result)


def test_what_people_call_a_place_stands_beside_its_number(mapped: Map, mappings: MappingSet) -> None:
    resources = mapped("SIU^S12", *BOOKED).resources
    place = {"resourceType": "Location", "id": "x", "identifier": [{"value": "CT1"}], "name": "CT一室"}
    booked = next(each for each in resources if each["resourceType"] == "Appointment")
    booked["participant"] = [*booked["participant"], {"actor": {"reference": "Location/x"}, "status": "accepted"}]
    result = written(mappings, "SIU^S12", [*resources, place])
    assert er7.parse(result.payload).named("AIL")[1].field(3) == "CT1^^^^^^^^CT一室"


def test_an_answer_to_a_referral_names_the_message_that_it_answers(mapped: Map, mappings: MappingSet) -> None:
    resources = mapped("REF^I12", *REFERRED).resources
    mapping = mappings.find("RRI^I12", "baishi")
    assert mapping is not None
    context = WriteContext("RRI^I12", "C1", AT, Endpoint(), CONTEXT.facility_name, "F1")
    assert er7.parse(mapping.write(resources, context).payload).named("MSA")[0].text == "MSA|AA|F1"


def test_what_is_booked_for_two_patients_stands_once_behind_both(mapped: Map, mappings: MappingSet) -> None:
    body = (
        "SCH||F1|||||||||^^^20260403100000^20260403110000||||||||||||||Booked",
        pid(f1="1", f3="1^^^HIS^MR", f5="王"),
        pid(f1="2", f3="2^^^HIS^MR", f5="李"),
        "RGS|1",
        "AIP|1||D06^吴^技师",
    )
    result = written(mappings, "SIU^S12", mapped("SIU^S12", *body).resources)
    assert [line[:3] for line in lines(result)[1:]] == ["SCH", "TQ1", "PID", "PID", "RGS", "AIP"]
    assert result.loss == ()


@pytest.mark.parametrize("event", ["S15", "S17", "S26"])
def test_nobody_is_booked_for_what_does_not_take_place(mapped: Map, mappings: MappingSet, event: str) -> None:
    result = written(mappings, f"SIU^{event}", mapped(f"SIU^{event}", *BOOKED).resources)
    people = er7.parse(result.payload).named("AIP")
    assert [(each.field(2), each.field(12)) for each in people] == [("U", ""), ("U", "Cancelled")]


def test_words_that_may_be_anybody_are_nobody(mapped: Map, mappings: MappingSet) -> None:
    resources = mapped("SIU^S12", *BOOKED[:4]).resources
    booked = next(each for each in resources if each["resourceType"] == "Appointment")
    booked["participant"].append({"actor": {"display": "北楼"}, "status": "accepted"})
    result = written(mappings, "SIU^S12", resources)
    assert "北楼" not in result.payload.decode()
    assert lost(result)[0] == ("Appointment", f"participant[{len(booked['participant']) - 1}]")


def test_times_that_are_blocked_stand_under_whom_or_what_they_are_of(mapped: Map, mappings: MappingSet) -> None:
    body = (
        "SCH||||||^设备检修",
        "RGS|1|U",
        "AIG|1||CT01^CT机|||||20260403080000|||240|min",
        "AIL|1||CT室|||20260403080000|||30|min",
        "AIP|1||D04^孙^医师|||20260403080000|||90|s",
        "AIP|2||D04^孙^医师|||20260403100000|||60|min",
    )
    result = written(mappings, "SIU^S23", mapped("SIU^S23", *body).resources)
    assert lines(result)[1:] == list(body)
    assert result.loss == ()


def test_a_time_of_nobody_knows_whom_is_not_written(mappings: MappingSet) -> None:
    slot = {"resourceType": "Slot", "id": "s", "start": "2026-04-03T08:00:00Z", "end": "2026-04-03T09:00:00Z"}
    with pytest.raises(MappingError) as caught:
        written(mappings, "SIU^S23", [{**slot, "schedule": {"display": "孙医师"}, "status": "busy"}])
    assert caught.value.code == "nothing-written"


REFERRED = (
    "RF1|P|R|MED^内科^HL70281|WR^书面报告^HL70282|I^住院^HL70284|ZZ1^BSWSY|20260401|20260501|20260401093000"
    "|S^专科诊疗^HL70336~^疑似肺炎|EXT1^PT",
    "PRD|RP^转出^L|周^大夫|县城东路1号|内科^1诊室|13900000001^WPN^PH||D01^DN^^20271231|20200101|20271231"
    "|白石乡中心^^^^^^^^^YY2",
    "PRD|RT^转入^L|冯^主任|||||D20^DN|||县人民医院^^^^^^^^^YY1|县城东路1号||13900000002^WPN^PH",
    "PRD|PP^家庭医生^L|吴^医生|||||D30^DN~D30-2^XX",
    pid(f1="1", f5="王^小东", f8="M"),
    "DG1|1||J18.9^肺炎^I10",
    "OBR|1||L1|WBC^白细胞^L|||20260401080000||||||||血&静脉血&L||||||||||F",
    "OBX|1|NM|WBC^白细胞^L||12.50|10*9/L^^UCUM|||||F|||20260401080000",
    "NTE|1||偏高",
    "PV1|1|O|门诊^3诊室||||||||||||||||V1",
    "NTE|1||家属陪同",
)


def test_a_referral_keeps_its_providers_and_its_results(mapped: Map, mappings: MappingSet) -> None:
    result = written(mappings, "REF^I12", mapped("REF^I12", *REFERRED).resources)
    assert lines(result)[1:] == list(REFERRED)
    assert result.loss == ()


def test_a_referral_by_people_without_a_role_names_their_part(mappings: MappingSet) -> None:
    """As a client of FHIR writes it: a Practitioner and an Organization, and no PractitionerRole."""
    patient = {"resourceType": "Patient", "id": "p", "identifier": [{"value": "1"}]}
    doctor = {"resourceType": "Practitioner", "id": "d", "name": [{"text": "王大夫"}]}
    hospital = {"resourceType": "Organization", "id": "o", "name": "县人民医院"}
    referral = {
        "resourceType": "ServiceRequest",
        "id": "r",
        "status": "active",
        "intent": "order",
        "identifier": [{"system": "urn:oid:1.2.3", "value": "ZZ9"}],
        "subject": {"reference": "Patient/p"},
        "requester": {"reference": "Practitioner/d"},
        "performer": [{"reference": "Organization/o"}],
    }
    result = written(mappings, "REF^I12", [referral, patient, doctor, hospital])
    assert [line for line in lines(result) if line[:3] in ("RF1", "PRD")] == [
        "RF1|P|||||ZZ9^^1.2.3^ISO",
        "PRD|RP^Referring provider^HL70286|王大夫",
        "PRD|RT^Referred to provider^HL70286|||||||||县人民医院",
    ]


DOCUMENT = (
    pid(f1="1", f5="王^小东", f8="M"),
    "PV1|1|I|内科^3病房^12床||||||||||||||||V1",
    "ORC|RE|O1",
    "OBR|1|O1||DR-CHEST-PA^胸部正位DR^L",
    "NTE|1||加急",
    "TXA|1|DS^出院小结^L|TX|20260401090000||20260401093000||20260401100000|D01^周^大夫|D02^吴^主任|D03^赵^录入员"
    "|D2^EMR|D1^EMR|O1||S1.txt|AU|R|AV||笔误|D02^吴^主任|D05^钱^主任",
    "OBX|1|FT|DS^出院小结^L||发热三日入院。\\.br\\体温正常后出院。||||||F",
    "OBX|2|ED|扫描件||^AP^PDF^Base64^JVBERi0xLjQK||||||F",
    "OBX|3|RP|影像||https://pacs.example/1^^IM^JPEG||||||F",
    "NTE|1||家属已知情",
)


def test_a_document_keeps_its_orders_and_all_that_it_holds(mapped: Map, mappings: MappingSet) -> None:
    result = written(mappings, "MDM^T06", mapped("MDM^T06", *DOCUMENT).resources)
    assert [line.removesuffix("||||||F") for line in lines(result)[2:]] == [
        line.removesuffix("||||||F") for line in DOCUMENT
    ]
    assert result.loss == ()


def test_a_notification_names_the_content_that_it_does_not_carry(mapped: Map, mappings: MappingSet) -> None:
    result = written(mappings, "MDM^T05", mapped("MDM^T06", *DOCUMENT).resources)
    assert "OBX" not in {line[:3] for line in lines(result)}
    assert ("DocumentReference", "content[1]") in lost(result)


def test_what_a_document_is_to_another_is_said_by_the_event(mapped: Map, mappings: MappingSet) -> None:
    resources = mapped("MDM^T06", *DOCUMENT).resources
    assert er7.parse(written(mappings, "MDM^T06", resources).payload).named("TXA")[0].field(13) == "D1^EMR"
    replaced = written(mappings, "MDM^T10", resources)
    assert er7.parse(replaced.payload).named("TXA")[0].field(13) == ""
    assert ("DocumentReference", "relatesTo") in [(kind, path.partition("[")[0]) for kind, path in lost(replaced)]


PEOPLE = st.sampled_from(["D01^周^大夫", "D02", "^王小东", "D04^Smith^John^^^Dr"])
PLACES = st.sampled_from(["影像科^301", "CT室", "^^12床^白石乡卫生院"])
THINGS = st.sampled_from(["CT01^CT机", "US01", "^除颤器"])
KINDS = st.sampled_from(["", "SON^超声医师^L", "^主刀"])
STATES = st.sampled_from(["", "Booked", "Pending", "Cancelled", "Waitlist"])
STARTS = st.sampled_from(["", "20260403090000", "20260403083000+0800", "20260403"])
LONG = st.sampled_from([("", ""), ("20", "min"), ("2", "小时"), ("90", "s")])


@st.composite
def appointments(draw: st.DrawFn) -> list[str]:
    """SIU: patients, services, devices, places and people with comments, in numbers that nobody chose."""
    found = [f"SCH||F1|||||{draw(CODES)}||||{draw(st.sampled_from(['', '^^^20260403090000^20260403093000']))}"]
    found += [f"NTE|{n}||{draw(WORDS)}" for n in range(1, draw(st.integers(0, 2)) + 1)]
    found += [f"PID|{n}||B{n}^^^HIS^MR||王^{n}" for n in range(1, draw(st.integers(1, 3)) + 1)]
    for group in range(1, draw(st.integers(0, 2)) + 1):
        found.append(f"RGS|{group}")
        for name, what, start in (("AIS", CODES, 4), ("AIG", THINGS, 8), ("AIL", PLACES, 6), ("AIP", PEOPLE, 6)):
            for number in range(1, draw(st.integers(0, 2)) + 1):
                amount, unit = draw(LONG)
                fields = {1: str(number), 3: draw(what), start: draw(STARTS), start + 3: amount, start + 4: unit}
                if name != "AIS":
                    fields |= {4: draw(KINDS), 14 if name == "AIG" else 12: draw(STATES)}
                found.append("|".join([name, *(fields.get(at, "") for at in range(1, max(fields) + 1))]))
                found += [f"NTE|{n}||{draw(WORDS)}" for n in range(1, draw(st.integers(0, 1)) + 1)]
    return found


def comes_back(mapped: Map, mappings: MappingSet, message_type: str, body: list[str]) -> tuple[Mapped, Mapped]:
    """What a message became, and what it became after it was written; the second time it is written as the first."""
    first = mapped(message_type, *body)
    once = written(mappings, message_type, first.resources)
    second = read(mappings, once.payload)
    again = written(mappings, message_type, second.resources)
    assert lines(again) == lines(once)
    assert set(lost(again)) <= set(lost(once))
    return first, second


def only(result: Mapped, kind: str) -> dict[str, Any]:
    (found,) = [each for each in result.resources if each["resourceType"] == kind]
    return found


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(body=appointments())
def test_whatever_is_booked_comes_back(mapped: Map, mappings: MappingSet, body: list[str]) -> None:
    first, second = (only(result, "Appointment") for result in comes_back(mapped, mappings, "SIU^S12", body))
    assert as_set(second["participant"]) == as_set(first["participant"])
    assert as_set(second.get("serviceType", [])) == as_set(first.get("serviceType", []))
    assert as_set(second.get("extension", [])) == as_set(first.get("extension", []))


def as_set(values: list[Any]) -> set[str]:
    return {repr(sorted(value.items(), key=str)) for value in values}


CONTENTS = st.sampled_from(
    [
        "TX|DS^出院小结^L||体温正常",
        "FT|YZ^医嘱^L||一\\.br\\二",
        "ED|PDF^扫描件^L||^AP^PDF^Base64^JVBERi0xLjQK",
        "RP|URL^影像^L||https://pacs.example/1^^IM^JPEG",
        "TX|||无题",
    ]
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(contents=st.lists(CONTENTS, max_size=5, unique=True), comments=st.lists(WORDS, max_size=2))
def test_whatever_a_document_holds_comes_back(
    mapped: Map, mappings: MappingSet, contents: list[str], comments: list[str]
) -> None:
    body = [pid(f1="1", f5="王"), "TXA|1|DS^出院小结^L||||20260401093000||||||D2|||||AU||AV"]
    body += [f"OBX|{number}|{each}||||||F" for number, each in enumerate(contents, 1)]
    body += [f"NTE|{number}||{each}" for number, each in enumerate(comments, 1)]
    first, second = (only(result, "DocumentReference") for result in comes_back(mapped, mappings, "MDM^T02", body))
    held = [each["attachment"].get("data") or each["attachment"].get("url") for each in first["content"]]
    assert [each["attachment"].get("data") or each["attachment"].get("url") for each in second["content"]] == held


ROLES = st.sampled_from(["RT", "转入", "PP^家庭医生^L", "CP"])


@st.composite
def referrals(draw: st.DrawFn) -> list[str]:
    """REF: providers, diagnoses, reports with results and comments."""
    found = [f"RF1|A|R|{draw(CODES)}|{draw(CODES)}||ZZ1||||{draw(CODES)}"]
    for number in range(1, draw(st.integers(0, 4)) + 1):
        employer = draw(st.sampled_from(["", "县人民医院^^^^^^^^^YY1"]))
        role = "RP^转出^L" if number == 1 else draw(ROLES)
        found.append(f"PRD|{role}|冯^{number}|||||D{number}^DN|||{employer}")
    found.append("PID|1||B1^^^HIS^MR||王")
    found += [f"DG1|{n}||J{n}^肺炎^I10" for n in range(1, draw(st.integers(0, 2)) + 1)]
    for order in range(1, draw(st.integers(0, 2)) + 1):
        found.append(f"OBR|{order}||L{order}|{draw(CODES)}|||20260401080000||||||||||||||||||F")
        for number in range(1, draw(st.integers(0, 2)) + 1):
            found.append(f"OBX|{number}|ST|T{number}^测试^L||阴性||||||F|||202604010831")
            found += [f"NTE|{n}||{draw(WORDS)}" for n in range(1, draw(st.integers(0, 1)) + 1)]
    if draw(st.booleans()):
        found.append("PV1|1|O|||||||||||||||||V1")
        found += [f"NTE|{n}||{draw(WORDS)}" for n in range(1, draw(st.integers(0, 2)) + 1)]
    return found


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(body=referrals())
def test_whoever_is_named_by_a_referral_comes_back(mapped: Map, mappings: MappingSet, body: list[str]) -> None:
    first, second = comes_back(mapped, mappings, "REF^I13", body)
    for kind in ("PractitionerRole", "Observation", "DiagnosticReport", "Condition"):
        assert kinds(second, kind) == kinds(first, kind)
    before, after = (
        next(each for each in result.resources if each["resourceType"] == "ServiceRequest")
        for result in (first, second)
    )
    assert as_set(after.get("note", [])) == as_set(before.get("note", []))
    assert as_set(after.get("performer", [])) == as_set(before.get("performer", []))


def kinds(result: Mapped, kind: str) -> int:
    return sum(each["resourceType"] == kind for each in result.resources)
