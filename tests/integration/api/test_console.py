"""Hospital IT follows a word from the bytes that came in to the proof of what went out, and settles what is left."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from engine.envelope import EnvelopeIds
from engine.identifiers import lane
from tests.integration.api.conftest import NOW, Store

IDS = EnvelopeIds(Random(7).getrandbits)
ACK = b"MSH|^~\\&|HUTONG|H|HIS|BS|20260302||ACK^O01^ACK|A1|P|2.5.1\rMSA|AA|C1\r"
ORDER = {
    "resourceType": "ServiceRequest",
    "id": "order-1",
    "status": "active",
    "identifier": [
        {"system": "urn:hutong:facility:baishi:order", "value": "PL-77"},
        {"system": "urn:hutong:facility:baishi:accession", "value": "BS260302001"},
    ],
    "subject": {"reference": "Patient/p1"},
}
PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "identifier": [{"system": "urn:hutong:facility:baishi:patient", "value": "MRN-1"}],
}
TASK = {
    "resourceType": "Task",
    "id": "task-1",
    "status": "completed",
    "focus": {"reference": "ServiceRequest/order-1"},
    "basedOn": [{"reference": "ServiceRequest/order-1"}],
    "for": {"reference": "Patient/p1"},
}
STUDY_UID = "1.2.156.99.3.1"
STUDY = {
    "resourceType": "ImagingStudy",
    "id": "study-1",
    "status": "available",
    "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{STUDY_UID}"}],
    "basedOn": [{"reference": "ServiceRequest/order-1"}],
    "subject": {"reference": "Patient/p1"},
}


@dataclass
class Journal:
    """Writes what intake, pipeline and delivery leave behind, minute by minute."""

    pool: asyncpg.Pool
    at: datetime = field(default=NOW - timedelta(hours=2))

    async def envelope(
        self,
        payload: bytes,
        *,
        control_id: str,
        state: str,
        resources: Sequence[str] = (),
        lanes: Sequence[str] = (),
        kind: str = "hl7v2",
        acknowledgment: bytes = ACK,
    ) -> UUID:
        self.at += timedelta(minutes=1)
        number = IDS.next(self.at)
        await self.pool.execute(
            "insert into journal values ($1, $2, 'baishi-his', 'baishi', '10.0.0.9', $3, 'ORM^O01', $4, $5, $6, $7)",
            number,
            kind,
            self.at,
            control_id,
            sha256(payload).digest(),
            payload,
            acknowledgment,
        )
        if state in ("accepted", "held"):
            await self.pool.execute(
                "insert into inbox (envelope, place, state, lanes) values ($1, $1, $2, $3)", number, state, list(lanes)
            )
            await self.pool.executemany(
                "insert into lane (key, envelope, place) values ($1, $2, $2)", [(key, number) for key in lanes]
            )
        else:
            await self.pool.execute(
                "insert into outcome (envelope, state, finished_at, mapping, resources, unmapped) "
                "values ($1, $2, $3, 'ORM_O01@1+ab12cd', $4, '{PID-31}')",
                number,
                state,
                self.at,
                json.dumps(list(resources)),
            )
        return number

    async def finding(self, code: str, severity: str, envelope: UUID | None = None, about: str | None = None) -> UUID:
        self.at += timedelta(minutes=1)
        number: UUID = await self.pool.fetchval(
            """
            insert into finding (id, code, severity, text, location, channel, envelope, about, found_at)
            values (gen_random_uuid(), $1, $2, 'A rule could not be applied.', 'PID-7', 'baishi-his', $3, $4, $5)
            returning id
            """,
            code,
            severity,
            envelope,
            about,
            self.at,
        )
        return number

    async def delivery(self, about: str, state: str, receipt: bytes | None = None) -> UUID:
        self.at += timedelta(minutes=1)
        number = IDS.next(self.at)
        await self.pool.execute(
            """
            insert into delivery (id, endpoint, control_id, payload, state, attempts, created_at, about, route,
                                  last_error, receipt, delivered_at, next_attempt_at)
            values ($1::uuid, 'baishi-his', 'OUT-' || $1::uuid::text, 'MSH|', $2, 2, $3, $4, 'back', $5, $6, $7, $3)
            """,
            number,
            state,
            self.at,
            about,
            None if receipt else "refused-connection",
            receipt,
            self.at if receipt else None,
        )
        await self.pool.executemany(
            "insert into delivery_attempt values ($1, $2, $3, $4)",
            [
                (number, self.at, "refused-connection", "nobody listens"),
                (number, self.at + timedelta(seconds=1), "delivered" if receipt else "ack-mismatch", ""),
            ],
        )
        return number


@pytest.fixture
def journal(pool: asyncpg.Pool) -> Journal:
    return Journal(pool)


GB18030 = "MSH|^~\\&|HIS|BS|H|H|20260302||ORM^O01|C1|P|2.4||||||GB18030\rPID|1||MRN-1||单^雅芳\r".encode("gb18030")


@dataclass
class Examination:
    order: UUID
    study: UUID
    delivery: UUID


@pytest.fixture
async def examination(journal: Journal, store: Store, pool: asyncpg.Pool) -> Examination:
    """An order, its study and the report that went back, of one patient."""
    written = ["Patient/p1@1", "ServiceRequest/order-1@1"]
    order = await journal.envelope(GB18030, control_id="C1", state="processed", resources=written)
    await store(PATIENT, ORDER, envelope=order, at=journal.at)
    study = await journal.envelope(
        b'{"study_uid": "x"}',
        control_id=STUDY_UID,
        state="processed",
        resources=["ImagingStudy/study-1@1"],
        kind="dicom-study",
        acknowledgment=b"",
    )
    await store(STUDY, envelope=study, at=journal.at)
    await store(TASK)
    delivery = await journal.delivery("Task/task-1", "delivered", ACK)
    await pool.execute(
        """
        insert into worklist values ('order-1', 'baishi', 'BS260302001', $1, 'MRN-1', '', '单雅芳', 'Shan Yafang', null,
                                     'F', 'DX', '', 'XR-CHEST', '胸部正位', 'CHEST', '', 'PL-77', $2, 'performed')
        """,
        STUDY_UID,
        NOW,
    )
    await pool.execute("insert into study values ($1, 'baishi', 'imaging', 'DR_BAISHI', $2, $2, 1, 1)", STUDY_UID, NOW)
    return Examination(order, study, delivery)


async def traced(client: httpx.AsyncClient, word: str) -> dict[str, Any]:
    answer = await client.get("/api/trace", params={"word": word})
    assert answer.status_code == 200, answer.text
    trace: dict[str, Any] = answer.json()
    return trace


@pytest.mark.parametrize(
    "word",
    ["C1", "BS260302001", "PL-77", "urn:hutong:facility:baishi:order|PL-77", STUDY_UID, "order-1", "Task/task-1"],
)
async def test_any_number_of_an_examination_tells_the_whole_of_it(
    admin: httpx.AsyncClient, examination: Examination, word: str
) -> None:
    trace = await traced(admin, word)
    assert [envelope["id"] for envelope in trace["envelopes"]] == [str(examination.order), str(examination.study)]
    assert {"ServiceRequest/order-1", "ImagingStudy/study-1", "Task/task-1"} <= {
        resource["reference"] for resource in trace["resources"]
    }
    assert [delivery["id"] for delivery in trace["deliveries"]] == [str(examination.delivery)]
    assert [step["accession"] for step in trace["worklist"]] == ["BS260302001"]
    assert [study["uid"] for study in trace["studies"]] == [STUDY_UID]
    assert not trace["more"]


async def test_a_patients_number_leads_to_everything_of_every_linked_identity(
    admin: httpx.AsyncClient, examination: Examination, store: Store, journal: Journal, pool: asyncpg.Pool
) -> None:
    elsewhere = await journal.envelope(b"MSH|^~\\&|\r", control_id="Z9", state="processed")
    other = {"resourceType": "Patient", "id": "p2"}
    report = {
        "resourceType": "DiagnosticReport",
        "id": "r2",
        "status": "final",
        "subject": {"reference": "Patient/p2"},
    }
    await store(other, report, envelope=elsewhere)
    assert str(elsewhere) not in json.dumps(await traced(admin, "MRN-1"))
    await pool.executemany(
        "insert into patient_link (source, golden, home, reasons, linked_at) values ($1, 'g', 'g', '[]', $2)",
        [("p1", NOW), ("p2", NOW)],
    )
    trace = await traced(admin, "MRN-1")
    assert {envelope["id"] for envelope in trace["envelopes"]} == {
        str(examination.order),
        str(examination.study),
        str(elsewhere),
    }
    assert "DiagnosticReport/r2" in [resource["reference"] for resource in trace["resources"]]
    rows = await pool.fetch("select subject from audit where action = 'trace'")
    assert {"Patient/p1", "Patient/p2"} <= {row["subject"] for row in rows}


async def test_the_walk_of_an_envelope_is_told_step_by_step(admin: httpx.AsyncClient, examination: Examination) -> None:
    order = (await traced(admin, "C1"))["envelopes"][0]
    assert [(step["step"], step["state"]) for step in order["steps"]] == [
        ("received", "done"),
        ("persisted", "done"),
        ("acknowledged", "done"),
        ("mapped", "done"),
        ("recorded", "done"),
    ]
    assert order["acknowledgment"] == "AA"
    assert order["state"] == "processed"
    assert order["mapping"] == "ORM_O01@1+ab12cd"
    assert order["unmapped"] == ["PID-31"]
    assert order["facility_name"] == "白石乡卫生院"
    assert order["resources"] == [
        {"reference": "Patient/p1", "version": 1},
        {"reference": "ServiceRequest/order-1", "version": 1},
    ]
    assert order["payload"] == {"text": GB18030.decode("gb18030"), "charset": "gb18030", "doubtful": False}
    assert order["sha256"] == sha256(GB18030).hexdigest()


async def test_a_delivery_is_told_with_its_attempts_and_its_proof(
    admin: httpx.AsyncClient, reader: httpx.AsyncClient, examination: Examination
) -> None:
    delivery = (await traced(admin, "Task/task-1"))["deliveries"][0]
    assert [attempt["outcome"] for attempt in delivery["latest_attempts"]] == ["refused-connection", "delivered"]
    assert delivery["receipt"] == {"code": "AA", "control_id": "C1", "text": ACK.decode()}
    by_control_id = await traced(admin, f"OUT-{examination.delivery}")
    assert [d["id"] for d in by_control_id["deliveries"]] == [str(examination.delivery)]
    listed = (await reader.get("/api/deliveries", params={"state": "delivered"})).json()["deliveries"]
    assert listed[0]["receipt"] == {"code": "AA", "control_id": "C1", "text": None}
    assert (await reader.get("/api/deliveries", params={"state": "owed"})).json() == {"deliveries": [], "next": None}


async def test_a_held_envelope_says_what_holds_it_and_who_waits(
    admin: httpx.AsyncClient, journal: Journal, pool: asyncpg.Pool
) -> None:
    lanes = [lane("baishi", "MRN-5")]
    held = await journal.envelope(b"MSH|^~\\&|H1\r", control_id="H1", state="held", lanes=lanes)
    behind = await journal.envelope(b"MSH|^~\\&|H2\r", control_id="H2", state="accepted", lanes=lanes)
    await journal.finding("mapping-failed", "error", held)
    trace = await traced(admin, "MRN-5")
    first, second = trace["envelopes"]
    assert (first["id"], first["state"], first["waiting_behind"]) == (str(held), "held", 1)
    assert first["steps"][-1]["state"] == "stopped"
    assert "mapping-failed" in first["steps"][-1]["note"]
    assert [finding["code"] for finding in first["findings"]] == ["mapping-failed"]
    assert (second["id"], second["state"], second["waits_for"]) == (str(behind), "accepted", [str(held)])
    assert second["steps"][-1]["state"] == "waiting"


async def test_only_integrators_and_administrators_read_payloads_and_it_is_written_down(
    admin: httpx.AsyncClient, reader: httpx.AsyncClient, examination: Examination, pool: asyncpg.Pool
) -> None:
    assert (await traced(reader, "C1"))["envelopes"][0]["payload"] is None
    path = f"/api/envelopes/{examination.order}/payload"
    assert (await reader.get(path)).status_code == 403
    assert (await reader.get(f"/api/envelopes/{examination.order}")).json()["payload"] is None
    assert not await pool.fetchval("select count(*) from audit where action = 'read-payload'")
    answer = await admin.get(path)
    assert answer.content == GB18030
    assert answer.headers["content-type"] == "application/octet-stream"
    rows = await pool.fetch("select actor, subject from audit where action = 'read-payload'")
    assert [tuple(row) for row in rows] == [("Administrator", f"Envelope/{examination.order}")]
    assert (await admin.get(f"/api/envelopes/{IDS.next(NOW)}/payload")).status_code == 404
    assert (await admin.get(f"/api/envelopes/{IDS.next(NOW)}")).status_code == 404


async def test_a_word_that_leads_nowhere_is_answered_with_empty_lists(
    admin: httpx.AsyncClient, examination: Examination
) -> None:
    lists = ("envelopes", "resources", "deliveries", "findings", "worklist", "studies")
    for word in ("nobody", "x" * 400, "'; --", "a|b|c", "/", "Patient/", "\\", "%", "张三"):
        trace = await traced(admin, word)
        assert not any(trace[part] for part in lists), word


async def test_words_that_cannot_be_traced_are_refused(admin: httpx.AsyncClient) -> None:
    for word, status in {"": 422, "x" * 401: 422, "  ": 400, "a\x00b": 400, "a\nb": 400}.items():
        assert (await admin.get("/api/trace", params={"word": word})).status_code == status, repr(word)


async def test_findings_are_listed_by_page_and_settled_once(
    reader: httpx.AsyncClient, journal: Journal, pool: asyncpg.Pool
) -> None:
    numbers = [await journal.finding("charset-doubtful", "warning", about=f"ImagingStudy/{n}") for n in range(5)]
    first = (await reader.get("/api/findings", params={"limit": 2})).json()
    assert first["open"] == {"charset-doubtful": 5}
    second = (await reader.get("/api/findings", params={"limit": 2, "after": first["next"]})).json()
    third = (await reader.get("/api/findings", params={"limit": 2, "after": second["next"]})).json()
    told = [f["id"] for page in (first, second, third) for f in page["findings"]]
    assert told == [str(number) for number in reversed(numbers)]
    assert third["next"] is None

    settled = await reader.post(f"/api/findings/{numbers[0]}/settle", json={"settlement": "按白石乡的设置更正"})
    assert settled.json()["settled_by"] == "wang"
    again = await reader.post(f"/api/findings/{numbers[0]}/settle", json={"settlement": "再来"})
    assert (again.status_code, again.json()["code"]) == (409, "already-settled")
    missing = await reader.post(f"/api/findings/{IDS.next(NOW)}/settle", json={"settlement": "x"})
    assert missing.status_code == 404
    assert (await reader.get("/api/findings")).json()["open"] == {"charset-doubtful": 4}
    listed = (await reader.get("/api/findings", params={"state": "settled"})).json()["findings"]
    assert [finding["settlement"] for finding in listed] == ["按白石乡的设置更正"]
    assert await pool.fetchval("select count(*) from audit where action = 'settle-finding'") == 1


async def test_console_lists_refuse_what_they_cannot_read(admin: httpx.AsyncClient) -> None:
    for path in (
        "/api/findings?state=all",
        "/api/findings?limit=0",
        "/api/findings?limit=100000",
        "/api/findings?after=x",
        "/api/findings?after=2026-01-01T00:00:00~00000000-0000-0000-0000-000000000000",
        "/api/findings?after=%00",
        "/api/findings?code=%00",
        "/api/deliveries?state=lost",
        "/api/deliveries?after=x",
        "/api/deliveries?endpoint=%27%3B",
        "/api/envelopes/x",
        "/api/envelopes/x/payload",
    ):
        answer = await admin.get(path)
        assert answer.status_code in (400, 422), path
        assert answer.headers["content-type"] == "application/problem+json"


async def test_the_api_describes_itself(admin: httpx.AsyncClient) -> None:
    description = (await admin.get("/api/openapi.json")).json()
    assert {"/api/trace", "/api/findings", "/api/deliveries", "/api/me"} <= set(description["paths"])
    assert "EnvelopeWalk" in description["components"]["schemas"]
