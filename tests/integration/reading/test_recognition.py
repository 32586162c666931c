"""A hospital asks, before it orders, whether an earlier result of another facility may stand for the order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from engine.identifiers import ID_CARD, facility_system
from tests.integration.reading.conftest import CARD, CONCLUSION, NOW, Arrive, Examination, signed, written

ClientOf = Callable[[str], Awaitable[httpx.AsyncClient]]
COUNTY = Examination(placer="XR0001", facility="qingxi-county", patient="C9")
"""The same person as the county hospital knows her."""


async def ask(client: httpx.AsyncClient, patient: str, code: str = "CHEST-XR", **more: str) -> dict[str, Any]:
    answer = await client.get("/api/recognition", params={"patient": patient, "code": code, **more})
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


@pytest.fixture
async def read_below(client_of: ClientOf, arrive: Arrive) -> Examination:
    """An examination of a township, signed at the centre; the county has registered the same person."""
    examination = Examination()
    await signed(await client_of("wang"), await client_of("li"), await arrive(examination))
    await arrive(COUNTY)
    return examination


async def test_a_signed_result_of_the_township_stands_for_the_countys_order(
    client_of: ClientOf, read_below: Examination
) -> None:
    answer = await ask(await client_of("liu"), COUNTY.patient_id)
    assert answer["recognisable"] is True
    (result,) = answer["results"]
    assert result["verdict"] == "allow"
    assert result["report"] == f"DiagnosticReport/{read_below.report}"
    assert result["study_uids"] == [read_below.study_uid]
    assert result["facility"] == {"code": "baishi", "name": "白石乡卫生院"}
    assert (result["age_days"], result["valid_days"]) == (0, 30)
    assert result["conclusion"] == CONCLUSION
    assert [reason["code"] for reason in result["reasons"]] == [
        "same-item",
        "within-validity",
        "within-community",
        "signed",
        "data-available",
    ]


@pytest.mark.parametrize(
    "patient",
    [
        COUNTY.patient_id,
        f"Patient/{COUNTY.patient_id}",
        f"{ID_CARD}|{CARD}",
        f"{facility_system('qingxi-county', 'patient')}|C9",
    ],
)
async def test_the_person_may_be_named_in_any_way(client_of: ClientOf, read_below: Examination, patient: str) -> None:
    assert (await ask(await client_of("liu"), patient))["recognisable"] is True


@pytest.mark.parametrize("code", ["CHEST-XR", "BS-DR-01"])
async def test_the_item_may_be_named_by_recognition_code_or_local_code(
    client_of: ClientOf, read_below: Examination, code: str
) -> None:
    assert (await ask(await client_of("liu"), COUNTY.patient_id, code))["recognisable"] is True


async def test_a_code_of_the_facilitys_own_means_what_its_table_says(client_of: ClientOf, arrive: Arrive) -> None:
    examination = Examination(code="BS-DR-01", item="DR-CHEST-PA")
    await signed(await client_of("wang"), await client_of("li"), await arrive(examination))
    assert (await ask(await client_of("liu"), examination.patient_id, "dr-chest"))["recognisable"] is True


async def test_an_unknown_facility_asks_nothing(client_of: ClientOf, read_below: Examination) -> None:
    liu = await client_of("liu")
    asked = {"patient": COUNTY.patient_id, "code": "CHEST-XR", "facility": "../../etc"}
    assert (await liu.get("/api/recognition", params=asked)).status_code == 404


async def test_another_item_is_not_offered(client_of: ClientOf, read_below: Examination) -> None:
    assert await ask(await client_of("liu"), COUNTY.patient_id, "HEAD-CT") == {"recognisable": False, "results": []}


async def test_the_facility_that_made_it_needs_no_recognition(client_of: ClientOf, read_below: Examination) -> None:
    assert (await ask(await client_of("he"), COUNTY.patient_id))["results"] == []
    asked_by_county = await ask(await client_of("he"), COUNTY.patient_id, facility="qingxi-county")
    assert asked_by_county["recognisable"] is True


async def test_an_expired_result_is_told_with_the_reason(client_of: ClientOf, arrive: Arrive) -> None:
    old = Examination(examined_at=NOW - timedelta(days=31))
    await signed(await client_of("wang"), await client_of("li"), await arrive(old))
    answer = await ask(await client_of("liu"), old.patient_id)
    assert answer["recognisable"] is False
    (result,) = answer["results"]
    assert [reason["code"] for reason in result["reasons"] if reason["against"]] == ["expired"]


async def test_an_unsigned_result_is_not_offered(client_of: ClientOf, arrive: Arrive) -> None:
    examination = Examination()
    await written(await client_of("wang"), await arrive(examination))
    assert (await ask(await client_of("liu"), examination.patient_id))["results"] == []


@pytest.mark.parametrize("patient", ["unknown", "Patient/unknown", f"{ID_CARD}|110101190001010000", "|"])
async def test_somebody_unknown_is_not_found(client_of: ClientOf, patient: str) -> None:
    liu = await client_of("liu")
    answer = await liu.get("/api/recognition", params={"patient": patient, "code": "CHEST-XR"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_a_control_character_is_refused_not_a_crash(client_of: ClientOf) -> None:
    answer = await (await client_of("liu")).get("/api/recognition?patient=%00&code=x")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")


async def test_asking_is_audited(client_of: ClientOf, read_below: Examination, pool: asyncpg.Pool) -> None:
    await ask(await client_of("liu"), COUNTY.patient_id)
    subjects = await pool.fetch("select subject from audit where action = 'recognise' and actor = 'liu'")
    assert f"Patient/{read_below.patient_id}" in {row["subject"] for row in subjects}
