"""What tests of the reading room start from: the example county, its people's tokens, and examinations that wait."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

import mappings
from engine import centres, config
from engine.api.app import create_app
from engine.api.reading import routers
from engine.api.services import Services
from engine.identifiers import DICOM_UID, ID_CARD, facility_system, resource_id
from engine.mapping import MappingSet
from engine.store import access, people, records
from engine.store.people import Link
from engine.store.records import Change
from engine.studies import MODALITY
from tests.integration.reading.browsing import address, browser, pictures, sign_in

__all__ = ["address", "browser", "pictures", "sign_in"]

EXAMPLE = Path(__file__).parents[3] / "docker" / "example"
NOW = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
CARD = "330102199003078812"

Resource = dict[str, Any]
_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"


@pytest.fixture(scope="session")
def community() -> config.Community:
    return config.load(EXAMPLE)


@pytest.fixture(scope="session")
def mapping_set(community: config.Community) -> MappingSet:
    return MappingSet.load(Path(mappings.__file__).parent, list(community.facilities))


@pytest.fixture
def services(pool: asyncpg.Pool, community: config.Community, mapping_set: MappingSet) -> Services:
    return Services(pool=pool, config=community, clock=lambda: NOW, mapping_set=mapping_set)


@pytest.fixture
def app(services: Services) -> FastAPI:
    return create_app(services, routers)


@pytest.fixture
def token_of(pool: asyncpg.Pool) -> Callable[[str], Awaitable[str]]:
    async def issued(user_name: str) -> str:
        async with pool.acquire() as connection:
            return await access.issue(connection, user_name, NOW)

    return issued


@pytest.fixture
async def client_of(
    app: FastAPI, token_of: Callable[[str], Awaitable[str]]
) -> AsyncIterator[Callable[[str], Awaitable[httpx.AsyncClient]]]:
    """Clients with the tokens of users: `wang = await client_of("wang")`."""
    async with AsyncExitStack() as stack:

        async def client(user: str) -> httpx.AsyncClient:
            return await stack.enter_async_context(
                httpx.AsyncClient(
                    transport=httpx.ASGITransport(app=app, raise_app_exceptions=False),
                    base_url="http://hub.test",
                    headers={"Authorization": f"Bearer {await token_of(user)}"},
                )
            )

        yield client


@dataclass(frozen=True)
class Examination:
    """An order of a township health centre, and its study once it was made."""

    placer: str = "BS26030001"
    facility: str = "baishi"
    patient: str = "BS0001"
    name: str = "赵小燕"
    card: str = CARD
    priority: str = "routine"
    modality: str = "DX"
    code: str = "BS-DR-01"
    item: str = "CHEST-XR"
    procedure: str = "胸部正位DR"
    centre: str = "county-imaging"
    examined_at: datetime = NOW - timedelta(minutes=20)
    with_study: bool = True
    extra: Resource = field(default_factory=dict)

    @property
    def patient_id(self) -> str:
        return resource_id("Patient", self.facility, "", self.patient)

    @property
    def order_id(self) -> str:
        return resource_id("ServiceRequest", self.facility, self.placer)

    @property
    def study_uid(self) -> str:
        return f"2.25.{int(self.placer[2:])}"

    @property
    def request(self) -> str:
        return resource_id("Task", self.centre, self.order_id)

    @property
    def report(self) -> str:
        return resource_id("DiagnosticReport", self.request)

    def patient_resource(self) -> Resource:
        return {
            "resourceType": "Patient",
            "id": self.patient_id,
            "identifier": [
                {"system": ID_CARD, "value": self.card},
                {
                    "type": {"coding": [{"system": _TYPES, "code": "MR"}]},
                    "system": facility_system(self.facility, "patient"),
                    "value": self.patient,
                },
            ],
            "name": [{"text": self.name, "family": self.name[:1], "given": [self.name[1:]]}],
            "gender": "female",
            "birthDate": "1990-03-07",
        }

    def order_resource(self) -> Resource:
        return {
            "resourceType": "ServiceRequest",
            "id": self.order_id,
            "identifier": [
                {
                    "type": {"coding": [{"system": _TYPES, "code": "PLAC"}]},
                    "system": facility_system(self.facility, "order"),
                    "value": self.placer,
                },
                {
                    "type": {"coding": [{"system": _TYPES, "code": "ACSN"}]},
                    "system": facility_system(self.facility, "accession"),
                    "value": f"A{self.placer[2:]}",
                },
                {"system": DICOM_UID, "value": f"urn:oid:{self.study_uid}"},
            ],
            "status": "active",
            "intent": "order",
            "priority": self.priority,
            "category": [{"coding": [{"system": MODALITY, "code": self.modality}]}],
            "code": {
                "text": self.procedure,
                "coding": [
                    {"system": facility_system(self.facility, "procedure"), "code": self.code},
                    {"system": "urn:hutong:recognition-item", "code": self.item},
                ],
            },
            "subject": {"reference": f"Patient/{self.patient_id}"},
            "requester": {"display": "何医生"},
            "reasonCode": [{"text": "咳嗽、发热 3 天"}],
            **self.extra,
        }

    def study_resource(self) -> Resource:
        return {
            "resourceType": "ImagingStudy",
            "id": resource_id("ImagingStudy", self.facility, self.study_uid),
            "identifier": [{"system": DICOM_UID, "value": f"urn:oid:{self.study_uid}"}],
            "status": "available",
            "modality": [{"system": MODALITY, "code": self.modality}],
            "subject": {"reference": f"Patient/{self.patient_id}"},
            "basedOn": [{"reference": f"ServiceRequest/{self.order_id}"}],
            "started": self.examined_at.isoformat(),
            "numberOfInstances": 2,
            "series": [
                {
                    "uid": f"{self.study_uid}.1",
                    "number": 1,
                    "modality": {"system": MODALITY, "code": self.modality},
                    "description": "PA",
                    "instance": [
                        {"uid": f"{self.study_uid}.1.{n}", "number": n, "sopClass": {"code": "urn:oid:1.2.840.10008"}}
                        for n in (2, 1)
                    ],
                }
            ],
        }


Arrive = Callable[[Examination], Awaitable[str]]


@pytest.fixture
def arrive(pool: asyncpg.Pool, community: config.Community) -> Arrive:
    """Records an examination as the pipeline does, and answers with the id of its request."""

    async def arrived(examination: Examination) -> str:
        order, centre = examination.order_resource(), community.centres[examination.centre]
        study = examination.study_resource() if examination.with_study else None
        at = examination.examined_at
        task = centres.open_request(order, centre, study, at)
        resources = [examination.patient_resource(), order, task, *([study] if study else [])]
        golden = resource_id("Patient", "golden", examination.card)
        async with pool.acquire() as connection, connection.transaction():
            await records.put_many(connection, [Change(resource) for resource in resources], at)
            await people.link(connection, [Link(examination.patient_id, golden, golden, ["same card"])], at)
        return cast(str, task["id"])

    return arrived


@pytest.fixture
async def waiting(arrive: Arrive) -> str:
    """The id of a request that waits to be claimed."""
    return await arrive(Examination())


OBSERVED = "双肺纹理清晰，未见实质性病变。\n心影大小、形态正常，膈面光整。"
CONCLUSION = "心、肺、膈未见异常。"


async def written(wang: httpx.AsyncClient, request: str) -> None:
    """Claimed, written and submitted by wang."""
    for step, body in (
        ("claim", None),
        ("draft", {"observed": OBSERVED, "conclusion": CONCLUSION}),
        ("submit", None),
    ):
        answer = await wang.post(f"/api/requests/{request}/{step}", json=body)
        assert answer.status_code == 200, answer.text


async def signed(wang: httpx.AsyncClient, li: httpx.AsyncClient, request: str) -> Resource:
    """Written by wang, approved and signed by li."""
    await written(wang, request)
    approved = await li.post(f"/api/requests/{request}/review", json={"decision": "approve"})
    assert approved.status_code == 200, approved.text
    answer = await li.post(f"/api/requests/{request}/sign")
    assert answer.status_code == 200, answer.text
    return cast(Resource, answer.json())
