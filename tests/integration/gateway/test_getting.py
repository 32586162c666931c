"""A workstation fetches stored objects over its own association, byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEG2000Lossless
from pynetdicom import AE, build_context, build_role, evt

from pacs_gateway.gateway import Gateway
from pacs_gateway.query.models import PATIENT_ROOT, STUDY_ROOT
from pacs_gateway.scp import retrieving
from tests.integration.gateway.conftest import Run, Write
from tests.integration.gateway.sending import (
    DATA_SET_MISMATCH,
    SUCCESS,
    bytes_of,
    data_set_of,
    real,
    send_raw,
    stored,
)
from tests.integration.gateway.test_querying import identifier

PENDING = 0xFF00
CANCELLED = 0xFE00
UNABLE_TO_COUNT = 0xA701
UNABLE_TO_PERFORM = 0xA702
SOME_FAILED = 0xB000
CR = "1.2.840.10008.5.1.4.1.1.1"
Kinds = Sequence[tuple[str, Sequence[str]]]


@dataclass
class Fetched:
    """Every response, and the data set bytes of every object that came, by its SOP Instance UID."""

    responses: list[Dataset] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)

    @property
    def status(self) -> int:
        return int(self.responses[-1].Status)

    @property
    def counts(self) -> tuple[int, int, int]:
        last = self.responses[-1]
        return (
            last.NumberOfCompletedSuboperations,
            last.NumberOfFailedSuboperations,
            last.NumberOfWarningSuboperations,
        )


def fetch(port: int, asked: Dataset, kinds: Kinds, model: str = STUDY_ROOT.get, **options: Any) -> Fetched:
    """Asks for objects of these classes and transfer syntaxes, each pair under a context of its own. Blocking."""
    got = Fetched()

    def keep(event: Any) -> int:
        got.objects[event.request.AffectedSOPInstanceUID] = event.request.DataSet.getvalue()
        return int(options.get("answer", SUCCESS))

    entity = AE(options.get("calling", "DR_BAISHI"))
    entity.requested_contexts = [
        build_context(model),
        *(build_context(sop_class, syntax) for sop_class, syntaxes in kinds for syntax in syntaxes),
    ]
    roles: list[Any] = [build_role(sop_class, scp_role=True) for sop_class, _ in kinds]
    association = entity.associate("127.0.0.1", port, ext_neg=roles, evt_handlers=[(evt.EVT_C_STORE, keep)])
    assert association.is_established
    for status, found in association.send_c_get(asked, model):
        got.responses.append(status)
        if found is not None and "FailedSOPInstanceUIDList" in found:
            listed = found["FailedSOPInstanceUIDList"]
            got.failed = [str(listed.value)] if listed.VM == 1 else list(map(str, listed.value))
        if options.get("cancel"):
            association.send_c_cancel(1, query_model=model)
    association.release()
    return got


def study(uid: str) -> Dataset:
    return identifier("STUDY", StudyInstanceUID=uid)


@pytest.fixture
async def archive(gateway: Gateway, radiograph: Write, pool: asyncpg.Pool, objects: Path) -> Gateway:
    """A study of two series and three objects, one in implicit VR; and one object of 青溪镇."""
    common = {"StudyInstanceUID": "1.2.1", "PatientID": "P1"}
    files = [
        radiograph(**common, SeriesInstanceUID="1.2.1.1", SOPInstanceUID="1.2.1.1.1"),
        radiograph(**common, SeriesInstanceUID="1.2.1.1", SOPInstanceUID="1.2.1.1.2", InstanceNumber=2),
        radiograph(**common, SeriesInstanceUID="1.2.1.2", SOPInstanceUID="1.2.1.2.1"),
    ]
    assert set(await asyncio.to_thread(send_raw, gateway.port, files)) == {SUCCESS}
    elsewhere = radiograph(StudyInstanceUID="1.2.4", PatientID="P1", SOPInstanceUID="1.2.4.1.1")
    assert await asyncio.to_thread(send_raw, gateway.port, [elsewhere], "DR_QINGXI") == [SUCCESS]
    await stored(pool, objects)
    return gateway


ALL_CR: Kinds = [(CR, (ExplicitVRLittleEndian,))]


async def test_the_bytes_that_came_are_the_bytes_that_go(gateway: Gateway, pool: asyncpg.Pool, objects: Path) -> None:
    files = [real("CT_small"), real("MR_small_implicit"), real("JPEG2000"), real("693_J2KR")]
    assert set(await asyncio.to_thread(send_raw, gateway.port, files)) == {SUCCESS}
    rows = await stored(pool, objects)
    kinds = {(row["sop_class"], row["transfer_syntax"]) for row in rows.values()}
    wanted = [(sop_class, (syntax,)) for sop_class, syntax in sorted(kinds)]
    for row in rows.values():
        got = await asyncio.to_thread(fetch, gateway.port, study(row["study_uid"]), wanted)
        assert got.status == SUCCESS
        assert bytes_of(objects, row["location"]).endswith(got.objects[row["sop_uid"]])
        assert got.objects[row["sop_uid"]] in [data_set_of(file) for file in files]


@pytest.mark.parametrize(
    ("asked", "model", "uids"),
    [
        (study("1.2.1"), STUDY_ROOT.get, ["1.2.1.1.1", "1.2.1.1.2", "1.2.1.2.1"]),
        (identifier("SERIES", StudyInstanceUID="1.2.1", SeriesInstanceUID="1.2.1.2"), STUDY_ROOT.get, ["1.2.1.2.1"]),
        (
            identifier("IMAGE", StudyInstanceUID="1.2.1", SeriesInstanceUID="1.2.1.1",
                       SOPInstanceUID=["1.2.1.1.2", "1.2.1.1.9"]),
            STUDY_ROOT.get,
            ["1.2.1.1.2"],
        ),
        (identifier("PATIENT", PatientID="P1"), PATIENT_ROOT.get, ["1.2.1.1.1", "1.2.1.1.2", "1.2.1.2.1"]),
        (study("1.2.4"), STUDY_ROOT.get, []),
        (identifier("STUDY", StudyInstanceUID=["1.2.1", "1.2.4"]), STUDY_ROOT.get,
         ["1.2.1.1.1", "1.2.1.1.2", "1.2.1.2.1"]),
    ],
)  # fmt: skip
async def test_what_is_named_at_a_level_comes_and_nothing_of_other_facilities(
    archive: Gateway, asked: Dataset, model: str, uids: list[str]
) -> None:
    got = await asyncio.to_thread(fetch, archive.port, asked, ALL_CR, model)
    assert (got.status, sorted(got.objects), got.counts) == (SUCCESS, uids, (len(uids), 0, 0))


async def test_every_object_is_told_of(archive: Gateway) -> None:
    got = await asyncio.to_thread(fetch, archive.port, study("1.2.1"), ALL_CR)
    assert [int(one.Status) for one in got.responses] == [PENDING, PENDING, SUCCESS]
    assert [one.NumberOfRemainingSuboperations for one in got.responses[:2]] == [2, 1]
    assert "NumberOfRemainingSuboperations" not in got.responses[-1]


async def test_objects_of_a_class_that_is_not_taken_are_named(archive: Gateway) -> None:
    none = await asyncio.to_thread(fetch, archive.port, study("1.2.1"), [(CTImageStorage, (JPEG2000Lossless,))])
    assert (none.status, none.counts, len(none.failed)) == (UNABLE_TO_PERFORM, (0, 3, 0), 3)


async def test_what_the_requestor_says_to_each_object_is_counted(archive: Gateway) -> None:
    refusing = await asyncio.to_thread(lambda: fetch(archive.port, study("1.2.1"), ALL_CR, answer=0xA700))
    assert (refusing.status, refusing.counts, len(refusing.failed)) == (UNABLE_TO_PERFORM, (0, 3, 0), 3)
    warning = await asyncio.to_thread(lambda: fetch(archive.port, study("1.2.1"), ALL_CR, answer=0xB000))
    assert (warning.status, warning.counts, warning.failed) == (SOME_FAILED, (0, 0, 3), [])


async def test_an_object_that_is_lost_fails_and_the_others_come(
    archive: Gateway, pool: asyncpg.Pool, objects: Path
) -> None:
    rows = await stored(pool, objects)
    (objects / "store" / rows["1.2.1.1.2"]["location"]).unlink()
    got = await asyncio.to_thread(fetch, archive.port, study("1.2.1"), ALL_CR)
    assert (got.status, got.counts, got.failed) == (SOME_FAILED, (2, 1, 0), ["1.2.1.1.2"])


async def test_a_cancelled_request_ends(archive: Gateway) -> None:
    got = await asyncio.to_thread(lambda: fetch(archive.port, study("1.2.1"), ALL_CR, cancel=True))
    assert got.status in (CANCELLED, SUCCESS)
    assert sum(got.counts) == len(got.objects)


async def test_a_request_that_names_nothing_is_refused(archive: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = [study(""), identifier("SERIES", SeriesInstanceUID="1.2.1.1"), identifier("IMAGE", StudyInstanceUID="1")]
    got = [await asyncio.to_thread(fetch, archive.port, asked, ALL_CR) for asked in nothing]
    assert [one.status for one in got] == [DATA_SET_MISMATCH] * 3
    monkeypatch.setattr(retrieving, "RETRIEVE_LIMIT", 2)
    assert (await asyncio.to_thread(fetch, archive.port, study("1.2.1"), ALL_CR)).status == UNABLE_TO_COUNT


async def test_a_peer_that_leaves_within_its_objects_costs_nobody_anything(archive: Gateway) -> None:
    def leave() -> None:
        entity = AE("DR_BAISHI")
        entity.requested_contexts = [build_context(STUDY_ROOT.get), build_context(CR, ExplicitVRLittleEndian)]

        def abort(event: Any) -> int:
            event.assoc.abort()
            event.assoc.dimse_timeout = 0.1  # else it would wait half a minute for answers that cannot come
            return SUCCESS

        association = entity.associate(
            "127.0.0.1", archive.port, ext_neg=[build_role(CR, scp_role=True)], evt_handlers=[(evt.EVT_C_STORE, abort)]
        )
        list(association.send_c_get(study("1.2.1"), STUDY_ROOT.get))

    await asyncio.to_thread(leave)
    got = await asyncio.to_thread(fetch, archive.port, study("1.2.1"), ALL_CR)
    assert got.counts == (3, 0, 0)


async def test_dcmtk_fetches_a_study(archive: Gateway, dcmtk: Run, tmp_path: Path) -> None:
    folder = tmp_path / "got"
    folder.mkdir()
    said = await dcmtk("getscu", "-v", "-S", "-aet", "DR_BAISHI", "-od", folder, "-k", "QueryRetrieveLevel=STUDY",
                       "-k", "StudyInstanceUID=1.2.1", "127.0.0.1", archive.port)  # fmt: skip
    assert said.code == 0, said.output
    assert len(list(folder.iterdir())) == 3
