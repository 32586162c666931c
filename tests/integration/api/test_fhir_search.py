"""A search finds exactly what it asks for, whichever source wrote it, page by page; and refuses what it cannot do."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import httpx
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.operationoutcome import OperationOutcome

from tests.integration.api.conftest import NOW, Resource, Store

LOINC = "http://loinc.org"


def patient(number: str, family: str = "测", given: str = "试", born: str = "1980-02-01") -> Resource:
    return {
        "resourceType": "Patient",
        "id": number,
        "identifier": [{"system": "urn:hutong:facility:baishi:patient", "value": f"MRN-{number}"}],
        "name": [{"text": family + given, "family": family, "given": [given]}],
        "birthDate": born,
    }


def report(number: str, person: str, code: str = "24627-2", status: str = "final") -> Resource:
    return {
        "resourceType": "DiagnosticReport",
        "id": number,
        "status": status,
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "subject": {"reference": f"Patient/{person}"},
        "basedOn": [{"reference": f"ServiceRequest/order-{number}"}],
    }


async def found(client: httpx.AsyncClient, path: str, **parameters: str) -> list[str]:
    answer = await client.get(f"/fhir/{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    Bundle.model_validate(bundle)
    return [entry["resource"]["id"] for entry in bundle.get("entry", [])]


async def test_a_patient_is_found_by_identifier_with_and_without_its_system(
    admin: httpx.AsyncClient, store: Store
) -> None:
    await store(patient("1"), patient("2"))
    system = "urn:hutong:facility:baishi:patient"
    assert await found(admin, "Patient", identifier="MRN-1") == ["1"]
    assert await found(admin, "Patient", identifier=f"{system}|MRN-1") == ["1"]
    assert await found(admin, "Patient", identifier="urn:other|MRN-1") == []
    assert await found(admin, "Patient", identifier="|MRN-1") == []
    assert await found(admin, "Patient", identifier="MRN-1,MRN-2") == ["2", "1"]
    assert await found(admin, "Patient", identifier="MRN-1\\,MRN-2") == []


async def test_a_name_is_found_by_characters_pinyin_and_initials(admin: httpx.AsyncClient, store: Store) -> None:
    await store(patient("1", "单", "雅芳"), patient("2", "李", "强"))
    for typed in ("单", "单雅", "单雅芳", "雅芳", "shan", "shanya", "Shan Yafang", "syf", "dan", "ＳＨＡＮ"):
        assert await found(admin, "Patient", name=typed) == ["1"], typed


async def test_a_birth_date_is_found_by_day_month_and_year(admin: httpx.AsyncClient, store: Store) -> None:
    await store(patient("1", born="1980-02-01"), patient("2", born="1980-03"))
    assert await found(admin, "Patient", birthdate="1980-02-01") == ["1"]
    assert await found(admin, "Patient", birthdate="eq1980-03") == ["2"]
    assert await found(admin, "Patient", birthdate="1980") == ["2", "1"]


async def test_a_search_for_one_patient_finds_what_all_linked_sources_have(
    admin: httpx.AsyncClient, store: Store, pool: asyncpg.Pool
) -> None:
    await store(patient("a"), patient("b"), patient("golden"), patient("stranger"))
    await store(report("ra", "a"), report("rb", "b"), report("rs", "stranger"))
    await pool.executemany(
        "insert into patient_link (source, golden, home, reasons, linked_at) values ($1, 'golden', 'golden', '[]', $2)",
        [("a", NOW), ("b", NOW)],
    )
    for person in ("a", "b", "golden", "Patient/a", "http://hub.test/fhir/Patient/a"):
        assert await found(admin, "DiagnosticReport", patient=person) == ["rb", "ra"], person
    assert await found(admin, "DiagnosticReport", subject="Patient/b") == ["rb", "ra"]
    assert await found(admin, "DiagnosticReport", **{"subject:Patient": "b"}) == ["rb", "ra"]
    assert await found(admin, "DiagnosticReport", **{"patient.identifier": "MRN-a"}) == ["rb", "ra"]
    assert await found(admin, "DiagnosticReport", **{"patient.identifier": "MRN-nobody"}) == []
    assert await found(admin, "DiagnosticReport", patient="stranger") == ["rs"]
    await pool.execute("delete from patient_link where source = 'b'")
    assert await found(admin, "DiagnosticReport", patient="a") == ["ra"]


async def test_parameters_narrow_and_commas_widen(admin: httpx.AsyncClient, store: Store) -> None:
    await store(
        report("1", "p"), report("2", "p", status="preliminary"), report("3", "p", code="30746-2"), report("4", "q")
    )
    assert await found(admin, "DiagnosticReport", patient="p", status="final") == ["3", "1"]
    assert await found(admin, "DiagnosticReport", patient="p", status="final,preliminary") == ["3", "2", "1"]
    assert await found(admin, "DiagnosticReport", code=f"{LOINC}|24627-2", status="final") == ["4", "1"]
    assert await found(admin, "DiagnosticReport", **{"based-on": "order-2"}) == ["2"]
    assert await found(admin, "DiagnosticReport", **{"based-on": "ServiceRequest/order-2"}) == ["2"]
    assert await found(admin, "DiagnosticReport", _id="1,3", code="24627-2") == ["1"]
    assert await found(admin, "DiagnosticReport", _id="1", status="amended") == []


async def test_a_task_is_found_by_focus_owner_person_and_state(admin: httpx.AsyncClient, store: Store) -> None:
    task = {
        "resourceType": "Task",
        "id": "t",
        "status": "requested",
        "intent": "order",
        "businessStatus": {"coding": [{"system": "urn:hutong:request-state", "code": "waiting"}]},
        "focus": {"reference": "ServiceRequest/order-1"},
        "for": {"reference": "Patient/p"},
        "owner": {"reference": "Organization/centre"},
    }
    await store(task)
    for name, value in {
        "focus": "ServiceRequest/order-1",
        "owner": "centre",
        "patient": "p",
        "status": "requested",
        "business-status": "urn:hutong:request-state|waiting",
    }.items():
        assert await found(admin, "Task", **{name: value}) == ["t"], name
    assert await found(admin, "Task", status="completed") == []


async def test_a_study_is_found_by_its_bare_uid_and_its_accession(admin: httpx.AsyncClient, store: Store) -> None:
    await store(
        {
            "resourceType": "ImagingStudy",
            "id": "s",
            "status": "available",
            "identifier": [
                {"system": "urn:dicom:uid", "value": "urn:oid:1.2.840.99.1"},
                {"system": "urn:hutong:facility:baishi:accession", "value": "BS2603020001"},
            ],
            "modality": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "DX"}],
            "subject": {"reference": "Patient/p"},
            "basedOn": [{"reference": "ServiceRequest/o"}],
        }
    )
    for parameters in (
        {"identifier": "urn:dicom:uid|urn:oid:1.2.840.99.1"},
        {"identifier": "1.2.840.99.1"},
        {"identifier": "BS2603020001"},
        {"modality": "DX"},
        {"basedon": "ServiceRequest/o"},
    ):
        assert await found(admin, "ImagingStudy", **parameters) == ["s"], parameters


async def test_pages_follow_each_other_without_a_gap_or_a_repeat(admin: httpx.AsyncClient, store: Store) -> None:
    same_moment = NOW - timedelta(days=400)
    for number in range(7):
        await store(report(f"r{number}", "p"), at=same_moment)
    await store(*(report(f"s{number}", "p") for number in range(4)))
    path: str | None = "http://hub.test/fhir/DiagnosticReport?patient=p&_count=3&_total=accurate"
    pages: list[list[str]] = []
    while path is not None:
        bundle = (await admin.get(path)).json()
        Bundle.model_validate(bundle)
        assert bundle["total"] == 11
        pages.append([entry["resource"]["id"] for entry in bundle["entry"]])
        path = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
    assert pages == [["s3", "s2", "s1"], ["s0", "r0", "r1"], ["r2", "r3", "r4"], ["r5", "r6"]]


async def test_counting_gives_the_number_and_nothing_else(admin: httpx.AsyncClient, store: Store) -> None:
    await store(*(report(str(number), "p") for number in range(3)), report("x", "q"))
    for parameters in ({"_summary": "count"}, {"_count": "0"}):
        bundle = (await admin.get("/fhir/DiagnosticReport", params={"patient": "p", **parameters})).json()
        Bundle.model_validate(bundle)
        assert bundle["total"] == 3
        assert "entry" not in bundle


async def test_a_total_is_given_when_asked_for_or_known_anyway(admin: httpx.AsyncClient, store: Store) -> None:
    await store(*(report(str(number), "p") for number in range(3)))
    partly = (await admin.get("/fhir/DiagnosticReport?_count=2")).json()
    assert "total" not in partly
    assert (await admin.get("/fhir/DiagnosticReport?_count=2&_total=accurate")).json()["total"] == 3
    assert (await admin.get("/fhir/DiagnosticReport")).json()["total"] == 3


async def test_last_updated_bounds_take_days_and_moments(admin: httpx.AsyncClient, store: Store) -> None:
    await store(report("old", "p"), at=NOW - timedelta(days=10))
    await store(report("new", "p"), at=NOW)
    assert await found(admin, "DiagnosticReport", _lastUpdated="ge2026-03-02") == ["new"]
    assert await found(admin, "DiagnosticReport", _lastUpdated="lt2026-03-02") == ["old"]
    assert await found(admin, "DiagnosticReport", _lastUpdated="gt2026-03-02") == []
    assert await found(admin, "DiagnosticReport", _lastUpdated="ge2026-03-02T16:30:00+08:00") == ["new"]
    assert await found(admin, "DiagnosticReport", _lastUpdated="gt2026-03-02T08:30:00Z") == []


async def test_post_search_is_the_same_search(admin: httpx.AsyncClient, store: Store) -> None:
    await store(patient("1"), patient("2"))
    answer = await admin.post("/fhir/Patient/_search", data={"identifier": "MRN-1"})
    assert [entry["resource"]["id"] for entry in answer.json()["entry"]] == ["1"]
    assert (await admin.post("/fhir/Patient/_search", json={"identifier": "MRN-1"})).status_code == 400
    assert (await admin.post("/fhir/Patient/_search", data={"identifier": "x" * 70_000})).status_code == 413


REFUSED = (
    ("nonsense=1", "unknown-parameter"),
    ("identifier:contains=1", "unsupported-parameter"),
    ("identifier=urn:x|", "unsupported-parameter"),
    ("identifier=a|b|c", "bad-parameter"),
    ("identifier=,", "bad-parameter"),
    ("identifier=a%00b", "bad-parameter"),
    ("%00=a", "bad-parameter"),
    ("identifier=%FF%FE", "bad-parameter"),
    ("birthdate=1980-13-01", "bad-parameter"),
    ("birthdate=yesterday", "bad-parameter"),
    ("birthdate=ge1980", "unsupported-parameter"),
    ("_lastUpdated=2026-01-01", "bad-parameter"),
    ("_lastUpdated=ge2026-02-30", "bad-parameter"),
    ("_lastUpdated=ge9999-12-31T23:59:59-14:00", "bad-parameter"),
    ("_lastUpdated=ge0001-01-01", "bad-parameter"),
    ("_count=many", "bad-parameter"),
    ("_count=-1", "bad-parameter"),
    ("_count=" + "9" * 6000, "bad-parameter"),
    ("_summary=text", "unsupported-parameter"),
    ("_total=perhaps", "bad-parameter"),
    ("_sort=name", "unsupported-parameter"),
    ("_format=xml", "unsupported-parameter"),
    ("_cursor=nonsense", "bad-parameter"),
    ("_cursor=OTk5OTk5OTk5OTk5OTk5OTk5LmE", "bad-parameter"),
    ("_include=Patient:organization", "unknown-parameter"),
    ("&".join(f"identifier={n}" for n in range(100)), "bad-parameter"),
    ("identifier=" + ",".join(str(n) for n in range(1000)), "bad-parameter"),
    ("name=%20", "bad-parameter"),
)


async def test_what_cannot_be_searched_is_refused_with_its_parameter(admin: httpx.AsyncClient) -> None:
    for query, code in REFUSED:
        answer = await admin.get(f"/fhir/Patient?{query}")
        assert answer.status_code == 400, query
        OperationOutcome.model_validate(answer.json())
        assert answer.json()["issue"][0]["details"]["text"] == code, query


HOSTILE = (
    "'; drop table resource; --",
    "{a,b}",
    '"',
    "\\",
    "%",
    "_" * 8000,
    "\x1f",
    "🩻",
    "a|' or 1=1",
    "\u202e",
    "\ud7ff",
)


async def test_hostile_values_find_nothing_and_break_nothing(admin: httpx.AsyncClient, store: Store) -> None:
    await store(patient("1"))
    for value in HOSTILE:
        assert await found(admin, "Patient", identifier=value) == [], value
        assert await found(admin, "Patient", _id=value) == [], value
    assert await found(admin, "Patient", identifier="MRN-1") == ["1"]


async def test_an_identifier_too_long_for_an_index_is_still_found(admin: httpx.AsyncClient, store: Store) -> None:
    long = "9" * 5000
    person = patient("1") | {"identifier": [{"system": "urn:x", "value": long}]}
    await store(person)
    assert await found(admin, "Patient", identifier=long) == ["1"]
    assert await found(admin, "Patient", identifier=f"urn:x|{long}") == ["1"]
    assert await found(admin, "Patient", identifier="9" * 4999) == []


async def test_a_huge_count_is_brought_down_and_a_lenient_caller_is_indulged(
    admin: httpx.AsyncClient, store: Store
) -> None:
    await store(patient("1"))
    assert await found(admin, "Patient", _count="999999999999") == ["1"]
    answer = await admin.get("/fhir/Patient?nonsense=1", headers={"Prefer": "handling=lenient"})
    assert answer.status_code == 200
    assert "nonsense" not in answer.json()["link"][0]["url"]


async def test_a_search_leaves_an_audit_row_for_each_person_told_of_and_no_value(
    admin: httpx.AsyncClient, store: Store, pool: asyncpg.Pool
) -> None:
    await store(patient("1", "单", "雅芳"), patient("2"), report("r", "p"))
    await admin.get("/fhir/Patient", params={"identifier": "MRN-1,MRN-2"})
    await admin.get("/fhir/DiagnosticReport", params={"status": "final"})
    await admin.get("/fhir/Patient", params={"name": "单雅芳", "birthdate": "1950"})
    rows = await pool.fetch("select action, subject, detail from audit order by id")
    assert [(row["action"], row["subject"]) for row in rows] == [
        ("search", "Patient/2"),
        ("search", "Patient/1"),
        ("search", "Patient/p"),
        ("search", "Patient"),
    ]
    assert not any("MRN" in row["detail"] or "单" in row["detail"] or "1950" in row["detail"] for row in rows)
