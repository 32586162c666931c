"""Registration: visits by their events, the people around a patient, places, allergies."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from engine.codecs import er7
from engine.mapping import Mapped, MappingSet
from engine.mapping.visit_states import Assumed
from tests.unit.mapping.conftest import CONTEXT, Map
from tests.unit.mapping.segments import pid, segment
from tests.unit.mapping.test_messages_of_others import validate

VISIT = segment("PV1", f2="I", f19="V1")


def only(result: Mapped, kind: str) -> dict[str, Any]:
    found = every(result, kind)
    assert len(found) == 1
    return found[0]


def every(result: Mapped, kind: str) -> list[dict[str, Any]]:
    return [resource for resource in result.resources if resource["resourceType"] == kind]


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ("A01", "in-progress"),
        ("A02", "in-progress"),
        ("A03", "finished"),
        ("A05", "planned"),
        ("A06", "in-progress"),
        ("A10", "arrived"),
        ("A11", "cancelled"),
        ("A12", "in-progress"),
        ("A13", "in-progress"),
        ("A14", "planned"),
        ("A15", "in-progress"),
        ("A21", "onleave"),
        ("A22", "in-progress"),
        ("A23", "entered-in-error"),
        ("A25", "in-progress"),
        ("A27", "cancelled"),
        ("A38", "cancelled"),
    ],
)
def test_the_event_says_how_the_visit_stands(mapped: Map, event: str, status: str) -> None:
    result = mapped(f"ADT^{event}", pid(), VISIT)
    assert only(result, "Encounter")["status"] == status
    assert result.findings == []
    assert result.only_if_missing == frozenset()


@pytest.mark.parametrize("event", ["A28", "A31", "A60", "A40", "A47", "A24"])
def test_an_event_about_a_person_merely_mentions_the_visit(mapped: Map, event: str) -> None:
    result = mapped(f"ADT^{event}", pid(), VISIT)
    visit = only(result, "Encounter")
    assert visit["status"] == "unknown"
    assert f"Encounter/{visit['id']}" in result.only_if_missing


def test_a_place_is_a_chain_of_locations(mapped: Map) -> None:
    result = mapped("ADT^A01", pid(), segment("PV1", f2="I", f3="内科^302^12^^^^住院楼^3", f19="V1"))
    places = {f"Location/{place['id']}": place for place in every(result, "Location")}
    place = places[only(result, "Encounter")["location"][0]["location"]["reference"]]
    chain = []
    while True:
        chain.append(place["name"])
        if "partOf" not in place:
            break
        place = places[place["partOf"]["reference"]]
    assert chain == ["12", "302", "内科", "3", "住院楼"]
    assert len(places) == 5


def test_beds_of_the_same_number_in_two_rooms_are_two_places(mapped: Map) -> None:
    one = mapped("ADT^A01", pid(), segment("PV1", f2="I", f3="内科^302^12", f19="V1"))
    other = mapped("ADT^A01", pid(), segment("PV1", f2="I", f3="内科^303^12", f19="V2"))
    again = mapped("ADT^A08", pid(), segment("PV1", f2="I", f3="内科^302^12", f19="V1"))
    beds = [only(each, "Encounter")["location"][0]["location"]["reference"] for each in (one, other, again)]
    assert (beds[0] == beds[2], beds[0] == beds[1]) == (True, False)
    assert every(again, "Location") == every(one, "Location")


def test_a_place_that_is_only_described_makes_no_location(mapped: Map) -> None:
    result = mapped("ADT^A01", pid(), segment("PV1", f2="O", f3="^^^^^^^^二楼走廊", f19="V1"))
    assert every(result, "Location") == []
    assert only(result, "Encounter")["location"][0]["location"] == {"display": "二楼走廊"}


def test_each_relative_is_a_contact_and_a_person(mapped: Map) -> None:
    result = mapped("ADT^A28", pid(), segment("NK1", f2="王^芳", f3="SPO"), segment("NK1", f2="王^大山", f3="FTH"))
    contacts = only(result, "Patient")["contact"]
    assert [each["name"]["text"] for each in contacts] == ["王芳", "王大山"]
    assert [each["relationship"][0]["coding"][0]["code"] for each in contacts] == ["SPS", "FTH"]
    assert len({each["id"] for each in every(result, "RelatedPerson")}) == 2


def test_a_relative_without_a_name_or_number_is_no_person(mapped: Map) -> None:
    result = mapped("ADT^A28", pid(), segment("NK1", f1="1", f3="SPO"))
    assert every(result, "RelatedPerson") == []
    assert "contact" not in only(result, "Patient")


def test_the_same_relative_keeps_the_same_id(mapped: Map) -> None:
    first = mapped("ADT^A28", pid(), segment("NK1", f2="王^芳", f3="SPO"))
    later = mapped("ADT^A31", pid(), segment("NK1", f2="王^芳", f3="SPO", f5="13900139000"))
    assert only(first, "RelatedPerson")["id"] == only(later, "RelatedPerson")["id"]


def test_an_entry_that_says_more_leads_to_its_own_segment(mapped: Map) -> None:
    result = mapped("ADT^A28", pid(), segment("NK1", f2="王^芳"), segment("NK1", f2="王^大山"), with_sources=True)
    fields = {source.path: source.field for source in result.sources if source.path.startswith("contact")}
    assert fields["contact[0].name.text"].startswith("NK1[1]-2")
    assert fields["contact[1].name.text"].startswith("NK1[2]-2")


def test_each_diagnosis_is_a_condition_and_what_it_is_to_the_visit(mapped: Map) -> None:
    result = mapped(
        "ADT^A03",
        pid(),
        VISIT,
        segment("DG1", f3="I20.0^心绞痛^I10", f6="A"),
        segment("DG1", f3="I10^高血压^I10"),
        segment("DG1", f3="E11^糖尿病^I10", f15="3", f21="D"),
    )
    conditions = {f"Condition/{each['id']}": each for each in every(result, "Condition")}
    diagnoses = only(result, "Encounter")["diagnosis"]
    codes = [conditions[each["condition"]["reference"]]["code"]["coding"][0]["code"] for each in diagnoses]
    assert codes == ["I20.0", "I10", "E11"]
    assert [each.get("rank") for each in diagnoses] == [None, None, 3]
    assert diagnoses[0]["use"]["coding"][0]["code"] == "AD"
    deleted = conditions[diagnoses[2]["condition"]["reference"]]
    assert deleted["verificationStatus"]["coding"][0]["code"] == "entered-in-error"


def test_a_diagnosis_without_a_visit_is_the_patients(mapped: Map) -> None:
    result = mapped("ADT^A28", pid(), segment("DG1", f3="I10^高血压^I10"))
    assert "encounter" not in only(result, "Condition")
    assert every(result, "Encounter") == []


def test_something_that_nothing_tells_apart_is_left_out_and_said(mapped: Map) -> None:
    result = mapped("ADT^A01", pid(), VISIT, segment("AL1", f3="^^L", f4="SV"))
    assert every(result, "AllergyIntolerance") == []
    assert [(finding.code, finding.location) for finding in result.findings] == [("item-unidentified", "AL1-3")]


@pytest.mark.parametrize(
    ("state", "action", "clinical", "verification"),
    [
        ("", "A", "active", None),
        ("C", "A", "active", "confirmed"),
        ("S", "", "active", "unconfirmed"),
        ("I", "", "inactive", "confirmed"),
        ("E", "", None, "entered-in-error"),
        ("C", "D", None, "entered-in-error"),
    ],
)
def test_an_allergy_stands_as_it_is_told(
    mapped: Map, state: str, action: str, clinical: str | None, verification: str | None
) -> None:
    allergy = only(mapped("ADT^A60", pid(), segment("IAM", f3="PCN", f6=action, f17=state)), "AllergyIntolerance")

    def code(element: str) -> str | None:
        said = allergy.get(element)
        return said["coding"][0]["code"] if said else None

    assert (code("clinicalStatus"), code("verificationStatus")) == (clinical, verification)


def test_an_unknown_state_of_an_allergy_is_said(mapped: Map) -> None:
    result = mapped("ADT^A60", pid(), segment("IAM", f3="PCN", f17="Q"))
    assert [finding.code for finding in result.findings] == ["code-unmapped"]


@pytest.mark.parametrize("company", ["", '""'])
def test_who_pays_is_unknown_rather_than_guessed(mapped: Map, company: str) -> None:
    coverage = only(mapped("ADT^A01", pid(), segment("IN1", f4=company, f36="POL1")), "Coverage")
    assert coverage["payor"][0]["extension"][0]["valueCode"] == "unknown"
    validate(coverage)


@pytest.mark.parametrize(
    ("minutes", "element"), [("45", "performedPeriod"), ("", "performedDateTime"), ("x", "performedDateTime")]
)
def test_a_procedure_takes_the_minutes_it_says(mapped: Map, minutes: str, element: str) -> None:
    procedure = only(mapped("ADT^A01", pid(), segment("PR1", f3="88.57", f5="202604021000", f7=minutes)), "Procedure")
    assert element in procedure


def test_a_practitioner_carries_the_type_of_the_number_and_the_use_of_the_name(mapped: Map) -> None:
    attending = "D1^Patrick^Harold^H^IV^Dr^MD^^HOSP&1.2&ISO^L^^^DN^^^^^^20200101^20250101^FACC"
    person = only(mapped("ADT^A01", pid(), segment("PV1", f2="I", f7=attending, f19="V1")), "Practitioner")
    assert person["identifier"][0]["type"]["coding"][0]["code"] == "DN"
    assert person["identifier"][0]["assigner"] == {"display": "HOSP"}
    name = person["name"][0]
    assert (name["use"], name["prefix"], name["suffix"]) == ("official", ["Dr"], ["IV", "MD", "FACC"])
    assert name["period"] == {"start": "2020-01-01", "end": "2025-01-01"}


def test_everything_of_a_registration_is_valid_fhir(mapped: Map) -> None:
    result = mapped(
        "ADT^A01",
        pid(f5="王^小东"),
        segment("PD1", f3="村卫生室", f4="D1^周", f6="听力", f14="无"),
        segment("ROL", f3="AT", f4="D2^孙", f5="2026", f13="内科^1", f14="医院"),
        segment("PRT", f4="AT", f5="D3^吴", f8="医院"),
        segment("NK1", f2="王^芳", f3="SPO", f7="N", f13="厂", f15="F", f8="20260101"),
        segment(
            "PV1",
            f2="I",
            f3="内科^1^2",
            f5="PRE1",
            f15="A1",
            f16="VIP",
            f19="V1",
            f37="家",
            f38="糖尿病",
            f42="外科",
            f50="X1",
        ),
        segment("PV2", f1="急诊", f3="胸痛", f8="20260401", f9="20260410", f11="3", f13="D4^赵", f25="1", f38="A"),
        segment("OBX", f2="NM", f3="29463-7^^LN", f5="70.50", f6="kg", f11="F"),
        "NTE|1||晨起",
        segment("AL1", f2="DA", f3="PCN", f4="SV", f5="皮疹"),
        segment("IAM", f2="FA", f3="花生", f5="皮疹", f7="A1^HIS", f11="2018", f13="20260401", f17="C", f18="D1^周"),
        segment("DG1", f3="I10", f5="20260401", f6="F", f15="1", f16="D1^周", f19="20260401", f20="DX1^HIS"),
        segment(
            "PR1",
            f3="88.57",
            f5="202604021000",
            f6="D",
            f8="D5",
            f11="D6",
            f12="D7",
            f15="I10",
            f19="PX1",
            f23="手术室",
        ),
        segment("GT1", f2="G1", f3="王^芳", f8="19850101", f9="F", f11="SPO", f13="20260101"),
        segment(
            "IN1",
            f2="A^医保",
            f4="医保局",
            f8="G1",
            f9="组",
            f11="厂",
            f15="1",
            f16="王^芳",
            f17="SPO",
            f36="P1",
            f49="S1",
        ),
    )
    for resource in result.resources:
        validate(resource)
    assert only(result, "Encounter")["length"]["value"] == 3
    assert result.findings == []


def test_an_address_and_a_telephone_say_since_when(mapped: Map) -> None:
    found = only(
        mapped(
            "ADT^A28",
            pid(
                f11="1&Hospital Lane&2^^X^^^^BI^^^^^^20000110^20000120",
                f13="139^PRN^PH^^^^^^^^^^20010110^20020110^^^^2",
            ),
        ),
        "Patient",
    )
    address, telecom = found["address"][0], found["telecom"][0]
    assert address["line"] == ["1", "Hospital Lane", "2"]
    assert (address["use"], address["period"]) == ("billing", {"start": "2000-01-10", "end": "2000-01-20"})
    assert (telecom["rank"], telecom["period"]) == (2, {"start": "2001-01-10", "end": "2002-01-10"})


def test_what_r4_has_no_element_for_stands_in_extensions(mapped: Map) -> None:
    fields = {"f6": "周^红", "f17": "BUD^佛教", "f23": "青溪县", "f26": "CHN", "f28": "CHN"}
    patient = only(mapped("ADT^A28", pid(**fields)), "Patient")
    said = {each["url"].rpartition("/")[2]: each for each in patient["extension"]}
    assert said["patient-mothersMaidenName"]["valueString"] == "周红"
    assert said["patient-religion"]["valueCodeableConcept"]["coding"][0]["code"] == "BUD"
    assert said["patient-birthPlace"]["valueAddress"] == {"text": "青溪县"}
    assert said["patient-citizenship"]["extension"][0]["valueCodeableConcept"]["coding"][0]["code"] == "CHN"
    validate(patient)


def test_a_mother_is_known_by_her_number(mapped: Map) -> None:
    mother = only(mapped("ADT^A28", pid(f21="M77^^^HIS^MR")), "RelatedPerson")
    assert mother["relationship"][0]["coding"][0]["code"] == "MTH"
    assert mother["identifier"][0]["value"] == "M77"
    validate(mother)


def test_a_role_belongs_to_what_it_follows(mapped: Map) -> None:
    role = segment("ROL", f3="AT", f4="D2^孙")
    helper = segment("ROL", f3="^洗手护士", f4="N1^钱")
    result = mapped("ADT^A01", pid(), VISIT, role, segment("PR1", f3="88.57", f11="D6^吴"), helper, helper)
    assert [each["individual"]["display"] for each in only(result, "Encounter")["participant"]] == ["孙"]
    performers = only(result, "Procedure")["performer"]
    assert [each["actor"]["display"] for each in performers] == ["吴", "钱"]
    assert performers[1]["function"]["text"] == "洗手护士"


def test_a_facility_changes_the_entry_that_holds_the_row(tmp_path: Path, folder: Path) -> None:
    copied = tmp_path / "mappings"
    shutil.copytree(folder, copied, ignore=shutil.ignore_patterns("__pycache__"))
    (copied / "facilities" / "baishi").mkdir(parents=True)
    (copied / "facilities" / "baishi" / "adt.yaml").write_text(
        "version: 1\nmappings: [ADT]\nchanges:\n  Patient:\n    - {rule: nk1, remove: yes}\n"
        "    - {rule: pd1-3, remove: yes}\n    - {rule: extra, from: PID-31, to: active, with: yes_no}\n",
        encoding="utf-8",
    )
    mapping = MappingSet.load(copied, ["baishi"]).find("ADT^A01", "baishi")
    assert mapping is not None
    text = "\r".join(
        ("MSH|^~\\&|HIS|BS|||20260401||ADT^A01|C1|P|2.5.1", pid(f31="Y"), "PD1|||诊所|D1^周", "NK1|1|王^芳|SPO", "")
    )
    result = mapping.apply(er7.parse(text.encode()), CONTEXT)
    patient = only(result, "Patient")
    assert patient["active"] is True
    assert "contact" not in patient
    assert [each["display"] for each in patient["generalPractitioner"]] == ["周"]


def test_a_participation_in_a_result_is_none_in_the_visit(mapped: Map) -> None:
    participation = segment("PRT", f4="AT", f5="D3^吴")
    obx = segment("OBX", f2="ST", f3="BP^血压^L", f5="高", f11="F")
    result = mapped("ADT^A01", pid(), VISIT, participation, obx, segment("PRT", f4="RO", f5="D9^仪"))
    assert [each["individual"]["display"] for each in only(result, "Encounter")["participant"]] == ["吴"]
    assert [each["display"] for each in only(result, "Observation")["performer"]] == ["仪"]


@pytest.mark.parametrize("prior", ['""', "", "^^^HIS"])
def test_where_mrg_1_says_nothing_mrg_4_names_the_patient_who_is_joined(mapped: Map, prior: str) -> None:
    result = mapped("ADT^A40", pid(), f"MRG|{prior}|||X")
    kept, retired = every(result, "Patient")
    assert [(act.doing, act.of, act.to) for act in result.acts] == [
        ("merge", f"Patient/{retired['id']}", f"Patient/{kept['id']}")
    ]
    assert [each["value"] for each in retired["identifier"]] == ["X"]
    assert result.findings == []


@pytest.mark.parametrize(
    ("prior", "findings"),
    [
        ("OLD1~OLD2", ["merge-not-applied"]),
        ("OLD1^^^HIS^MR~OLD2^^^HIS^MR", ["merge-not-applied"]),
        ("OLD1~OLD1", []),
        ("OLD1^^^HIS^MR~C2^^^EMPI^MR~A3^^^HIS^AN", []),
    ],
)
def test_of_several_prior_numbers_of_one_kind_the_first_is_joined_and_that_is_said(
    mapped: Map, prior: str, findings: list[str]
) -> None:
    result = mapped("ADT^A40", pid(), f"MRG|{prior}")
    assert len(result.acts) == 1
    assert [finding.code for finding in result.findings] == findings


@pytest.mark.parametrize("event", ["A02", "A08", "A09", "A16", "A17", "A21", "A22", "A54", "A61"])
def test_an_update_only_assumes_how_the_visit_stands(mapped: Map, event: str) -> None:
    assert isinstance(only(mapped(f"ADT^{event}", pid(), VISIT), "Encounter")["status"], Assumed)
    discharged = mapped(f"ADT^{event}", pid(), segment("PV1", f2="I", f19="V1", f45="20260403"))
    assert type(only(discharged, "Encounter")["status"]) is str


@pytest.mark.parametrize("event", ["A01", "A03", "A04", "A06", "A07", "A10", "A11", "A12", "A13", "A23", "A38"])
def test_an_event_that_begins_ends_opens_or_cancels_states_how_the_visit_stands(mapped: Map, event: str) -> None:
    assert type(only(mapped(f"ADT^{event}", pid(), VISIT), "Encounter")["status"]) is str
