"""A key that the Conformance Statement lists matches as it says, and what it lists as returned is returned."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path

import asyncpg
import pytest
from pydicom import config as pydicom_config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from engine.store import worklist
from pacs_gateway.gateway import Gateway
from pacs_gateway.query.models import PATIENT_ROOT, UNIQUE_KEYS
from pacs_gateway.scu.find import find
from pacs_gateway.scu.peer import Peer, Proposal
from pacs_gateway.scu.requestor import opened
from pacs_gateway.statement.keys import QUERY_HEADINGS, RETURNED_ONLY, WORKLIST_HEADINGS
from tests.integration.gateway.conftest import Write
from tests.integration.gateway.sending import PATIENCE_SECS, SUCCESS, send_raw, stored
from tests.integration.gateway.test_stated_behaviour import text_with
from tests.integration.gateway.test_statement import rows_of
from tests.integration.gateway.test_worklists import WORKLIST_FIND, step

Row = dict[str, str]
MOST = 10
KNOWN = {
    "PatientName": "Test^One",
    "PatientID": "P0001",
    "IssuerOfPatientID": "BAISHI",
    "PatientAge": "055Y",
    "StudyID": "S1",
    "StudyInstanceUID": "1.2.1",
    "SeriesInstanceUID": "1.2.1.1",
    "SOPInstanceUID": "1.2.1.1.1",
    "StudyDescription": "CHEST PA",
    "ReferringPhysicianName": "Wang^Wu",
    "InstitutionName": "Baishi",
    "StationName": "DR1",
    "Manufacturer": "Maker",
    "ManufacturerModelName": "Model",
    "SeriesDescription": "PA",
    "SeriesNumber": "7",
    "BodyPartExamined": "CHEST",
    "NumberOfFrames": "1",
    "AcquisitionDateTime": "20260102101500",
}
ANOTHER = {"AS": "001Y", "DA": "19990101", "TM": "030000", "DT": "19990101000000", "IS": "99", "UI": "1.2.99"}
"""A value that nothing here has, by VR; of any other VR the last."""


def tag_of(row: Row) -> int:
    return int(row["Tag"].strip("()").replace(",", ""), 16)


def another(tag: int) -> str:
    return ANOTHER.get(dictionary_VR(tag), "ZZZ")


def ways(kind: str, value: str, tag: int) -> Iterator[str]:
    """How a value may be asked for, as is stated."""
    yield value
    if "wildcard" in kind:
        yield f"{value[:-1]}*"
        yield f"?{value[1:]}"
    if "list" in kind:
        yield f"{another(tag)}\\{value}"
    if "range" in kind:
        yield f"{value}-"
        yield f"-{value}"


def element(tag: int, value: str) -> DataElement:
    return DataElement(tag, dictionary_VR(tag), value, validation_mode=pydicom_config.IGNORE)


def asked_at(level: str, tag: int, value: str) -> Dataset:
    asked = Dataset()
    asked.QueryRetrieveLevel = level
    for above in takewhile(lambda one: one != level, UNIQUE_KEYS):
        setattr(asked, UNIQUE_KEYS[above], KNOWN[UNIQUE_KEYS[above]])
    asked.add(element(tag, value))
    return asked


async def answers(port: int, model: str, identifiers: Sequence[Dataset]) -> list[list[Dataset]]:
    """The matches of each."""
    peer = Peer("HUTONG", "127.0.0.1", port, PATIENCE_SECS)
    async with opened(peer, "DR_BAISHI", [Proposal(model)]) as requestor:
        return [await find(requestor, model, identifier, MOST) for identifier in identifiers]


@pytest.fixture
async def one_object(gateway: Gateway, radiograph: Write, pool: asyncpg.Pool, objects: Path) -> Gateway:
    assert await asyncio.to_thread(send_raw, gateway.port, [radiograph(**KNOWN)]) == [SUCCESS]
    await stored(pool, objects)
    return gateway


async def test_each_listed_key_of_a_query_matches_as_it_says(one_object: Gateway) -> None:
    rows = rows_of(text_with(), QUERY_HEADINGS)
    tags = {tag_of(row): row["Level"] for row in rows}
    universal = [asked_at(level, tag, "") for tag, level in tags.items()]
    told = await answers(one_object.port, PATIENT_ROOT.find, universal)
    values = {tag: str(match[tag].value) for tag, (match,) in zip(tags, told, strict=True)}
    assert [row["Attribute"] for row in rows if not values[tag_of(row)]] == [], "listed, and not returned"

    cases: list[tuple[str, Dataset, int]] = []
    for row in rows:
        tag, level, kind = tag_of(row), row["Level"], row["Matching"]
        if kind == RETURNED_ONLY:
            cases.append((row["Attribute"], asked_at(level, tag, another(tag)), 1))
            continue
        cases += [(f"{row['Attribute']} {way}", asked_at(level, tag, way), 1) for way in ways(kind, values[tag], tag)]
        cases.append((f"{row['Attribute']} is another", asked_at(level, tag, another(tag)), 0))
    assert len(cases) > 90
    found = await answers(one_object.port, PATIENT_ROOT.find, [asked for _, asked, _ in cases])
    wrong = [said for (said, _, count), matches in zip(cases, found, strict=True) if len(matches) != count]
    assert wrong == []


def within(row: Row, value: str) -> Dataset:
    """An identifier of the worklist with this key in its sequence."""
    asked = Dataset()
    asked.add(element(tag_of(row), value))
    for keyword in reversed([] if row["Sequence"] == "-" else row["Sequence"].split(" > ")):
        outer = Dataset()
        setattr(outer, keyword.replace(" ", ""), Items([asked]))
        asked = outer
    return asked


def value_of(match: Dataset, row: Row) -> str:
    for keyword in [] if row["Sequence"] == "-" else row["Sequence"].split(" > "):
        match = match[keyword.replace(" ", "")][0]
    return str(match[tag_of(row)].value or "")


async def test_each_listed_key_of_the_worklist_matches_as_it_says(gateway: Gateway, pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        latin = {"patient_name": "ZHANG^SAN", "procedure_text": "CHEST PA", "requested_by": "WANG"}
        await worklist.put(connection, [step(1, station_ae="DR_BAISHI", issuer="BAISHI", **latin)])
    rows = rows_of(text_with(), WORKLIST_HEADINGS)
    asked = [within(row, "") for row in rows]
    told = await answers(gateway.port, WORKLIST_FIND, asked)
    values = [value_of(match, row) for row, (match,) in zip(rows, told, strict=True)]
    assert [bool(value) for value in values] == [row["Returned"] == "yes" for row in rows]

    cases: list[tuple[str, Dataset, int]] = []
    for row, value in zip(rows, values, strict=True):
        name, tag, kind = f"{row['Sequence']} {row['Attribute']}", tag_of(row), row["Matching"]
        cases.append((f"{name} is another", within(row, another(tag)), 1 if kind == RETURNED_ONLY else 0))
        if kind != RETURNED_ONLY and value:
            cases += [(f"{name} {way}", within(row, way), 1) for way in ways(kind, value, tag)]
    assert len(cases) > 55
    found = await answers(gateway.port, WORKLIST_FIND, [asked for _, asked, _ in cases])
    wrong = [said for (said, _, count), matches in zip(cases, found, strict=True) if len(matches) != count]
    assert wrong == []
