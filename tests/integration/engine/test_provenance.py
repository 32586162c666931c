"""Every field answers where it came from: element, rule and version, field of the message, bytes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from engine.api.app import create_app
from engine.api.services import Services
from engine.cli import trace as trace_command
from engine.cli.main import main
from engine.clock import now
from engine.config import Community
from engine.errors import AccessError, NotFoundError
from engine.mapping import MappingSet
from engine.store import access
from engine.store.records import Change, put_many
from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import card, manifest, order, register, result


@pytest.fixture
async def client(hub: Hub, community: Community, mappings: MappingSet) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Services(pool=hub.pool, config=community, clock=now, mapping_set=mappings))
    async with hub.pool.acquire() as connection:
        token = await access.issue(connection, access.ADMINISTRATOR, now())
    async with _client(app, token) as client:
        yield client


def _client(app: Any, token: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app),
        base_url="http://hub.test",
        headers={"Authorization": f"Bearer {token}"},
    )


async def _ask(client: httpx.AsyncClient, reference: str, path: str = "") -> dict[str, Any]:
    answer = await client.get("/api/provenance", params={"reference": reference, "path": path})
    assert answer.status_code == 200, answer.text
    known: dict[str, Any] = answer.json()
    return known


async def _source(hub: Hub) -> str:
    patient = next(p for p in await hub.resources("Patient") if "meta" not in p)
    return f"Patient/{patient['id']}"


async def _payload(hub: Hub, envelope: str) -> bytes:
    payload: bytes = await hub.pool.fetchval("select payload from journal where id = $1", envelope)
    return payload


async def test_what_a_pruned_message_said_is_not_taken_for_our_own(hub: Hub, client: httpx.AsyncClient) -> None:
    await hub.send("baishi-his", register(card=card(1)))
    await hub.run()
    envelope = await hub.pool.fetchval("delete from journal returning id")
    known = await _ask(client, await _source(hub), "name[0].family")
    (element,) = known["elements"]
    assert (element["value"], element["said_by"], element["envelope"]) == ("石", "archived", str(envelope))


async def test_an_element_leads_to_its_rule_its_field_and_its_bytes(hub: Hub, client: httpx.AsyncClient) -> None:
    await hub.send("baishi-his", register(card=card(1)))
    await hub.run()
    known = await _ask(client, await _source(hub), "name[0].family")
    (element,) = known["elements"]
    (source,) = element["sources"]
    assert (element["value"], element["said_by"], element["version"]) == ("石", "message", 1)
    assert (source["rule"], source["rule_version"], source["field"]) == ("pid-5", "1", "PID-5[1].1")
    payload = await _payload(hub, element["envelope"])
    assert payload[source["start"] : source["end"]] == "石".encode("gb18030")
    (version,) = known["versions"]
    assert version["mapping"] == version["mapping_today"]
    assert version["mapping_changed"] is False
    assert version["control_id"] == "R1"


async def test_every_element_of_every_resource_of_a_result_is_answered(hub: Hub, client: httpx.AsyncClient) -> None:
    await hub.send("baishi-his", result())
    await hub.run()
    for row in await hub.pool.fetch("select type || '/' || id as reference from resource where envelope is not null"):
        known = await _ask(client, row["reference"])
        assert known["elements"]
        assert {element["said_by"] for element in known["elements"]} == {"message"}, row["reference"]
    observation = await hub.only("Observation")
    known = await _ask(client, f"Observation/{observation['id']}", "valueQuantity.value")
    (element,) = known["elements"]
    assert element["value"] == "5.10"
    (source,) = [source for source in element["sources"] if source["field"].startswith("OBX-5")]
    payload = await _payload(hub, element["envelope"])
    assert payload[source["start"] : source["end"]] == b"5.10"


async def test_what_a_later_message_leaves_out_is_answered_by_the_earlier_one(
    hub: Hub, client: httpx.AsyncClient
) -> None:
    await hub.send("baishi-his", register(card=card(1)))
    await hub.run()
    await hub.send("baishi-his", register(name="石^秀瑛", born="", control_id="R2", event="A08"))
    await hub.run()
    known = await _ask(client, await _source(hub))
    by_path = {element["path"]: element for element in known["elements"]}
    first, second = (version["envelope"] for version in reversed(known["versions"]))
    assert (by_path["name[0].given[0]"]["version"], by_path["name[0].given[0]"]["envelope"]) == (2, second)
    assert (by_path["birthDate"]["version"], by_path["birthDate"]["envelope"]) == (1, first)
    number = next(path for path, element in by_path.items() if element["value"] == card(1))
    (source,) = by_path[number]["sources"]
    payload = await _payload(hub, first)
    assert payload[source["start"] : source["end"]].decode() == card(1)


async def test_what_hutong_works_out_and_what_a_person_writes_is_said_to_be_so(
    hub: Hub, client: httpx.AsyncClient
) -> None:
    await hub.send("baishi-his", order())
    await hub.run()
    request = await hub.only("ServiceRequest")
    known = await _ask(client, f"ServiceRequest/{request['id']}")
    accession = await hub.pool.fetchval("select accession from worklist")
    (number,) = [element for element in known["elements"] if element["value"] == accession]
    assert (number["said_by"], number["sources"]) == ("hutong", [])
    async with hub.pool.acquire() as connection:
        await put_many(connection, [Change({**request, "patientInstruction": "空腹"}, actor="wang")], now())
    known = await _ask(client, f"ServiceRequest/{request['id']}", "patientInstruction")
    (element,) = known["elements"]
    assert (element["said_by"], element["actor"], element["version"]) == ("person", "wang", 2)
    status = (await _ask(client, f"ServiceRequest/{request['id']}", "status"))["elements"][0]
    assert (status["said_by"], status["version"]) == ("message", 1)


async def test_rules_that_are_not_the_ones_that_made_it_are_said_to_be_so(hub: Hub, client: httpx.AsyncClient) -> None:
    await hub.send("baishi-his", register())
    await hub.run()
    await hub.pool.execute("update resource set mapping = 'ADT@1+000000' where envelope is not null")
    (version,) = (await _ask(client, await _source(hub)))["versions"]
    assert version["mapping_changed"] is True
    assert version["mapping"] == "ADT@1+000000" != version["mapping_today"]


async def test_a_golden_patient_leads_to_its_sources_and_a_study_to_its_manifest(
    hub: Hub, client: httpx.AsyncClient
) -> None:
    await hub.send("baishi-his", register())
    await hub.study(manifest("ACC1", patient="BS0009"))
    await hub.run()
    source = await _source(hub)
    golden = await hub.pool.fetchval(
        "select golden from patient_link where source = $1", source.removeprefix("Patient/")
    )
    known = await _ask(client, f"Patient/{golden}")
    assert known["gathered_from"] == [source]
    assert {element["said_by"] for element in known["elements"]} == {"hutong"}
    study = await hub.only("ImagingStudy")
    known = await _ask(client, f"ImagingStudy/{study['id']}", "series")
    assert {element["said_by"] for element in known["elements"]} == {"message"}
    assert known["versions"][0]["message_type"] == "study"


async def test_provenance_is_audited_and_not_for_everybody(
    hub: Hub, community: Community, client: httpx.AsyncClient
) -> None:
    await hub.send("baishi-his", register())
    await hub.run()
    source = await _source(hub)
    await _ask(client, source, "name")
    acts = {
        (row["action"], row["subject"])
        for row in await hub.pool.fetch("select * from audit where actor = $1", access.ADMINISTRATOR)
    }
    envelope = await hub.pool.fetchval("select id from journal")
    assert {("provenance", source), ("read-payload", f"Envelope/{envelope}")} <= acts
    assert (await client.get("/api/provenance", params={"reference": "Patient/none"})).status_code == 404
    assert (await client.get("/api/provenance", params={"reference": "nonsense"})).status_code == 422
    async with hub.pool.acquire() as connection:
        reader = await access.issue(connection, "wang", now())
    client.headers["Authorization"] = f"Bearer {reader}"
    for path in ("/api/provenance?reference=Patient/x", "/api/unmapped"):
        assert (await client.get(path)).status_code == 403


async def test_unmapped_fields_are_counted_by_mapping_and_field(hub: Hub, client: httpx.AsyncClient) -> None:
    for n in range(3):
        more = b"ZZA|our own\r" + (b"ZZB|ours too\r" if n == 2 else b"")
        await hub.send("baishi-his", register(f"BS{n}", control_id=f"R{n}") + more)
    await hub.run()
    lines = (await client.get("/api/unmapped")).json()
    last = str(await hub.pool.fetchval("select id from journal where control_id = 'R2'"))
    found = {line["field"]: (line["messages"], line["last_envelope"]) for line in lines}
    assert found["ZZA-1"] == (3, last)
    assert found["ZZB-1"] == (1, last)
    assert [line["messages"] for line in lines] == sorted((line["messages"] for line in lines), reverse=True)
    assert all(line["mapping"].startswith("ADT") for line in lines)


class _Known:
    """A hub whose answers are known."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self._answers = answers

    def get(self, path: str, /, **parameters: str) -> Any:
        answer = self._answers[path]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_trace_tells_where_a_resource_came_from(
    hub: Hub, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await hub.send("baishi-his", register())
    await hub.run()
    source = await _source(hub)
    known = (await client.get("/api/trace", params={"word": source})).json()
    answers: dict[str, Any] = {"/api/trace": known, "/api/provenance": await _ask(client, source)}
    monkeypatch.setattr(trace_command, "find_hub", lambda data, url: _Known(answers))
    monkeypatch.setenv("COLUMNS", "200")

    told = _run("trace", source, capsys=capsys)
    assert "name[0].family = 石  ← pid-5@1 ← PID-5[1].1 [" in told
    assert "baishi-his ADT^A04 R1" in told

    answers["/api/provenance"] = await _ask(client, source, "name[0].family")
    asked = _run("trace", source, "--path", "name[0].family", capsys=capsys)
    assert [line.partition("  ")[0] for line in asked.splitlines()] == ["name[0].family = 石"]

    assert json.loads(_run("trace", source, "--json", capsys=capsys))["provenance"]["reference"] == source

    answers["/api/provenance"]["versions"][0] |= {"mapping_changed": True, "mapping_today": "ADT@2+ffffff"}
    assert "mapped by ADT@2+ffffff today" in _run("trace", source, capsys=capsys)

    for refusal in (AccessError("no"), NotFoundError("no")):
        answers["/api/provenance"] = refusal
        assert "where from?" not in _run("trace", source, capsys=capsys)


async def test_trace_of_something_unknown_ends_with_status_1(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = {"/api/trace": (await client.get("/api/trace", params={"word": "NOBODY"})).json()}
    monkeypatch.setattr(trace_command, "find_hub", lambda data, url: _Known(answers))
    told = _run("trace", "NOBODY", status=1, capsys=capsys)
    assert "Nothing is known of NOBODY." in told


def _run(*arguments: str, status: int = 0, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    try:
        main(list(arguments))
        code: Any = 0
    except SystemExit as ended:
        code = ended.code or 0
    assert code == status
    return capsys.readouterr().out
