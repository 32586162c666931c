"""What a function reads, its way back writes; what that wrote is read as the same, and written as the same again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engine.codecs import fhir_json
from engine.mapping import Context
from engine.mapping.lens.back import Back, component, raw
from engine.mapping.registry import FUNCTIONS, Options
from engine.mapping.scope import Scope
from engine.terminology import Tables

TABLES = Tables.load(Path(__file__).parents[3] / "mappings/tables")
CONTEXT = Context("baishi", "白石乡卫生院", "baishi-his", datetime(2026, 4, 1, tzinfo=UTC))

WORDS = st.one_of(
    st.sampled_from(
        [
            "",
            "王",
            "小东",
            "血常规",
            "Mary Ann",
            "A1",
            "白石乡柳树村1号",
            "O'Neil & Sons",
            "5.10",
            "a^b",
            "x~y",
            "一\n二",
            "\\",
        ]
    ),
    st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=8).map(lambda text: " ".join(text.split())),
)
CODES = st.sampled_from(["", "CHEM", "14749-6", "DR-CHEST", "ABC", "M", "I", "X 1"])
SYSTEMS = st.sampled_from(["", "L", "LN", "SCT", "I10", "HL70443", "1.2.3.4", "http://example.org/codes", "99LOCAL"])
TIMES = st.sampled_from(
    ["", "2026", "202604", "20260401", "202604010830", "20260401083015", "20260401083015.25", "20260401083015+0000",
     "20260401083015-0530", "20260401000000", "2026-04-01 08:30", "2026年4月1日", "nonsense"]
)  # fmt: skip
HL7_TIMES = TIMES.filter(lambda text: text.isascii() and " " not in text)
NUMBERS = st.sampled_from(["", "0", "5.10", "-3", "1000000", ".5", "+7", "5,1", "<3", "１２"])
KINDS = st.sampled_from(
    ["", "L", "D", "M", "H", "B", "PRN", "WPN", "CP", "PH", "FX", "Internet", "MR", "PI", "SS", "NNCHN", "JKK", "zz"]
)
NUMBERS_OF_PEOPLE = st.sampled_from(
    ["", "B001", "110105194912310021", "11010519491231002X", "110105491231002", "１２３"]
)


def components(*parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A field of escaped components."""
    return st.tuples(*parts).map(lambda values: raw(tuple(values)))


def one(strategy: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return strategy.map(lambda value: component(value))


CODED = components(CODES, WORDS, SYSTEMS, CODES, WORDS, SYSTEMS, WORDS, WORDS, WORDS)
CX = components(NUMBERS_OF_PEOPLE, WORDS, WORDS, CODES, KINDS, WORDS, TIMES, TIMES)
PERSON = components(
    NUMBERS_OF_PEOPLE, WORDS, WORDS, WORDS, WORDS, WORDS, WORDS, WORDS, WORDS, KINDS, WORDS, WORDS, KINDS
)
PLACE = components(WORDS, WORDS, WORDS, WORDS, WORDS, st.sampled_from(["", "N", "C"]), WORDS, WORDS, WORDS)
NAME = components(WORDS, WORDS, WORDS, WORDS, WORDS, WORDS, KINDS, st.sampled_from(["", "A", "I", "P"]), WORDS)
ADDRESS = components(WORDS, WORDS, WORDS, WORDS, WORDS, WORDS, KINDS, WORDS, WORDS)
TELECOM = components(WORDS, KINDS, KINDS, WORDS)
ORGANIZATION = components(WORDS, WORDS, WORDS, WORDS, WORDS, WORDS, KINDS, WORDS, WORDS, CODES)
NDL = st.tuples(NUMBERS_OF_PEOPLE, WORDS, WORDS).map(lambda parts: raw((tuple(parts),)))
EMPTY = st.just("")
COMPLETED, ACTIONS = st.sampled_from(["CP", "PA", "RE"]), st.sampled_from(["", "A", "D"])
UIDS = st.sampled_from(["", "1.2.840.113619.2.55", "no uid"])
UNITS = st.sampled_from(["", "mL^毫升^L", "mmol/L", "mmol/L^毫摩尔每升^UCUM", "10*9/L^^UCUM", "^次 每分", "个/HP"])
SECTIONS = st.sampled_from(["", "CH", "RX", "DR", "CR", "US", "zz"])
ALLERGENS = components(st.sampled_from(["DA", "FA", "EA"]), WORDS, SYSTEMS)
SEPARATORS = st.sampled_from(["", "-", ":"])
CQ = st.sampled_from(["", "3^g", "3^g&克&L", "5", "5^10\\S\\9/L", "2.50^&片", "x^y", "1^mg&mg&UCUM"])
AMOUNT = (st.sampled_from(["0.25", "5", "10.0"]), UNITS)
MEDICINE = components(CODES.filter(bool), WORDS.filter(bool), SYSTEMS, CODES, st.sampled_from(["", "通用名"]), SYSTEMS)
FURTHER = st.sampled_from(["", "86901^阿莫西林^NMPA", "86901^阿莫西林^NMPA~X2^乙^L"])
MIXED = st.sampled_from(["", "A", "B"])
"""RXC-1: without a component, or with one."""
RPT = st.sampled_from(
    ["TID", "BID&每日两次", "Q8H", "QOD", "QHS", "5ID", "&必要时", "PRN^^^^6^h", "TID^^^^8^h", "BID^DW^1^5",
     "QD^^^^^^^AC^30^min", "^^^^^^^HS", "^DW^3"]
)  # fmt: skip
BOUNDS = st.sampled_from(
    [("20260401", "20260408", ""), ("202604010830", "", ""), ("", "20260408", ""), ("", "", "7^d"), ("", "", "2^wk")]
)
MONEY = st.sampled_from(["120.00&CNY", "0.5", "10&USD", "一百", "1&yuan", ""])
LICENSES = st.sampled_from(["110123456^MD^ZYYS^20301231", "1^LN", "2^^ZYHS", "3^MD"])
URL = "http://example.org/extension"
LENGTHS = st.sampled_from(["", "30", "90", "1", "0", "x"]), st.sampled_from(["", "min", "小时", "s", "天"])
BOOKED_STATES = st.sampled_from(["", "Booked", "Pending", "Cancelled", "Noshow", "？"])
NAMED_PLACE = components(st.just("影像科"), WORDS, WORDS, WORDS)
NUMBERED_PERSON = components(st.just("D01"), WORDS, WORDS, WORDS)
PROVIDER = (NAME, ADDRESS, NAMED_PLACE, TELECOM, one(NUMBERS_OF_PEOPLE), TIMES, TIMES, ORGANIZATION, ADDRESS, TELECOM)
CHINA_TIMES = TIMES.filter(lambda text: not text[8:].count("+") and not text[8:].count("-"))
"""Appointments are written by the clock on the wall."""
KEPT = {
    "visit_class": (1,),
    "examination_category": (0,),
    "appointment_status": (1,),
    "cancelation_reason": (1, 2),
    "document_status": (1,),
    "document_completion": (1,),
    "referral_status": (1,),
    "recorded": (0, 2),
}
"""Places of fields that other rows write, by function."""
CASES: Mapping[str, tuple[str | None, str | None, tuple[st.SearchStrategy[str], ...]]] = {
    "text": (None, None, (one(WORDS),)),
    "lines": (None, None, (one(WORDS),)),
    "annotation": (None, None, (one(WORDS),)),
    "reason_text": (None, None, (one(WORDS),)),
    "report_note": (None, None, (one(WORDS),)),
    "yes_no": (None, None, (st.sampled_from(["Y", "N", "是", "no", "?"]),)),
    "date": (None, None, (TIMES,)),
    "date_time": (None, None, (TIMES,)),
    "instant": (None, None, (TIMES,)),
    "birth_date": (None, None, (TIMES,)),
    "effective": (None, None, (TIMES, TIMES)),
    "period": (None, None, (TIMES, TIMES)),
    "collected_between": (None, None, (HL7_TIMES, HL7_TIMES)),
    "collected": (None, None, (components(HL7_TIMES, HL7_TIMES),)),
    "concept": (None, None, (CODED,)),
    "concepts": (None, None, (CODED,)),
    "coding": (None, None, (CODED,)),
    "described_code": (None, None, (CODED, one(WORDS))),
    "code": (None, "sex", (one(CODES),)),
    "language": (None, None, (CODED,)),
    "concept_extension": (URL, None, (CODED,)),
    "coding_extension": (URL, "arrival_mode", (CODED,)),
    "text_extension": (URL, None, (one(WORDS),)),
    "name_extension": (URL, None, (NAME,)),
    "time_extension": (URL, None, (TIMES,)),
    "code_extension": (URL, None, (CODED,)),
    "birth_place": (None, None, (one(WORDS),)),
    "sub_id": (None, None, (one(WORDS),)),
    "analysed_at": (None, None, (TIMES,)),
    "abnormal_nature": (None, None, (CODED,)),
    "person_name": (None, None, (NAME,)),
    "address": (None, None, (ADDRESS,)),
    "telecom": ("home", None, (TELECOM,)),
    "patient_identifier": (None, None, (CX,)),
    "person_identifier": (None, None, (CX,)),
    "national_number": (None, None, (one(NUMBERS_OF_PEOPLE),)),
    "deceased": (None, None, (TIMES, st.sampled_from(["", "Y", "N"]))),
    "practitioner": (None, None, (PERSON,)),
    "named_practitioner": (None, None, (NDL,)),
    "participant": ("ATND", None, (PERSON,)),
    "organization": (None, None, (ORGANIZATION,)),
    "producer": (None, None, (CODED,)),
    "place": ("active", None, (PLACE,)),
    "location": (None, None, (PLACE,)),
    "discharged_to": (None, None, (one(WORDS),)),
    "visit_class": (None, "patient_class", (one(st.sampled_from(["", "I", "O", "3", "zz"])), st.just("ADT^A01"))),
    "visit_number": (None, None, (CX,)),
    "order_number": ("FILL", None, (components(CODES, CODES),)),
    "parent_order": (None, None, (st.tuples(WORDS, WORDS).map(raw),)),
    "examination": (None, "imaging_procedures", (CODED,)),
    "examination_category": (None, "imaging_procedures", (EMPTY, SECTIONS)),
    "report_category": (None, None, (SECTIONS,)),
    "specimen_number": (None, None, (components(CODES, CODES),)),
    "amount": (None, None, (components(NUMBERS, WORDS),)),
    "container": (None, None, (CODED, CODED)),
    "device": (None, None, (components(CODES, WORDS),)),
    "reference_range": (None, None, (one(st.sampled_from(["3.5-5.3", "<5", ">2", "阴性", "3.5--5.3", ""])),)),
    "entity_identifier": ("policy", None, (components(CODES, CODES),)),
    "accession": (None, None, (one(CODES),)),
    "result_number": (None, None, (one(CODES),)),
    "coded_part": (None, None, (st.tuples(CODES, WORDS, SYSTEMS).map(component),)),
    "multiple_birth": (None, None, (st.sampled_from(["", "Y", "N"]), st.sampled_from(["", "1", "3"]))),
    "practitioner_role": (None, None, (PERSON,)),
    "performing": ("MDIR", None, (PERSON,)),
    "ordering_provider": (None, None, (PERSON, EMPTY, EMPTY, ORGANIZATION, EMPTY, EMPTY)),
    "performing_laboratory": (None, None, (ORGANIZATION, ADDRESS)),
    "assigned_place": (None, None, (PLACE, EMPTY, EMPTY, EMPTY)),
    "temporary_place": ("completed", None, (PLACE,)),
    "temporary_place_now": (None, None, (PLACE, EMPTY, EMPTY, EMPTY)),
    "remarks": (None, None, (one(WORDS), PERSON, TIMES)),
    "result_status": (None, "observation_status", (st.sampled_from(["F", "P", "C", "W", "X", "I"]),)),
    "allergen_category": (None, "allergen_category", (ALLERGENS,)),
    "allergy_criticality": (None, "allergy_criticality", (components(st.sampled_from(["SV", "MI"]), WORDS, SYSTEMS),)),
    "reaction": (None, "allergy_severity", (st.lists(CODED, min_size=1, max_size=3).map("~".join), EMPTY)),
    "vaccination_status": (None, "vaccination_status", (COMPLETED, ACTIONS)),
    "vaccinator": ("OP", None, (PERSON,)),
    "given_amount": (None, None, (NUMBERS, UNITS)),
    "study_uid": (None, None, (UIDS,)),
    "study_named": (None, None, (UIDS,)),
    "medication": (None, None, (MEDICINE, CODED, *AMOUNT, *AMOUNT, FURTHER, *([EMPTY] * 8))),
    "dispensed_medication": (
        None,
        None,
        (MEDICINE, CODED, *AMOUNT, *AMOUNT, FURTHER, CODES, HL7_TIMES, components(CODES, WORDS), *([EMPTY] * 8)),
    ),
    "dose_amount": (None, None, (NUMBERS, NUMBERS, UNITS, EMPTY)),
    "amount_of": (None, None, (NUMBERS, UNITS)),
    "rate_amount": (None, None, (NUMBERS, UNITS)),
    "route": (None, None, (CODED, EMPTY, EMPTY)),
    "as_needed": (None, None, (st.sampled_from(["PRN", "S", "prn"]),)),
    "place_description": (None, None, (one(WORDS),)),
    "daily_maximum": (None, None, (CQ,)),
    "whole_number": (None, None, (st.sampled_from(["0", "12", "1.5", "x"]),)),
    "count": (None, None, (st.sampled_from(["0", "12", "1.5", "x"]),)),
    "days": (None, None, (st.sampled_from(["7", "0.5", "x"]),)),
    "words": (None, None, (st.lists(components(EMPTY, WORDS.filter(bool)), min_size=1, max_size=3).map("~".join),)),
    "words_note": (None, None, (components(EMPTY, WORDS),)),
    "repeat_pattern": (None, None, (RPT,)),
    "time_of_day": (None, None, (st.sampled_from(["0800", "083015", "08:00", "25点"]),)),
    "occurrence_duration": (None, None, (st.sampled_from(["30^min", "2^小时", "x^y", "1^h&hour&ISO+"]),)),
    "prescription_number": (None, None, (components(CODES, CODES),)),
    "prescription_named": (None, None, (components(CODES, CODES),)),
    "was_substituted": (None, None, (st.sampled_from(["G", "N", "0", "T", "zz"]),)),
    "pharmacy": (None, None, (components(CODES, WORDS), ADDRESS, components(WORDS, st.just("WPN"), st.just("PH")))),
    "dispensing_pharmacy": (None, None, (components(CODES, WORDS), EMPTY, EMPTY)),
    "dispense_status": (None, None, (st.sampled_from(["CA", "DC", "DE", "HD", "UA"]),)),
    "administration_status": (None, None, (st.sampled_from(["CP", "PA", "NA", "RE"]), ACTIONS, st.just("RE"))),
    "given_at": (None, None, (HL7_TIMES, HL7_TIMES)),
    "charge_status": (None, None, (st.sampled_from(["CG", "CD", "AJ"]),)),
    "transaction_number": (None, None, (components(CODES, CODES),)),
    "charged_at": (None, None, (components(HL7_TIMES, HL7_TIMES),)),
    "charged_quantity": (None, None, (NUMBERS,)),
    "charged_code": (None, None, (components(CODES, WORDS, SYSTEMS), one(WORDS), EMPTY)),
    "price": (None, None, (MONEY, EMPTY, EMPTY)),
    "department": (None, None, (components(CODES, WORDS),)),
    "charge_performer": ("PRF", None, (PERSON,)),
    "account_number": (None, None, (components(CODES, EMPTY, EMPTY, CODES, st.sampled_from(["", "VN"])),)),
    "staff_active": (None, None, (st.sampled_from(["MAD", "MUP", "MDC", "MDL"]), st.sampled_from(["", "A", "I"]))),
    "staff_number": (None, None, (CX,)),
    "license_number": (None, None, (LICENSES,)),
    "employed": (None, None, (components(HL7_TIMES, WORDS), HL7_TIMES)),
    "specialty": (None, None, (components(WORDS, WORDS),)),
    "email": (None, None, (one(WORDS),)),
    "place_status": (None, None, (st.sampled_from(["MAD", "MUP", "MDC"]),)),
    "procedure_code": (None, None, (components(CODES, WORDS, SYSTEMS), EMPTY, st.sampled_from(["", "LT"]))),
    "performed": (None, None, (HL7_TIMES, st.sampled_from(["", "30", "x"]))),
    "performer": ("surgeon", None, (PERSON,)),
    "belongs_to": ("Procedure", None, (components(CODES, CODES),)),
    "coverage_class": ("group", None, (one(CODES), one(WORDS))),
    "subscriber_number": (None, None, (components(NUMBERS_OF_PEOPLE, EMPTY, EMPTY, CODES, st.just("SN")),)),
    "diagnosis_verification": (None, None, (st.sampled_from(["D", "A", ""]),)),
    "appointment_number": ("FILL", None, (components(CODES, CODES),)),
    "appointment_status": (None, None, (st.sampled_from(["Booked", "已取消", "DC", "Noshow"]), st.just("SIU^S14"))),
    "cancelation_reason": (None, None, (CODED, EMPTY, st.just("SIU^S15"))),
    "appointment_reason": (None, "appointment_reason", (CODED,)),
    "appointment_type": (None, None, (CODED, EMPTY)),
    "appointment_minutes": (None, None, LENGTHS),
    "appointment_time": (None, None, (CHINA_TIMES, CHINA_TIMES, EMPTY, EMPTY, EMPTY)),
    "resource_time": (None, None, (CHINA_TIMES, *LENGTHS, EMPTY, EMPTY, EMPTY, EMPTY, EMPTY)),
    "slot_time": (None, None, (CHINA_TIMES, *LENGTHS, EMPTY, EMPTY, EMPTY, EMPTY, EMPTY)),
    "service_period": (None, None, (CHINA_TIMES, *LENGTHS, EMPTY, EMPTY, EMPTY, EMPTY)),
    "booked_service": (None, None, (CODED, EMPTY)),
    "appointment_contact": ("enterer", None, (PERSON,)),
    "booked_person": (
        None, None, (NUMBERED_PERSON, CODED, BOOKED_STATES, EMPTY, CHINA_TIMES, EMPTY, EMPTY, *LENGTHS, EMPTY, EMPTY)
    ),
    "booked_place": (
        None, None, (NAMED_PLACE, CODED, BOOKED_STATES, EMPTY, CHINA_TIMES, EMPTY, EMPTY, *LENGTHS, EMPTY, EMPTY)
    ),
    "booked_equipment": (
        None, None, (CODED, CODED, BOOKED_STATES, EMPTY, CHINA_TIMES, EMPTY, EMPTY, *LENGTHS, EMPTY, EMPTY)
    ),
    "scheduled": ("equipment", None, (CODED,)),
    "slot_reason": (None, None, (CODED,)),
    "notes_extension": (URL, None, (one(WORDS.filter(bool)), CODED, PERSON, TIMES, CODED)),
    "taking_part": ("enterer", None, (PERSON,)),
    "recorded": (None, None, (st.just("MDM^T08"), TIMES.filter(bool), st.just("20260401083000"))),
    "document_number": (None, None, (components(CODES, CODES),)),
    "file_name": (None, None, (one(WORDS),)),
    "document_status": (None, None, (st.sampled_from(["", "AV", "CA", "OB", "UN"]), st.just("MDM^T02"))),
    "document_completion": (None, None, (st.sampled_from(["AU", "LA", "DO", "IP", "草稿"]), st.just("MDM^T02"))),
    "document_date": (None, None, (TIMES,)),
    "referral_status": (None, None, (st.sampled_from(["A", "E", "R", "已完成"]), st.just("REF^I13"))),
    "referral_number": ("PLAC", None, (components(CODES, CODES),)),
    "referral_kind": ("0281", None, (CODED,)),
    "referring_provider": (None, None, (st.sampled_from(["RP", "转出"]), *PROVIDER)),
    "referred_to_provider": (None, None, (st.sampled_from(["RT", "转入"]), *PROVIDER)),
    "other_provider": (URL, None, (st.sampled_from(["PP", "CP", "接诊台"]), *PROVIDER)),
}  # fmt: skip
VALUES = st.one_of(
    st.tuples(NUMBERS, st.just("NM")),
    st.tuples(one(WORDS), st.sampled_from(["ST", "FT", "TX"])),
    st.tuples(CODED, st.sampled_from(["CE", "CWE"])),
    st.tuples(st.lists(CODED, min_size=2, max_size=3).map("~".join), st.just("CWE")),
    st.tuples(TIMES, st.sampled_from(["TS", "DT"])),
    st.tuples(st.sampled_from(["0830", "083015"]), st.just("TM")),
    st.tuples(components(TIMES, TIMES), st.just("DR")),
    st.tuples(components(st.sampled_from(["", "<", ">="]), NUMBERS, SEPARATORS, NUMBERS), st.just("SN")),
    st.tuples(components(NUMBERS, NUMBERS), st.just("NR")),
    st.tuples(st.sampled_from(["^AP^PDF^Base64^JVBERi0=", "^IM^JPEG^Base64^/9j/"]), st.just("ED")),
    st.tuples(st.just("https://pacs.example/1^PACS^IM^JPEG"), st.just("RP")),
)  # fmt: skip


class Lens:
    """One function both ways."""

    def __init__(self, name: str, argument: str | None, table: str | None) -> None:
        self.function = FUNCTIONS[name]
        options = Options("baishi", TABLES, argument, TABLES[table] if table else None)
        assert self.function.put is not None
        self._get, self._put = self.function.make(options), self.function.put(options)

    def get(self, raws: tuple[str, ...]) -> tuple[Any, Back]:
        scope = Scope(CONTEXT, "utf-8", b"")
        fields: tuple[Any, ...] = tuple([each] for each in raws) if self.function.gathers else raws
        value = self._get(*fields, scope) if any(raws) else None
        value = value[0] if isinstance(value, list) and self.function.gathers and value else value
        if any(doubt.code == "time-unreadable" for doubt in scope.doubts):
            value = None  # half of it was left out, and no field says half
        return value, Back(scope.mentioned.values(), "ORM^O01", "2.5.1")

    def put(self, value: Any, back: Back) -> tuple[str, ...]:
        written = self._put(value, back)
        if isinstance(written, list) and written and all(isinstance(each, dict) for each in written):
            written = {at: field for segment in written for at, field in segment.items()}
        fields = written if isinstance(written, dict) else {0: written or ""}
        count = self.function.fields or max(fields) + 1
        return tuple(self._raw(fields.get(at) or "") for at in range(count))

    def _raw(self, field: Any) -> str:
        part = self.function.name == "coded_part"
        return component(field[0]) if part and field else raw(field)


def round_trip(lens: Lens, raws: tuple[str, ...], *, kept: tuple[int, ...] = ()) -> None:
    """`kept` are places of fields that other rows write."""
    value, back = lens.get(raws)
    if value is None:
        return
    written = list(lens.put(value, back))
    for at in kept:
        written[at] = raws[at]
    again, back_again = lens.get(tuple(written))
    assert fhir_json.same(again, value)
    written_again = list(lens.put(again, back_again))
    for at in kept:
        written_again[at] = raws[at]
    assert written_again == written


@pytest.mark.parametrize("name", sorted(CASES))
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_a_function_reads_it_writes_and_reads_again(name: str, data: st.DataObject) -> None:
    argument, table, strategies = CASES[name]
    raws = tuple(data.draw(strategy) for strategy in strategies)
    round_trip(Lens(name, argument, table), raws, kept=KEPT.get(name, ()))


@settings(max_examples=300, deadline=None)
@given(value=VALUES, unit=UNITS)
@example(value=("5.10", "NM"), unit="mmol/L")
def test_a_value_is_written_with_its_type_and_its_unit(value: tuple[str, str], unit: str) -> None:
    raws = (value[0], value[1], unit, "BLD^血型^L", "F")
    round_trip(Lens("observation_value", None, None), raws, kept=(3, 4))


def test_every_function_that_writes_is_tried() -> None:
    elsewhere = {
        "document_relation",
        "document_content",
        "comment_content",
        "observation_value",
        "parent_result",
        "bounds",
        "further_dosages",
        "prescription_status",
        "payor",
        "place_entry",
        "policy_holder",
        "order_status",
        "reported_order_status",
        "imaging_category",
        "reported_service",
    }
    writing = {name for name, function in FUNCTIONS.items() if function.put is not None}
    assert writing - set(CASES) - elsewhere == set()
