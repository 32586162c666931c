"""A workstation finds stored studies, by either root, with its own words, and only those of its facility."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pynetdicom import AE

from pacs_gateway.gateway import Gateway
from pacs_gateway.query.models import PATIENT_ROOT, STUDY_ROOT
from pacs_gateway.scp import find as find_service
from tests.integration.gateway.conftest import Run, Write
from tests.integration.gateway.sending import DATA_SET_MISMATCH, OUT_OF_RESOURCES, SUCCESS, send_raw, stored

PENDING = 0xFF00
CANCELLED = 0xFE00
Answers = list[tuple[int, Dataset | None]]


def identifier(level: str, **keys: Any) -> Dataset:
    asked = Dataset()
    asked.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(asked, keyword, value)
    return asked


def ask(port: int, asked: Dataset, model: str = STUDY_ROOT.find, calling: str = "DR_BAISHI") -> Answers:
    entity = AE(calling)
    entity.add_requested_context(model)
    association = entity.associate("127.0.0.1", port)
    assert association.is_established
    answers = [(int(status.Status), found) for status, found in association.send_c_find(asked, model)]
    association.release()
    return answers


async def found(gateway: Gateway, asked: Dataset, *who: str) -> list[Dataset]:
    answers = await asyncio.to_thread(ask, gateway.port, asked, *who)
    assert answers[-1][0] == SUCCESS, hex(answers[-1][0])
    assert all(status == PENDING for status, _ in answers[:-1])
    return [one for _, one in answers if one is not None]


async def refused(gateway: Gateway, asked: Dataset, model: str = STUDY_ROOT.find) -> int:
    answers = await asyncio.to_thread(ask, gateway.port, asked, model)
    assert len(answers) == 1
    return answers[0][0]


@pytest.fixture
async def archive(gateway: Gateway, radiograph: Write, pool: asyncpg.Pool, objects: Path) -> Gateway:
    """Three studies of 白石乡, of which the first has two series, and one of 青溪镇."""
    region = Dataset()
    region.CodeValue, region.CodingSchemeDesignator, region.CodeMeaning = "51185008", "SCT", "胸部"
    step = Dataset()
    step.ScheduledProcedureStepID, step.RequestedProcedureID = "S1", "R1"
    chinese = {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Zhang^Wei=张^伟", "PatientID": "P1"}
    first = {**chinese, "StudyInstanceUID": "1.2.1", "AccessionNumber": "A1", "StudyDescription": "胸部正位"}
    files = [
        radiograph(**first, SeriesInstanceUID="1.2.1.1", SOPInstanceUID="1.2.1.1.1", SeriesNumber=1,
                   AnatomicRegionSequence=[region], RequestAttributesSequence=[step], ProtocolName="CHEST PA"),
        radiograph(**first, SeriesInstanceUID="1.2.1.1", SOPInstanceUID="1.2.1.1.2", SeriesNumber=1, InstanceNumber=2),
        radiograph(**first, SeriesInstanceUID="1.2.1.2", SOPInstanceUID="1.2.1.2.1", SeriesNumber=2, Modality="SR"),
        radiograph(**chinese, StudyInstanceUID="1.2.2", AccessionNumber="A2", StudyDate="20260301", Modality="DX",
                   SeriesInstanceUID="1.2.2.1", SOPInstanceUID="1.2.2.1.1", PatientBirthDate="19800229"),
        radiograph(StudyInstanceUID="1.2.3", PatientName="<b>Li^Si</b>", PatientID="P3", AccessionNumber="A'3",
                   SeriesInstanceUID="1.2.3.1", SOPInstanceUID="1.2.3.1.1", ReferringPhysicianName="Wang^Wu"),
    ]  # fmt: skip
    assert set(await asyncio.to_thread(send_raw, gateway.port, files)) == {SUCCESS}
    elsewhere = radiograph(StudyInstanceUID="1.2.4", PatientName="Zhang^Wei", PatientID="P1")
    assert await asyncio.to_thread(send_raw, gateway.port, [elsewhere], "DR_QINGXI") == [SUCCESS]
    await stored(pool, objects)
    return gateway


BY_KEYS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["1.2.1", "1.2.2", "1.2.3"]),
    ({"PatientName": "*"}, ["1.2.1", "1.2.2", "1.2.3"]),
    ({"PatientName": "zhang*"}, ["1.2.1", "1.2.2"]),
    ({"PatientName": "ZHANG^WEI"}, ["1.2.1", "1.2.2"]),
    ({"PatientName": "zw"}, ["1.2.1", "1.2.2"]),
    ({"PatientName": "张*", "SpecificCharacterSet": "ISO_IR 192"}, ["1.2.1", "1.2.2"]),
    ({"PatientName": "=张^伟", "SpecificCharacterSet": "GB18030"}, ["1.2.1", "1.2.2"]),
    ({"PatientName": "<b>Li*"}, ["1.2.3"]),
    ({"PatientName": "'; drop table study; --"}, []),
    ({"PatientID": "P1"}, ["1.2.1", "1.2.2"]),
    ({"PatientID": "P?", "StudyDate": "20260301"}, ["1.2.2"]),
    ({"AccessionNumber": "A1"}, ["1.2.1"]),
    ({"AccessionNumber": "A'3"}, ["1.2.3"]),
    ({"StudyDate": "20260101-20260131"}, ["1.2.1", "1.2.3"]),
    ({"StudyDate": "-20260131", "StudyTime": "1015"}, ["1.2.1", "1.2.3"]),
    ({"StudyTime": "1016-"}, []),
    ({"StudyInstanceUID": ["1.2.1", "1.2.3", "1.2.4"]}, ["1.2.1", "1.2.3"]),
    ({"ModalitiesInStudy": "SR"}, ["1.2.1"]),
    ({"ModalitiesInStudy": ["SR", "DX"]}, ["1.2.1", "1.2.2"]),
    ({"StudyDescription": "*正位", "SpecificCharacterSet": "ISO_IR 192"}, ["1.2.1"]),
    ({"PatientBirthDate": "19800101-19801231"}, ["1.2.2"]),
    ({"PatientBirthDate": "-19800228"}, ["1.2.1", "1.2.3"]),
    ({"PatientBirthDate": "1980.02.29"}, ["1.2.2"]),
    ({"PatientBirthDate": "19800301-"}, []),
    ({"SOPClassesInStudy": "1.2.840.10008.5.1.4.1.1.2"}, ["1.2.1", "1.2.2", "1.2.3"]),
    ({"ReferringPhysicianName": "wang*"}, ["1.2.3"]),
    ({"ProtocolName": "CHEST*"}, ["1.2.1"]),
    ({"SeriesNumber": "7"}, ["1.2.1", "1.2.2", "1.2.3"]),
]


async def test_studies_are_found_by_what_is_asked(archive: Gateway) -> None:
    answers = [
        (keys, sorted(one.StudyInstanceUID for one in await found(archive, identifier("STUDY", **keys))))
        for keys, _ in BY_KEYS
    ]
    assert answers == BY_KEYS


async def test_a_private_key_matches_everything(archive: Gateway) -> None:
    asked = identifier("STUDY", PatientName="zhang*")
    asked.add_new(0x00290010, "LO", "SOMEBODY")
    asked.add_new(0x00291001, "LO", "X1")
    told = await found(archive, asked)
    assert sorted(one.StudyInstanceUID for one in told) == ["1.2.1", "1.2.2"]


async def test_other_dates_and_times_match_by_ranges(
    archive: Gateway, radiograph: Write, pool: asyncpg.Pool, objects: Path
) -> None:
    below = {"StudyInstanceUID": "1.2.9", "SeriesInstanceUID": "1.2.9.1"}
    files = [
        radiograph(**below, SOPInstanceUID="1.2.9.1.1", AcquisitionDateTime="20260102101500.25", ContentTime="101500"),
        radiograph(**below, SOPInstanceUID="1.2.9.1.2", AcquisitionDateTime="20260103", ContentTime="111500.5"),
        radiograph(**below, SOPInstanceUID="1.2.9.1.3"),
    ]
    assert set(await asyncio.to_thread(send_raw, archive.port, files)) == {SUCCESS}
    await stored(pool, objects)
    asked: list[tuple[dict[str, str], list[str]]] = [
        ({"AcquisitionDateTime": "20260102-20260103"}, ["1.2.9.1.1", "1.2.9.1.2"]),
        ({"AcquisitionDateTime": "20260102"}, ["1.2.9.1.1"]),
        ({"AcquisitionDateTime": "202601021015-202601021016+0800"}, ["1.2.9.1.1"]),
        ({"AcquisitionDateTime": "20260102101500.3-"}, ["1.2.9.1.2"]),
        ({"AcquisitionDateTime": "*"}, ["1.2.9.1.1", "1.2.9.1.2", "1.2.9.1.3"]),
        ({"ContentTime": "1000-1100"}, ["1.2.9.1.1"]),
        ({"ContentTime": "1115"}, ["1.2.9.1.2"]),
    ]
    told = [
        (keys, [one.SOPInstanceUID for one in await found(archive, identifier("IMAGE", **below, **keys))])
        for keys, _ in asked
    ]
    assert told == asked


async def test_a_sequence_matches_by_the_keys_of_its_item(archive: Gateway) -> None:
    def region(code: str) -> Dataset:
        item = Dataset()
        item.CodeValue, item.CodeMeaning = code, ""
        return identifier("SERIES", StudyInstanceUID="1.2.1", AnatomicRegionSequence=Sequence([item]))

    (one,) = await found(archive, region("51185008"))
    assert one.SeriesInstanceUID == "1.2.1.1"
    assert one.AnatomicRegionSequence[0].CodeMeaning == "胸部"
    assert "CodingSchemeDesignator" not in one.AnatomicRegionSequence[0]
    assert await found(archive, region("0")) == []
    assert len(await found(archive, region(""))) == 2


async def test_an_answer_holds_what_was_asked_and_how_much_there_is(archive: Gateway) -> None:
    asked = identifier("STUDY", StudyInstanceUID="1.2.1", PatientName="", StudyDescription="", ModalitiesInStudy="",
                       NumberOfStudyRelatedSeries="", NumberOfStudyRelatedInstances="", Rows=None,
                       AdmissionID="")  # fmt: skip
    (one,) = await found(archive, asked)
    assert one.SpecificCharacterSet == "ISO_IR 192"
    assert str(one.PatientName) == "Zhang^Wei=张^伟"
    assert (one.StudyDescription, list(one.ModalitiesInStudy)) == ("胸部正位", ["CR", "SR"])
    assert (one.NumberOfStudyRelatedSeries, one.NumberOfStudyRelatedInstances, one.Rows) == (2, 3, 16)
    assert (one.RetrieveAETitle, one.InstanceAvailability, one.QueryRetrieveLevel) == ("HUTONG", "ONLINE", "STUDY")
    assert one["AdmissionID"].value in (None, "")


async def test_every_level_of_both_roots_is_answered(archive: Gateway) -> None:
    counts = {"NumberOfPatientRelatedStudies": "", "NumberOfPatientRelatedInstances": ""}
    patients = await found(
        archive, identifier("PATIENT", PatientID="", PatientName="zhang*", **counts), PATIENT_ROOT.find
    )
    assert [(one.PatientID, one.NumberOfPatientRelatedStudies, one.NumberOfPatientRelatedInstances)
            for one in patients] == [("P1", 2, 4)]  # fmt: skip
    studies = await found(archive, identifier("STUDY", PatientID="P1", StudyInstanceUID=""), PATIENT_ROOT.find)
    assert [one.StudyInstanceUID for one in studies] == ["1.2.2", "1.2.1"]
    below = {"PatientID": "P1", "StudyInstanceUID": "1.2.1"}
    series = await found(
        archive,
        identifier("SERIES", **below, Modality="CR", SeriesNumber="", NumberOfSeriesRelatedInstances=""),
        PATIENT_ROOT.find,
    )
    assert [(one.SeriesInstanceUID, one.SeriesNumber, one.NumberOfSeriesRelatedInstances) for one in series] == [
        ("1.2.1.1", 1, 2)
    ]
    images = await found(
        archive,
        identifier("IMAGE", **below, SeriesInstanceUID="1.2.1.1", SOPClassUID="", InstanceNumber="2", Rows=None),
        PATIENT_ROOT.find,
    )
    assert [(one.SOPInstanceUID, one.InstanceNumber, one.Rows) for one in images] == [("1.2.1.1.2", 2, 16)]
    assert images[0].SOPClassUID.name == "Computed Radiography Image Storage"


REFUSED: list[tuple[Dataset, str]] = [
    (identifier("", StudyInstanceUID=""), STUDY_ROOT.find),
    (identifier("PATIENT", PatientID=""), STUDY_ROOT.find),
    (identifier("FRAME", PatientID=""), PATIENT_ROOT.find),
    (identifier("STUDY", StudyInstanceUID=""), PATIENT_ROOT.find),
    (identifier("SERIES", SeriesInstanceUID=""), STUDY_ROOT.find),
    (identifier("SERIES", StudyInstanceUID=["1.2.1", "1.2.2"]), STUDY_ROOT.find),
    (identifier("IMAGE", StudyInstanceUID="1.2.1"), STUDY_ROOT.find),
    (identifier("STUDY", StudyDate="yesterday"), STUDY_ROOT.find),
    (identifier("STUDY", StudyDate="-"), STUDY_ROOT.find),
    (identifier("STUDY", StudyTime="noon"), STUDY_ROOT.find),
    (identifier("STUDY", PatientBirthDate="young"), STUDY_ROOT.find),
    (identifier("STUDY", PatientName="x" * 2000), STUDY_ROOT.find),
]


@pytest.mark.filterwarnings("ignore")
async def test_a_query_that_the_model_does_not_have_is_refused(gateway: Gateway) -> None:
    statuses = [await refused(gateway, asked, model) for asked, model in REFUSED]
    assert [hex(status) for status in statuses] == [hex(DATA_SET_MISMATCH)] * len(REFUSED)


async def test_hostile_keys_find_nothing_and_break_nothing(archive: Gateway) -> None:
    deep = Dataset()
    for _ in range(40):
        outer = Dataset()
        outer.ReferencedStudySequence = [deep]
        deep = outer
    deep.QueryRetrieveLevel = "STUDY"
    assert await found(archive, identifier("STUDY", PatientName="*a" * 200)) == []
    assert await found(archive, identifier("STUDY", ProtocolName="*a*b*c" * 100)) == []
    enormous = [f"1.2.9.{number}" for number in range(3000)]
    assert await found(archive, identifier("STUDY", StudyInstanceUID=enormous)) == []
    assert (await asyncio.to_thread(ask, archive.port, deep))[-1][0] in (SUCCESS, DATA_SET_MISMATCH)
    wrong = identifier("STUDY", StudyInstanceUID="1.2.1")
    wrong.add_new(0x00080020, "US", 7)
    assert (await asyncio.to_thread(ask, archive.port, wrong))[-1][0] == DATA_SET_MISMATCH
    assert len(await found(archive, identifier("STUDY"))) == 3


async def test_an_answer_that_is_too_long_ends_with_a_refusal(
    archive: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find_service, "MATCH_LIMIT", 2)
    answers = await asyncio.to_thread(ask, archive.port, identifier("STUDY", StudyInstanceUID=""))
    assert [status for status, _ in answers] == [PENDING, PENDING, OUT_OF_RESOURCES]
    assert [str(one.StudyInstanceUID) for _, one in answers if one is not None] == ["1.2.2", "1.2.1"]


async def test_a_cancelled_query_ends(archive: Gateway) -> None:
    def cancel() -> list[int]:
        entity = AE("DR_BAISHI")
        entity.add_requested_context(STUDY_ROOT.find)
        association = entity.associate("127.0.0.1", archive.port)
        asked = identifier("STUDY", StudyInstanceUID="", ProtocolName="")
        statuses = []
        for status, _ in association.send_c_find(asked, STUDY_ROOT.find):
            statuses.append(int(status.Status))
            association.send_c_cancel(1, query_model=STUDY_ROOT.find)
        association.release()
        return statuses

    statuses = await asyncio.to_thread(cancel)
    assert statuses[-1] in (CANCELLED, SUCCESS)
    assert len(await found(archive, identifier("STUDY"))) == 3


async def test_a_name_under_a_wrong_label_is_found_and_answered_right(
    gateway: Gateway, radiograph: Write, pool: asyncpg.Pool, objects: Path
) -> None:
    file = radiograph(SpecificCharacterSet="GB18030", PatientName="Li^Na=李^娜", StudyInstanceUID="1.2.7",
                      InstitutionalDepartmentName="放射科")  # fmt: skip
    file.write_bytes(file.read_bytes().replace(b"GB18030 ", b"ISO_IR 6"))
    assert await asyncio.to_thread(send_raw, gateway.port, [file]) == [SUCCESS]
    await stored(pool, objects)
    (one,) = await found(gateway, identifier("STUDY", PatientName="lina", InstitutionalDepartmentName=""))
    assert (str(one.PatientName), one.InstitutionalDepartmentName) == ("Li^Na=李^娜", "放射科")


async def test_an_object_with_a_garbled_value_is_found_without_it_and_hides_no_other(
    archive: Gateway, radiograph: Write, pool: asyncpg.Pool, objects: Path
) -> None:
    file = radiograph(StudyInstanceUID="1.2.8", SeriesInstanceUID="1.2.8.1", SOPInstanceUID="1.2.8.1.1")
    rows = b"\x28\x00\x10\x00US\x02\x00\x10\x00"
    assert rows in file.read_bytes()
    file.write_bytes(file.read_bytes().replace(rows, b"\x28\x00\x10\x00US\x03\x00\x10\x00\x00"))
    assert await asyncio.to_thread(send_raw, archive.port, [file]) == [SUCCESS]
    await stored(pool, objects)
    told = await found(archive, identifier("STUDY", StudyInstanceUID="", Rows=None, Columns=None))
    assert {one.StudyInstanceUID: (one.Rows, one.Columns) for one in told} == {
        "1.2.1": (16, 16), "1.2.2": (16, 16), "1.2.3": (16, 16), "1.2.8": (None, 16),
    }  # fmt: skip
    matching = await found(archive, identifier("STUDY", StudyInstanceUID="", Rows=16))
    assert sorted(one.StudyInstanceUID for one in matching) == ["1.2.1", "1.2.2", "1.2.3"]


async def test_dcmtk_finds_studies(archive: Gateway, dcmtk: Run) -> None:
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", "PatientName=ZHANG*", "-k", "StudyInstanceUID",
            "-k", "NumberOfStudyRelatedInstances")  # fmt: skip
    said = await dcmtk("findscu", "-S", "-aet", "DR_BAISHI", *keys, "127.0.0.1", archive.port)
    assert said.code == 0
    assert [uid for uid in ("1.2.1", "1.2.2", "1.2.3") if f"[{uid}" in said.output] == ["1.2.1", "1.2.2"]
