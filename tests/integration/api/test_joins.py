"""A person looks at who was joined, links two patients, and undoes it."""

from __future__ import annotations

import asyncpg
import httpx
import pytest

from engine.identity import golden_id
from tests.integration.api.conftest import Store

WHY = {"reason": "asked the patient"}


@pytest.fixture
async def two_patients(store: Store, pool: asyncpg.Pool) -> None:
    for source in ("p1", "p2"):
        await store({"resourceType": "Patient", "id": source, "gender": "female"})
        await pool.execute(
            "insert into patient_link (source, golden, home, reasons, linked_at) values ($1, $2, $2, '[]', now())",
            source,
            golden_id(source),
        )


async def test_two_patients_are_linked_and_parted_again(
    two_patients: None, admin: httpx.AsyncClient, pool: asyncpg.Pool
) -> None:
    said = await admin.post("/api/patients/joins", json={"joined": "p2", "to": "p1", **WHY})
    assert (said.status_code, said.json()["kind"]) == (200, "link")
    assert await pool.fetchval("select count(distinct golden) from patient_link") == 1
    listed = await admin.get("/api/patients/p1/joins")
    assert [(one["joined"], one["to"], one["undone_by"]) for one in listed.json()] == [("p2", "p1", None)]
    again = await admin.post("/api/patients/joins", json={"joined": "p2", "to": "p1", **WHY})
    assert again.status_code == 409

    number = said.json()["number"]
    undone = await admin.post(f"/api/patients/joins/{number}/undo", json=WHY)
    assert (undone.status_code, undone.json()["undone_why"]) == (200, WHY["reason"])
    assert await pool.fetchval("select count(distinct golden) from patient_link") == 2
    assert (await admin.post(f"/api/patients/joins/{number}/undo", json=WHY)).status_code == 409
    acts = await pool.fetch("select action from audit where subject like 'Patient/%' order by id")
    assert [row["action"] for row in acts] == ["link-patients", "read-joins", "undo-link"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/patients/joins/7/undo", WHY, 404),
        ("/api/patients/joins/7/undo", {}, 422),
        ("/api/patients/joins/0/undo", WHY, 422),
        ("/api/patients/joins/99999999999999999999/undo", WHY, 422),
        ("/api/patients/joins", {"joined": "p1", "to": "p9", **WHY}, 404),
        ("/api/patients/joins", {"joined": "p1", "to": "p1", **WHY}, 409),
        ("/api/patients/joins", {"joined": "p1' or 1=1", "to": "p1", **WHY}, 422),
    ],
)
async def test_what_cannot_be_done_is_refused(
    two_patients: None, admin: httpx.AsyncClient, path: str, body: dict[str, str], status: int
) -> None:
    assert (await admin.post(path, json=body)).status_code == status


async def test_a_reader_may_not_join_patients(two_patients: None, reader: httpx.AsyncClient) -> None:
    assert (await reader.get("/api/patients/p1/joins")).status_code == 403
    assert (await reader.post("/api/patients/joins", json={"joined": "p2", "to": "p1", **WHY})).status_code == 403


async def test_nobody_knows_of_joins_of_an_unknown_patient(admin: httpx.AsyncClient) -> None:
    assert (await admin.get("/api/patients/p1/joins")).status_code == 404
