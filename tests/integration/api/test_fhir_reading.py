"""A resource is read as it is, as it was, and with every digit it came with."""

from __future__ import annotations

import asyncpg
import httpx
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.operationoutcome import OperationOutcome

from tests.integration.api.conftest import Store

PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "meta": {"profile": ["http://example.org/p"]},
    "name": [{"text": "测试甲"}],
}
GLUCOSE = (
    '{"resourceType":"Observation","id":"o1","status":"final","code":{"text":"葡萄糖"},'
    '"subject":{"reference":"Patient/p1"},'
    '"valueQuantity":{"value":5.10,"unit":"mmol/L"},"referenceRange":[{"low":{"value":3.900},"high":{"value":1E+2}}]}'
)


async def test_a_read_gives_the_current_version_with_its_meta_and_headers(
    admin: httpx.AsyncClient, store: Store
) -> None:
    await store(PATIENT, PATIENT | {"gender": "female"})
    answer = await admin.get("/fhir/Patient/p1")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/fhir+json"
    assert answer.headers["etag"] == 'W/"2"'
    assert answer.headers["last-modified"].endswith(" GMT")
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body["gender"] == "female"
    assert body["meta"]["versionId"] == "2"
    assert body["meta"]["profile"] == ["http://example.org/p"]
    assert list(body)[:2] == ["resourceType", "id"]


async def test_decimals_keep_their_digits_on_every_way_out(admin: httpx.AsyncClient, store: Store) -> None:
    await store(GLUCOSE, GLUCOSE)
    for path in (
        "/fhir/Observation/o1",
        "/fhir/Observation/o1/_history/1",
        "/fhir/Observation/o1/_history",
        "/fhir/Observation?_id=o1",
    ):
        text = (await admin.get(path)).text.replace(" ", "")
        assert '"value":5.10,' in text or '"value":5.10}' in text, path
        assert "3.900" in text, path


async def test_a_superseded_version_is_still_read(admin: httpx.AsyncClient, store: Store) -> None:
    await store(PATIENT, PATIENT | {"gender": "female"}, PATIENT | {"gender": "male"})
    versions = [(await admin.get(f"/fhir/Patient/p1/_history/{n}")) for n in (1, 2, 3)]
    assert [v.json().get("gender") for v in versions] == [None, "female", "male"]
    assert [v.headers["etag"] for v in versions] == ['W/"1"', 'W/"2"', 'W/"3"']
    for absent in ("0", "4", "99999999999999999999", "x", "-1"):
        assert (await admin.get(f"/fhir/Patient/p1/_history/{absent}")).status_code == 404


async def test_a_history_is_a_valid_bundle_newest_first_and_paged(admin: httpx.AsyncClient, store: Store) -> None:
    await store(*(PATIENT | {"gender": gender} for gender in ("male", "female", "other")))
    bundle = (await admin.get("/fhir/Patient/p1/_history", params={"_count": "2"})).json()
    Bundle.model_validate(bundle)
    assert bundle["total"] == 3
    assert [entry["resource"]["meta"]["versionId"] for entry in bundle["entry"]] == ["3", "2"]
    following = next(link["url"] for link in bundle["link"] if link["relation"] == "next")
    rest = (await admin.get(following)).json()
    assert [entry["resource"]["meta"]["versionId"] for entry in rest["entry"]] == ["1"]
    assert "next" not in [link["relation"] for link in rest["link"]]


async def test_a_caller_that_has_the_version_is_not_sent_it_again(admin: httpx.AsyncClient, store: Store) -> None:
    await store(PATIENT)
    assert (await admin.get("/fhir/Patient/p1", headers={"If-None-Match": 'W/"1"'})).status_code == 304
    assert (await admin.get("/fhir/Patient/p1", headers={"If-None-Match": 'W/"0"'})).status_code == 200


async def test_what_is_not_there_is_told_by_an_operation_outcome(admin: httpx.AsyncClient) -> None:
    for path in (
        "/fhir/Patient/none",
        "/fhir/Patient/" + "x" * 5000,
        "/fhir/Patient/a%00b",
        "/fhir/Patient/%27%3B%20drop%20table%20resource%3B--",
        "/fhir/Basic/m1",
        "/fhir/Basic",
        "/fhir/Patient/none/_history",
        "/fhir/Patient/p1/unknown/deep/path",
        "/fhir",
    ):
        answer = await admin.get(path)
        assert answer.status_code == 404, path
        assert answer.headers["content-type"] == "application/fhir+json"
        OperationOutcome.model_validate(answer.json())


async def test_every_read_of_a_persons_data_leaves_an_audit_row(
    admin: httpx.AsyncClient, store: Store, pool: asyncpg.Pool
) -> None:
    organization = {"resourceType": "Organization", "id": "org", "name": "白石乡卫生院"}
    await store(PATIENT, GLUCOSE, organization)
    await admin.get("/fhir/Observation/o1")
    await admin.get("/fhir/Patient/p1/_history")
    await admin.get("/fhir/Organization/org")
    rows = await pool.fetch("select actor, action, subject from audit order by id")
    assert [tuple(row) for row in rows] == [
        ("Administrator", "read", "Patient/p1"),
        ("Administrator", "history", "Patient/p1"),
    ]
