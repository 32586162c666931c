"""A table or a rule is changed and messages are processed again: each resource is what its last word says."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

import mappings as mapping_files
from engine.clock import now
from engine.config import Community
from engine.mapping import MappingSet
from engine.pipeline import Pipeline
from engine.provenance import MESSAGE, provenance
from engine.recording import state_resources
from engine.replay import Ahead, What, World
from engine.store import provenance as recorded
from engine.store import records, versions
from engine.store.journaled import Looked, connect_to_look, spans
from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import register
from tests.integration.operate.conftest import ask, changed
from tests.integration.operate.messages import bad_result

SHIPPED = Path(mapping_files.__file__).parent
CHANNEL = "baishi-his"
INTERPRETATION = "tables/interpretation.csv"
PATIENT, REPORT = "hl7v2/parts/patient.yaml", "hl7v2/ORU_R01/mapping.yaml"
CRITICAL_WAS = "危急,A,Abnormal,http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation,"
CRITICAL_IS = "危急,H,High,http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation,"
GENDER = "  - {rule: pid-8,  from: PID-8,  to: gender, table: sex, dir: both}\n"

Observed = tuple[str, str, str, str]
"""OBX-3.1, OBX-5, OBX-8, OBX-11."""


def report(*results: Observed, status: str = "F", at: str = "20261121111800", control_id: str = "U5") -> bytes:
    """A laboratory's report of which a later message may correct some results."""
    lines = [
        f"MSH|^~\\&|LIS|BSXWSY|HUTONG|HUB|{at}||ORU^R01|{control_id}|P|2.4",
        "PID|1||BS0001^^^BSHIS^MR||石^秀英||19630512|F",
        "ORC|RE|JY7|BG7",
        f"OBR|1|JY7|BG7|SH^生化全套^L|||20261121095000|||||||||D01^周^大夫||||||{at}||LAB|{status}",
        *(
            f"OBX|{number}|NM|{code}^{code}^L||{value}|mmol/L|3.5-5.3|{flag}|||{state}|||20261121111500"
            for number, (code, value, flag, state) in enumerate(results, start=1)
        ),
    ]
    return ("\r".join(lines) + "\r").encode("gb18030")


WHOLE = report(("GLU", "22.6", "危急", "F"), ("UREA", "9.8", "H", "F"), ("K", "6.8", "HH", "F"))
CORRECTION = report(("K", "4.6", "N", "C"), status="C", at="20261121140000", control_id="U6")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the mappings in which a township's own word for critical is abnormal."""
    shutil.copytree(SHIPPED, tmp_path / "mappings", ignore=shutil.ignore_patterns("*.hl7", "requirements"))
    table = tmp_path / "mappings" / INTERPRETATION
    text = table.read_text(encoding="utf-8")
    kept = [line for line in text.splitlines() if not line.startswith("危急,")]
    table.write_text("\n".join([*kept, CRITICAL_WAS, ""]), encoding="utf-8")
    return tmp_path / "mappings"


_LOADED: dict[tuple[str, ...], MappingSet] = {}
"""By what the files say that these tests change: a set of mappings takes a second to load."""


def mapped_by(hub: Hub, community: Community, folder: Path) -> MappingSet:
    """From now on the hub understands by these mappings."""
    said = tuple((folder / name).read_text(encoding="utf-8") for name in (INTERPRETATION, PATIENT, REPORT))
    if said not in _LOADED:
        _LOADED[said] = MappingSet.load(folder, list(community.facilities))
    hub.pipeline = Pipeline(hub.url, community, _LOADED[said], now, hub.ids)
    return _LOADED[said]


async def again(hub: Hub, it: httpx.AsyncClient, **choice: Any) -> None:
    await ask(it, "/api/replay", reason="表已修改", **choice)
    await hub.run()


async def result_of(hub: Hub, code: str) -> dict[str, Any]:
    (found,) = [o for o in await hub.resources("Observation") if o["code"]["coding"][0]["code"] == code]
    return found


def flag_of(result: dict[str, Any]) -> str:
    flag: str = result["interpretation"][0]["coding"][0]["code"]
    return flag


async def where_from(hub: Hub, result: str, community: Community, mappings: MappingSet) -> tuple[str, int, list[str]]:
    """Who says the flag of a result, in which version, and by which rules."""
    async with hub.pool.acquire() as connection:
        known = await recorded.versions(connection, "Observation", result, 10)
    path = "interpretation[0].coding[0].code"
    (origin,) = provenance(f"Observation/{result}", known, community, mappings, path).origins
    return origin.said_by, origin.version, [source.rule for source in origin.sources]


async def test_a_correction_of_one_result_does_not_stop_a_changed_table_for_the_others(
    hub: Hub, it: httpx.AsyncClient, community: Community, folder: Path
) -> None:
    mapped_by(hub, community, folder)
    await hub.send(CHANNEL, WHOLE)
    await hub.send(CHANNEL, CORRECTION)
    await hub.run()
    assert flag_of(await result_of(hub, "GLU")) == "A"
    glucose_id = (await result_of(hub, "GLU"))["id"]
    potassium, (report_before,) = await result_of(hub, "K"), await hub.resources("DiagnosticReport")
    changed(folder, INTERPRETATION, CRITICAL_WAS, CRITICAL_IS)
    mappings = mapped_by(hub, community, folder)
    assert await where_from(hub, glucose_id, community, mappings) == (MESSAGE, 1, ["obx-8"]), "not hutong's own idea"
    await again(hub, it, everything=True)
    glucose = await result_of(hub, "GLU")
    assert flag_of(glucose) == "H"
    assert await result_of(hub, "K") == potassium, "what the correction said stays"
    assert await hub.resources("DiagnosticReport") == [report_before]
    assert await hub.open_findings() == [], "a replay raises nothing anew"
    rows = {r["id"]: r["version"] for r in await hub.pool.fetch("select id, version from resource")}
    assert rows[glucose["id"]] == 2
    assert await where_from(hub, glucose["id"], community, mappings) == (MESSAGE, 2, ["obx-8"])
    written = await hub.pool.fetchval("select count(*) from resource_history")
    await again(hub, it, everything=True)
    assert await hub.pool.fetchval("select count(*) from resource_history") == written


async def test_an_older_version_that_comes_late_still_says_the_results_that_nothing_newer_spoke_of(hub: Hub) -> None:
    """First 11:18, then the correction of one result of 14:00, then what was amended at 12:00 arrives."""
    await hub.send(CHANNEL, WHOLE)
    await hub.send(CHANNEL, CORRECTION)
    amended = report(
        ("GLU", "21.0", "H", "C"), ("K", "6.0", "HH", "C"), status="C", at="20261121120000", control_id="U7"
    )
    await hub.send(CHANNEL, amended)
    await hub.run()
    assert (await result_of(hub, "GLU"))["valueQuantity"]["value"] == 21
    assert str((await result_of(hub, "K"))["valueQuantity"]["value"]) == "4.6"
    (kept,) = await hub.resources("DiagnosticReport")
    assert kept["issued"].startswith("2026-11-21T14:00")


async def test_a_replay_mends_a_report_whose_original_came_after_its_correction(
    hub: Hub, it: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was recorded while late originals were left whole."""
    await hub.send(CHANNEL, CORRECTION)
    await hub.send(CHANNEL, WHOLE)
    with monkeypatch.context() as before:
        before.setattr(state_resources, "gathered", lambda current, *_: current)
        await hub.run()
    (report_before,) = await hub.resources("DiagnosticReport")
    potassium = await result_of(hub, "K")
    assert len(report_before["result"]) == 1
    await again(hub, it, everything=True)
    (mended,) = await hub.resources("DiagnosticReport")
    results = [(await result_of(hub, code))["id"] for code in ("GLU", "UREA", "K")]
    assert mended == {**report_before, "result": [{"reference": f"Observation/{each}"} for each in results]}
    assert await result_of(hub, "K") == potassium
    written = await hub.pool.fetchval("select count(*) from resource_history")
    assert written == 1
    await again(hub, it, everything=True)
    assert await hub.pool.fetchval("select count(*) from resource_history") == written


async def test_a_newer_report_that_only_repeats_a_result_keeps_an_older_one_out(hub: Hub) -> None:
    await hub.send(CHANNEL, report(("GLU", "22.6", "H", "F"), control_id="U1"))
    await hub.send(CHANNEL, report(("GLU", "22.6", "H", "F"), at="20261121140000", control_id="U2"))
    await hub.send(CHANNEL, report(("GLU", "99", "H", "F"), at="20261121120000", control_id="U3"))
    await hub.run()
    assert str((await result_of(hub, "GLU"))["valueQuantity"]["value"]) == "22.6"


async def test_what_was_preliminary_never_comes_back_over_what_is_final(
    hub: Hub, it: httpx.AsyncClient, community: Community, folder: Path
) -> None:
    mapped_by(hub, community, folder)
    preliminary = report(("GLU", "22.6", "危急", "P"), status="P", control_id="U1")
    await hub.send(CHANNEL, preliminary)
    await hub.send(CHANNEL, report(("GLU", "5.0", "N", "F"), at="20261121120000", control_id="U2"))
    late = report(("GLU", "23.0", "危急", "P"), status="P", at="20261121130000", control_id="U3")
    await hub.send(CHANNEL, late)
    await hub.run()
    before = await hub.resources("Observation") + await hub.resources("DiagnosticReport")
    changed(folder, INTERPRETATION, CRITICAL_WAS, CRITICAL_IS)
    mapped_by(hub, community, folder)
    for control_id in ("U1", "U3", "U2"):
        await again(hub, it, control_id=control_id)
        assert await hub.resources("Observation") + await hub.resources("DiagnosticReport") == before


async def test_what_a_message_alone_said_and_says_no_more_disappears(
    hub: Hub, it: httpx.AsyncClient, community: Community, folder: Path
) -> None:
    mapped_by(hub, community, folder)
    await hub.send(CHANNEL, register())
    await hub.run()
    (before,) = [p for p in await hub.resources("Patient") if "link" not in p]
    changed(folder, PATIENT, GENDER, "")
    mapped_by(hub, community, folder)
    await again(hub, it, everything=True)
    (after,) = [p for p in await hub.resources("Patient") if "link" not in p]
    assert before["gender"] == "female"
    assert after == {element: value for element, value in before.items() if element != "gender"}


async def test_what_a_person_said_since_does_not_disappear_with_its_rule(
    hub: Hub, it: httpx.AsyncClient, community: Community, folder: Path
) -> None:
    mapped_by(hub, community, folder)
    await hub.send(CHANNEL, register())
    await hub.run()
    (patient,) = [p for p in await hub.resources("Patient") if "link" not in p]
    async with hub.pool.acquire() as connection:
        change = records.Change({**patient, "gender": "male"}, actor="wang")
        await records.put_many(connection, [change], now() + timedelta(seconds=1))
    changed(folder, PATIENT, GENDER, "")
    mapped_by(hub, community, folder)
    await again(hub, it, everything=True)
    (after,) = [p for p in await hub.resources("Patient") if "link" not in p]
    assert after["gender"] == "male"


async def test_a_replay_says_what_it_changed_what_it_left_to_whom_and_what_is_as_it_was(
    hub: Hub, it: httpx.AsyncClient, community: Community, folder: Path
) -> None:
    mapped_by(hub, community, folder)
    flagged = report(("GLU", "22.6", "危急", "F"), ("UREA", "9.8", "H", "F"), ("K", "6.8", "危急", "F"))
    await hub.send(CHANNEL, flagged)
    await hub.send(CHANNEL, CORRECTION)
    await hub.run()
    newer = await hub.pool.fetchval("select id from journal where control_id = 'U6'")
    glucose, potassium = (await result_of(hub, "GLU"))["id"], (await result_of(hub, "K"))["id"]
    (report_id,) = [each["id"] for each in await hub.resources("DiagnosticReport")]
    changed(folder, INTERPRETATION, CRITICAL_WAS, CRITICAL_IS)
    mapped_by(hub, community, folder)
    queued = await ask(it, "/api/replay", reason="x", everything=True)
    assert (await it.get(f"/api/replay/{queued['run']}")).json()["waiting"] == 2
    await hub.run()
    told = (await it.get(f"/api/replay/{queued['run']}")).json()
    stated = told.pop("same")
    assert stated > 0
    numbers = {"waiting": 0, "refused": 0, "changed": 1, "unchanged": 1, "written": 1, "left": 2, "left_in": 1}
    assert told == {**numbers, "stays": 0}
    (message,) = (await it.get(f"/api/replay/{queued['run']}/messages")).json()
    assert (message["message_type"], message["control_id"]) == ("ORU^R01", "U5")
    assert message["replay"]["changed"] == [f"Observation/{glucose}@2"]
    left = {each["reference"]: each for each in message["replay"]["left"]}
    assert {each["envelope"] for each in left.values()} == {str(newer)}
    assert left.keys() == {f"Observation/{potassium}", f"DiagnosticReport/{report_id}"}
    assert "interpretation" in left[f"Observation/{potassium}"]["elements"]
    everything = (await it.get(f"/api/replay/{queued['run']}/messages", params={"all": "true"})).json()
    assert [each["control_id"] for each in everything] == ["U5", "U6"]


async def test_a_resource_that_is_said_no_more_stays_and_is_told_of_once(
    hub: Hub, it: httpx.AsyncClient, community: Community, folder: Path
) -> None:
    mapped_by(hub, community, folder)
    for number in (1, 2):
        with_specimen = WHOLE.replace(b"|||||||||D01", "||||||||SER^血清|D01".encode("gb18030"))
        await hub.send(CHANNEL, with_specimen.replace(b"G7", b"G%d" % number).replace(b"|U5|", b"|S%d|" % number))
    await hub.run()
    before = await hub.resources("Specimen")
    assert len(before) == 2
    changed(folder, REPORT, "  - {resource: Specimen, for: order, part: specimen_source}\n", "")
    mapped_by(hub, community, folder)
    queued = await ask(it, "/api/replay", reason="x", everything=True)
    await hub.run()
    assert await hub.resources("Specimen") == before
    told = (await it.get(f"/api/replay/{queued['run']}")).json()
    assert (told["stays"], told["changed"]) == (2, 2), "its results name it no more"
    assert await hub.open_findings() == ["said-no-more"]


async def test_what_was_skipped_and_still_cannot_be_understood_is_told_as_that(hub: Hub, it: httpx.AsyncClient) -> None:
    await hub.send(CHANNEL, bad_result(control_id="BAD"))
    await hub.run()
    held = await hub.pool.fetchval("select id from journal")
    await ask(it, f"/api/envelopes/{held}/skip", reason="x")
    queued = await ask(it, "/api/replay", reason="x", everything=True, skipped=True)
    await hub.run()
    told = (await it.get(f"/api/replay/{queued['run']}")).json()
    assert (told["refused"], told["changed"], told["unchanged"], told["waiting"]) == (1, 0, 0, 0)
    (message,) = (await it.get(f"/api/replay/{queued['run']}/messages")).json()
    assert message["replay"] == {"refused": "not-identified"}
    assert await hub.pool.fetchval("select state from outcome") == "skipped"


async def test_what_a_person_wrote_is_named_as_the_reason_why_it_stays(hub: Hub, it: httpx.AsyncClient) -> None:
    await hub.send(CHANNEL, register())
    await hub.run()
    (patient,) = [p for p in await hub.resources("Patient") if "link" not in p]
    async with hub.pool.acquire() as connection:
        change = records.Change({**patient, "gender": "male"}, actor="wang")
        await records.put_many(connection, [change], now() + timedelta(seconds=1))
    queued = await ask(it, "/api/replay", reason="x", everything=True)
    await hub.run()
    (message,) = (await it.get(f"/api/replay/{queued['run']}/messages")).json()
    (left,) = message["replay"]["left"]
    assert (left["reference"], left["elements"]) == (f"Patient/{patient['id']}", ["gender"])
    assert (left["envelope"], left["actor"]) == (None, "wang")


async def test_a_batch_of_replays_asks_the_database_as_often_as_one_replay(
    hub: Hub, it: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was said before is read for all messages of a batch at once."""
    asked: list[int] = []

    async def counted(connection: Any, references: Any) -> Any:
        asked.append(len(references))
        return await of(connection, references)

    of = versions.of
    monkeypatch.setattr(versions, "of", counted)
    for number in range(20):
        await hub.send(CHANNEL, register(f"BS{number}", control_id=f"R{number}"))
    await hub.run()
    assert asked == [], "live messages read no history"
    await ask(it, "/api/replay", reason="x", everything=True)
    await hub.run()
    assert len(asked) == 1
    assert asked[0] > 20


async def ahead_of(hub: Hub, running: World, changed_world: World) -> tuple[Ahead, set[tuple[What, str]]]:
    """What is told before a replay of everything, by kind and place."""
    told = set[tuple[What, str]]()
    looked = Looked(now() - timedelta(days=1), now() + timedelta(seconds=1))
    connection = await connect_to_look(hub.url)
    try:
        ahead = Ahead(running, changed_world)
        for span in await spans(connection, looked, 10):
            async for changes in ahead.told(connection, looked, span):
                told |= {(kind.what, kind.where) for kind, _ in changes}
    finally:
        await connection.close()
    return ahead, told


async def test_before_a_replay_it_is_told_what_it_would_leave_and_what_nobody_would_say_any_more(
    hub: Hub, community: Community, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    was = mapped_by(hub, community, folder)
    flagged = report(("GLU", "22.6", "危急", "F"), ("K", "6.8", "危急", "F"))
    await hub.send(CHANNEL, flagged.replace(b"|||||||||D01", "||||||||SER^血清|D01".encode("gb18030")))
    await hub.send(CHANNEL, CORRECTION)
    await hub.run()
    changed(folder, INTERPRETATION, CRITICAL_WAS, CRITICAL_IS)
    changed(folder, REPORT, "  - {resource: Specimen, for: order, part: specimen_source}\n", "")
    worlds = World(community, was), World(community, mapped_by(hub, community, folder))
    _, told = await ahead_of(hub, *worlds)
    assert (What.RECORDED, "Observation.interpretation.coding.code") in told
    assert (What.LEFT, "Observation.interpretation") in told, "the correction of K said it"
    assert (What.STAYS, "Specimen") in told
    as_it_is = (await ahead_of(hub, worlds[0], worlds[0]))[1]
    assert {what for what, _ in as_it_is} == {What.LEFT}, "the correction has spoken under any mapping"
    left_behind = await ahead_of(hub, worlds[1], worlds[1])
    assert left_behind[1] == told, "what an earlier mapping recorded would be said anew as well"
    monkeypatch.setattr("engine.replay.preview.MOST_CHANGED", 0)
    monkeypatch.setattr("engine.replay.ahead.PORTION", 1)
    cut_short, _ = await ahead_of(hub, *worlds)
    assert cut_short.full
