"""What the Conformance Statement says of answers comes over the wire: bytes, statuses, limits, who is called."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import asyncpg
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, AllStoragePresentationContexts, evt

from engine import config
from engine.config import AeEntry
from engine.store import worklist
from pacs_gateway.gateway import Gateway
from pacs_gateway.scp import find
from pacs_gateway.statement import document
from pacs_gateway.statement.behaviour import BEHAVIOUR_HEADINGS, LIMIT_HEADINGS
from pacs_gateway.statement.calling import CALLED_HEADINGS, PROPOSED_HEADINGS
from pacs_gateway.statement.stated import SYNTAX_HEADINGS, statement
from pacs_gateway.statement.statuses import REASON_HEADINGS, STATUS_HEADINGS
from tests.integration.gateway import test_worklists
from tests.integration.gateway.conftest import Start, Write, channel
from tests.integration.gateway.sending import SUCCESS, data_set_of, send_raw, settled, stored
from tests.integration.gateway.test_commitment import Modality, ask, asked, failed, has_come, over
from tests.integration.gateway.test_getting import CR, PENDING, fetch, study
from tests.integration.gateway.test_moving import move
from tests.integration.gateway.test_querying import ask as query
from tests.integration.gateway.test_querying import identifier
from tests.integration.gateway.test_statement import EXAMPLE, rows_of
from tests.ports import free_port

UNKNOWN = "1.2.3.404"


def text_with(**changes: Any) -> str:
    """The statement of a community with one imaging channel."""
    community = config.load(EXAMPLE).model_copy(update={"channels": {"imaging": channel(**changes)}})
    return document.markdown(statement(community))


def status(request: str, meaning: str, text: str = "") -> int:
    """The status that is stated for a request with this in its meaning."""
    (found,) = [
        int(row["Status"], 16)
        for row in rows_of(text or text_with(), STATUS_HEADINGS)
        if row["Request"] == request and meaning in row["Meaning"]
    ]
    return found


def limit(name: str) -> int:
    return int({row["Limit"]: row["Value"] for row in rows_of(text_with(), LIMIT_HEADINGS)}[name])


async def test_an_object_goes_out_with_its_bytes_but_in_the_stated_set_where_its_label_is_wrong(
    gateway: Gateway, objects: Path, radiograph: Write
) -> None:
    said = {row["Service"]: row["Behaviour"] for row in rows_of(text_with(), BEHAVIOUR_HEADINGS)}["Retrieve"]
    assert "with the bytes that came" in said
    label = said.partition("is repaired (6) goes out in ")[2].partition(",")[0]
    right, wrong = (
        radiograph(SpecificCharacterSet="GB18030", PatientName="张^智宏", StudyInstanceUID="1.2.1") for _ in range(2)
    )
    content = wrong.read_bytes()
    wrong.write_bytes(content.replace(b"CS\x08\0GB18030 ", b"CS\x0a\0ISO_IR 100"))
    assert await asyncio.to_thread(send_raw, gateway.port, [right, wrong]) == [SUCCESS] * 2
    await settled(objects)
    got = await asyncio.to_thread(fetch, gateway.port, study("1.2.1"), [(CR, [ExplicitVRLittleEndian])])
    first, second = (str(pydicom.dcmread(file).SOPInstanceUID) for file in (right, wrong))
    assert got.objects[first] == data_set_of(right)
    repaired = pydicom.dcmread(BytesIO(got.objects[second]), force=True)
    assert (repaired.SpecificCharacterSet, repaired.PatientName) == (label, "张^智宏")


async def test_an_unknown_destination_and_a_query_that_fits_no_model_have_the_stated_status(gateway: Gateway) -> None:
    moved = await asyncio.to_thread(move, gateway.port, study("1.2.1"), "STRANGER")
    assert moved.status == status("C-MOVE", "no AE title of 2.2 with a port")
    ((answered, _),) = await asyncio.to_thread(query, gateway.port, identifier("", PatientID="P1"))
    assert answered == status("C-FIND (Query/Retrieve)", "does not fit the model")


async def test_a_query_that_would_look_into_more_objects_than_stated_ends_with_the_stated_status(
    gateway: Gateway, objects: Path, pool: asyncpg.Pool, radiograph: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert limit("Objects looked into for keys that the index does not have") == 2000
    monkeypatch.setattr(find, "SEARCH_LIMIT", 2)
    files = [radiograph(ProtocolName="CHEST") for _ in range(3)]
    assert await asyncio.to_thread(send_raw, gateway.port, files) == [SUCCESS] * 3
    await stored(pool, objects)
    answers = await asyncio.to_thread(query, gateway.port, identifier("STUDY", ProtocolName="CHEST"))
    more = status("C-FIND (Query/Retrieve)", "behind 2 objects that were looked into")
    assert [answered for answered, _ in answers] == [PENDING, PENDING, more]


async def test_a_worklist_is_told_up_to_the_stated_limit(gateway: Gateway, pool: asyncpg.Pool) -> None:
    most = limit("Scheduled steps of one worklist query")
    steps = [
        replace(test_worklists.step(0), service_request=f"sr{n}", accession=f"A{n:04d}", study_uid=f"1.2.{n}")
        for n in range(most + 1)
    ]
    async with pool.acquire() as connection:
        await worklist.put(connection, steps)
    everything = test_worklists.query()
    ((refused, _),) = await asyncio.to_thread(test_worklists.find, gateway.port, everything)
    assert refused == status("C-FIND (Modality Worklist)", f"more than {most} steps")
    await pool.execute("delete from worklist where service_request = 'sr0'")
    answers = await asyncio.to_thread(test_worklists.find, gateway.port, everything)
    assert [answered for answered, _ in answers] == [PENDING] * most + [SUCCESS]


async def test_what_is_not_committed_has_the_stated_reason(gateway: Gateway) -> None:
    reasons = {row["Meaning"]: int(row["Failure reason"], 16) for row in rows_of(text_with(), REASON_HEADINGS)}
    unknown, strange = (
        reasons["the facility has no such instance"],
        reasons["the facility has no such instance, and its class is none of 2.3"],
    )
    modality = Modality()
    async with over(modality, gateway.port) as association:
        named = asked([(UNKNOWN, CR), ("1.2.3.405", "1.2.3.4.5")])
        assert await asyncio.to_thread(ask, association, named) == status("N-ACTION (Storage Commitment)", "durably")
        await has_come(modality.on_own)
        no_action = await asyncio.to_thread(ask, association, named, 2)
        assert no_action == status("N-ACTION (Storage Commitment)", "the action is not 1")
    assert failed(modality.on_own[0][1]) == {UNKNOWN: unknown, "1.2.3.405": strange}


@contextmanager
def workstation(address: str) -> Iterator[list[Any]]:
    """What it is asked for: A-ASSOCIATE-RQ primitives."""
    requests: list[Any] = []
    host, _, port = address.rpartition(":")
    entity = AE("ANY")
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(str(context.abstract_syntax), ExplicitVRLittleEndian)
    handlers: list[Any] = [
        (evt.EVT_REQUESTED, lambda event: requests.append(event.assoc.requestor.primitive)),
        (evt.EVT_C_STORE, lambda event: SUCCESS),
    ]
    server = entity.start_server((host, int(port)), block=False, evt_handlers=handlers)
    assert server is not None
    try:
        yield requests
    finally:
        server.shutdown()


async def test_each_entry_with_a_port_is_called_as_stated(
    start: Start, objects: Path, pool: asyncpg.Pool, radiograph: Write
) -> None:
    entries = (
        AeEntry(ae_title="DR_BAISHI", facility="baishi"),
        AeEntry(ae_title="VIEWER", facility="baishi", address="127.0.0.1", port=free_port()),
        AeEntry(ae_title="READER", facility="qingxi", address="127.0.0.1", port=free_port()),
    )
    text = text_with(ae_entries=entries)
    called = [row for row in rows_of(text, CALLED_HEADINGS) if row["To"] == "entry of channel imaging"]
    assert [row["AE title"] for row in called] == ["VIEWER", "READER"]
    (storage,) = [row for row in rows_of(text, PROPOSED_HEADINGS) if row["Service"] == "Storage"]
    names = {row["UID"]: row["Transfer syntax"] for row in rows_of(text, SYNTAX_HEADINGS)}

    gateway = await start(ae_entries=entries)
    assert await asyncio.to_thread(send_raw, gateway.port, [radiograph(StudyInstanceUID="1.2.1")]) == [SUCCESS]
    await stored(pool, objects)
    for row in called:
        with workstation(row["Address"]) as requests:
            moved = await asyncio.to_thread(move, gateway.port, study("1.2.1"), row["AE title"])
        assert moved.status == status("C-MOVE", "every object was sent", text)
        (request,) = requests
        assert (request.called_ae_title, request.calling_ae_title) == (row["AE title"], row["We are"])
        contexts = request.presentation_context_definition_list
        proposed = [" and ".join(names[str(uid)] for uid in one.transfer_syntax) for one in contexts]
        assert proposed == [names[ExplicitVRLittleEndian], storage["Transfer syntaxes"].partition("beside it ")[2]]
