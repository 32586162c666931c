"""A modality finds its scheduled steps with its own words, and only those of its facility."""

from __future__ import annotations

import asyncio
import os
import re
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pynetdicom import AE

from engine.store import worklist
from engine.store.worklist import Step
from pacs_gateway.gateway import Gateway
from pacs_gateway.scp import worklist as find_service
from tests.integration.gateway.conftest import Run
from tests.integration.gateway.sending import DATA_SET_MISMATCH, OUT_OF_RESOURCES, SUCCESS

PENDING = 0xFF00
WORKLIST_FIND = "1.2.840.10008.5.1.4.31"


def step(number: int, **changes: Any) -> Step:
    values: dict[str, Any] = {
        "service_request": f"sr{number}",
        "facility": "baishi",
        "accession": f"A{number:04d}",
        "study_uid": f"1.2.3.{number}",
        "patient_id": f"P{number:04d}",
        "issuer": "",
        "patient_name": "张智宏",
        "patient_name_latin": "ZHANG^ZHIHONG",
        "birth_on": date(1970, 1, 31),
        "sex": "M",
        "modality": "DX",
        "station_ae": "",
        "procedure_code": "XR-CHEST",
        "procedure_text": "胸部正位",
        "body_part": "CHEST",
        "requested_by": "王医生",
        "placer": f"O{number}",
        "scheduled_at": datetime(2026, 1, 2, 1, number, tzinfo=UTC),
        "state": "scheduled",
    }
    return Step(**(values | changes))


@pytest.fixture
async def scheduled(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        await worklist.put(
            connection,
            [
                step(1),
                step(2, patient_name="欧阳小东", patient_name_latin="OUYANG^XIAODONG", modality="CT"),
                step(
                    3,
                    patient_name="李_四%",
                    patient_name_latin="LI_SI%",
                    scheduled_at=datetime(2026, 1, 2, 16, tzinfo=UTC),
                ),
                step(4, facility="qingxi"),
                step(5, state="cancelled"),
                step(6, state="performed"),
                step(7, station_ae="CT_BAISHI", modality="CT"),
            ],
        )


def query(**keys: str) -> Dataset:
    identifier, item = Dataset(), Dataset()
    identifier.AccessionNumber = ""
    for keyword, value in keys.items():
        setattr(item if keyword.startswith("Scheduled") or keyword == "Modality" else identifier, keyword, value)
    identifier.ScheduledProcedureStepSequence = Sequence([item])
    return identifier


def find(port: int, identifier: Dataset, calling: str = "DR_BAISHI") -> list[tuple[int, Dataset | None]]:
    entity = AE(calling)
    entity.add_requested_context(WORKLIST_FIND)
    association = entity.associate("127.0.0.1", port)
    assert association.is_established
    answers = [(int(status.Status), found) for status, found in association.send_c_find(identifier, WORKLIST_FIND)]
    association.release()
    return answers


async def accessions(gateway: Gateway, calling: str = "DR_BAISHI", **keys: str) -> list[str]:
    answers = await asyncio.to_thread(find, gateway.port, query(**keys), calling)
    assert answers[-1][0] == SUCCESS
    return [str(found.AccessionNumber) for _, found in answers if found is not None]


FOUND: list[tuple[dict[str, str], list[str]]] = [
    ({}, ["A0001", "A0002", "A0003"]),
    ({"Modality": "CT"}, ["A0002"]),
    ({"PatientID": "P0001"}, ["A0001"]),
    ({"PatientID": "P00*"}, ["A0001", "A0002", "A0003"]),
    ({"AccessionNumber": "A0002"}, ["A0002"]),
    ({"AccessionNumber": "A0002", "RequestedProcedureID": "A0002"}, ["A0002"]),
    ({"AccessionNumber": "A0002", "RequestedProcedureID": "A0001"}, []),
    ({"ScheduledProcedureStepID": "A0003"}, ["A0003"]),
    ({"ScheduledPerformingPhysicianName": "*"}, ["A0001", "A0002", "A0003"]),
    ({"ScheduledPerformingPhysicianName": "WANG*"}, []),
    ({"StudyInstanceUID": "1.2.3.3"}, ["A0003"]),
    ({"PatientName": "ZHANG*"}, ["A0001"]),
    ({"PatientName": "zhang^zhihong"}, ["A0001"]),
    ({"PatientName": "zhang zhihong"}, ["A0001"]),
    ({"PatientName": "欧阳*", "SpecificCharacterSet": "ISO_IR 192"}, ["A0002"]),
    ({"PatientName": "=张智宏", "SpecificCharacterSet": "GB18030"}, ["A0001"]),
    ({"PatientName": "zhangzhihong"}, ["A0001"]),
    ({"PatientName": "ZZH"}, ["A0001"]),
    ({"PatientName": "zhangzhi"}, []),
    ({"PatientName": "欧阳^小东", "SpecificCharacterSet": "ISO_IR 192"}, ["A0002"]),
    ({"PatientName": "oyxd"}, ["A0002"]),
    ({"PatientName": "LI_SI%"}, ["A0003"]),
    ({"PatientName": "L__SI_"}, []),
    ({"PatientName": "' or 1=1 --"}, []),
    ({"ScheduledProcedureStepStartDate": "20260102"}, ["A0001", "A0002"]),
    ({"ScheduledProcedureStepStartDate": "20260103-"}, ["A0003"]),
    ({"ScheduledProcedureStepStartTime": "0902-1000"}, ["A0002"]),
    ({"ScheduledStationAETitle": "CT_BAISHI"}, ["A0001", "A0002", "A0003", "A0007"]),
    ({"ScheduledStationAETitle": "DR_BAISHI"}, ["A0001", "A0002", "A0003"]),
]


async def test_a_query_finds_what_it_describes(gateway: Gateway, scheduled: None) -> None:
    found = [(keys, sorted(await accessions(gateway, **keys))) for keys, _ in FOUND]
    assert found == FOUND


async def test_a_station_sees_only_its_own_facility(gateway: Gateway, scheduled: None) -> None:
    assert await accessions(gateway, calling="DR_QINGXI") == ["A0004"]


@pytest.mark.parametrize(
    ("label", "name"),
    [("ISO_IR 192", "ZHANG^ZHIHONG=张智宏"), ("GB18030", "ZHANG^ZHIHONG=张智宏"), ("ISO_IR 100", "ZHANG^ZHIHONG")],
)
async def test_the_name_travels_in_the_charset_that_was_asked_for(
    gateway: Gateway, scheduled: None, label: str, name: str
) -> None:
    identifier = query(SpecificCharacterSet=label, PatientName="", PatientID="P0001")
    (_, found), _ = await asyncio.to_thread(find, gateway.port, identifier)
    assert found is not None
    assert str(found.PatientName) == name


async def test_findscu_of_dcmtk_reads_the_worklist(gateway: Gateway, dcmtk: Run, scheduled: None) -> None:
    keys = (
        "SpecificCharacterSet=ISO_IR 192",
        "PatientName=张*",
        "PatientID",
        "AccessionNumber",
        "StudyInstanceUID",
        "ScheduledProcedureStepSequence[0].Modality=DX",
        "ScheduledProcedureStepSequence[0].ScheduledStationAETitle",
        "ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate",
    )
    arguments = [part for key in keys for part in ("-k", key)]
    said = await dcmtk("findscu", "-W", "-aet", "DR_BAISHI", "-aec", "HUTONG", "127.0.0.1", gateway.port, *arguments)
    assert said.code == 0, said.output
    assert "[A0001 ]" in said.output
    assert "ZHANG^ZHIHONG=张智宏" in said.output
    assert "[1.2.3.1\0]" in said.output
    assert "[DR_BAISHI ]" in said.output
    assert "A0002" not in said.output


@pytest.mark.parametrize("codec", ["gb18030", "utf-8"])
async def test_a_chinese_name_without_a_label_finds_its_step(
    gateway: Gateway, dcmtk: Run, scheduled: None, codec: str
) -> None:
    name = os.fsdecode("PatientName=张*".encode(codec))
    said = await dcmtk("findscu", "-W", "-aet", "DR_BAISHI", "127.0.0.1", gateway.port,
                       "-k", name, "-k", "AccessionNumber")  # fmt: skip
    assert said.code == 0, said.output
    assert re.findall(r"\[(A\d+)", said.output) == ["A0001"]


async def test_a_date_that_is_none_is_refused(gateway: Gateway, scheduled: None) -> None:
    answers = await asyncio.to_thread(find, gateway.port, query(ScheduledProcedureStepStartDate="heute"))
    assert [status for status, _ in answers] == [DATA_SET_MISMATCH]


async def test_more_matches_than_one_answer_holds_are_refused_and_not_cut(
    gateway: Gateway, scheduled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find_service, "MATCH_LIMIT", 2)
    answers = await asyncio.to_thread(find, gateway.port, query())
    assert [status for status, _ in answers] == [OUT_OF_RESOURCES]
    assert await accessions(gateway, Modality="CT") == ["A0002"]


async def test_a_database_that_fails_is_told_as_such(gateway: Gateway, pool: asyncpg.Pool, scheduled: None) -> None:
    await pool.execute("alter table worklist rename to worklist_elsewhere")
    answers = await asyncio.to_thread(find, gateway.port, query())
    assert [status for status, _ in answers] == [OUT_OF_RESOURCES]
