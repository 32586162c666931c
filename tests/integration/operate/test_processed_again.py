"""However often a message is processed, each time stays told: its mapping, who asked, and its own versions."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

import httpx

from engine.clock import now
from engine.config import Community
from engine.mapping import MappingSet
from engine.pipeline import Pipeline
from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import register
from tests.integration.operate.conftest import ask, changed
from tests.integration.operate.messages import bad_result
from tests.integration.operate.test_replay_results import (
    CHANNEL,
    CORRECTION,
    CRITICAL_IS,
    CRITICAL_WAS,
    GENDER,
    INTERPRETATION,
    PATIENT,
    WHOLE,
    again,
    folder,
    mapped_by,
    result_of,
)

__all__ = ["folder"]

Times = list[dict[str, Any]]


async def traced(it: httpx.AsyncClient, word: str) -> dict[str, Any]:
    answer = await it.get("/api/trace", params={"word": word})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def times_of(it: httpx.AsyncClient, control_id: str) -> Times:
    (envelope,) = [each for each in (await traced(it, control_id))["envelopes"] if each["control_id"] == control_id]
    times: Times = envelope["processings"]
    return times


def labels(versions: list[dict[str, Any]]) -> set[str]:
    return {f"{each['reference']}@{each['version']}" for each in versions}


async def by_rows(hub: Hub, control_id: str) -> dict[str, set[str]]:
    """What the versions themselves say: by time, those of a message."""
    rows = await hub.pool.fetch(
        """
        select last_updated, type || '/' || v.id || '@' || version as label
        from (select type, id, version, last_updated, envelope from resource
              union all select type, id, version, last_updated, envelope from resource_history) v
        join journal j on j.id = v.envelope where j.control_id = $1
        """,
        control_id,
    )
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row["last_updated"].isoformat(), set()).add(row["label"])
    return found


async def test_each_time_is_told_with_what_it_wrote_and_never_with_what_another_message_wrote(
    hub: Hub, it: httpx.AsyncClient, community: Community, folder: Path
) -> None:
    first_mapping = mapped_by(hub, community, folder).find("ORU^R01", "baishi")
    await hub.send(CHANNEL, WHOLE)
    await hub.send(CHANNEL, CORRECTION)
    await hub.run()
    potassium = f"Observation/{(await result_of(hub, 'K'))['id']}"
    glucose = f"Observation/{(await result_of(hub, 'GLU'))['id']}"
    changed(folder, INTERPRETATION, CRITICAL_WAS, CRITICAL_IS)
    mapped_by(hub, community, folder)
    await again(hub, it, everything=True)
    changed(folder, PATIENT, GENDER, "")
    second = mapped_by(hub, community, folder).find("ORU^R01", "baishi")
    assert first_mapping is not None
    assert second is not None
    for _ in range(3):
        await again(hub, it, control_id="U5")

    for control_id in ("U5", "U6"):
        times = await times_of(it, control_id)
        wrote = {each["at"].replace("Z", "+00:00"): labels(each["wrote"]) for each in times if each["wrote"]}
        assert wrote == await by_rows(hub, control_id)
        assert [each["at"] for each in times] == sorted(each["at"] for each in times)

    times = await times_of(it, "U5")
    assert [each["how"] for each in times] == ["processed", "replayed", "replayed", "replayed", "replayed"]
    assert {each["mapping"] for each in times[:1]} == {first_mapping.label} != {second.label}
    assert {each["mapping"] for each in times[2:]} == {second.label}
    assert [(each["by"], each["why"]) for each in times] == [(None, None)] + [("admin", "表已修改")] * 4
    assert labels(times[1]["wrote"]) == {f"{glucose}@2"}
    assert f"{potassium}@1" in labels(times[0]["wrote"])
    everything = [label for each in times for label in labels(each["wrote"])]
    assert f"{potassium}@2" not in everything, "the correction wrote it"
    for each in times:
        assert not labels(each["wrote"]) & labels(each["confirmed"])
        assert potassium not in {one["reference"] for one in each["confirmed"]}, "what the correction says is not so"
    assert potassium in {left["reference"] for left in times[1]["left"]}
    assert all(not each["wrote"] for each in times[3:])
    assert f"{glucose}@2" in labels(times[4]["confirmed"])

    (envelope,) = [e for e in (await traced(it, "U5"))["envelopes"] if e["control_id"] == "U5"]
    assert labels(envelope["resources"]) == set(everything)
    steps = {step["step"]: step for step in envelope["steps"]}
    assert (steps["mapped"]["at"], steps["mapped"]["note"].partition(";")[0]) == (times[0]["at"], first_mapping.label)
    assert steps["recorded"]["note"] == f"versions written: {len(times[0]['wrote'])}"
    assert (steps["replayed"]["at"], steps["replayed"]["note"].endswith("4 times")) == (times[4]["at"], True)


async def test_a_version_leads_to_the_message_that_wrote_it_also_an_old_one(
    hub: Hub, it: httpx.AsyncClient, community: Community, folder: Path
) -> None:
    mapped_by(hub, community, folder)
    await hub.send(CHANNEL, WHOLE)
    await hub.send(CHANNEL, CORRECTION)
    await hub.run()
    await again(hub, it, everything=True)
    potassium = f"Observation/{(await result_of(hub, 'K'))['id']}"
    for version, control_id in ((1, "U5"), (2, "U6")):
        told = await traced(it, f"{potassium}@{version}")
        assert [envelope["control_id"] for envelope in told["envelopes"]] == [control_id]
        assert (told["version"]["version"], told["version"]["current"]) == (version, version == 2)
        assert told["version"]["envelope"] == told["envelopes"][0]["id"]
        assert told["envelopes"][0]["because"] == ["wrote-this-version"]
    for word in (f"{potassium}@3", f"{potassium}@0", "Observation/none@1", f"{potassium}@99999999999"):
        told = await traced(it, word)
        assert (told["version"], told["envelopes"], told["resources"]) == (None, [], []), word


async def test_a_run_tells_the_same_after_another_run(hub: Hub, it: httpx.AsyncClient) -> None:
    await hub.send(CHANNEL, register())
    await hub.run()
    runs = []
    for _ in range(3):
        runs.append((await ask(it, "/api/replay", reason="x", everything=True))["run"])
        await hub.run()
    told = [(await it.get(f"/api/replay/{run}")).json() for run in runs]
    assert told[0]["unchanged"] == 1
    assert told == [told[0]] * 3
    for run in runs:
        listed = (await it.get(f"/api/replay/{run}/messages", params={"all": "true"})).json()
        assert [message["control_id"] for message in listed] == ["R1"]


async def test_a_replay_that_is_not_understood_leaves_what_was_told_before(
    hub: Hub, it: httpx.AsyncClient, community: Community, folder: Path
) -> None:
    mapped_by(hub, community, folder)
    await hub.send(CHANNEL, bad_result(control_id="BAD"))
    await hub.run()
    held = await hub.pool.fetchval("select id from journal")
    assert await times_of(it, "BAD") == []
    await ask(it, f"/api/envelopes/{held}/skip", reason="无法识别")
    (skipped,) = await times_of(it, "BAD")
    assert (skipped["how"], skipped["by"], skipped["why"]) == ("skipped", "admin", "无法识别")
    for _ in range(2):
        await again(hub, it, everything=True, skipped=True)
    times = await times_of(it, "BAD")
    assert times[0] == skipped
    assert [(each["how"], each["code"], each["wrote"]) for each in times[1:]] == [
        ("replay-refused", "not-identified", [])
    ] * 2


async def test_who_released_or_corrected_a_message_is_told_beside_what_it_wrote(
    hub: Hub, it: httpx.AsyncClient
) -> None:
    await hub.send(CHANNEL, bad_result(control_id="BAD"))
    await hub.run()
    held = await hub.pool.fetchval("select id from journal")
    corrected = b64encode(WHOLE).decode()
    told = await ask(it, f"/api/envelopes/{held}/replace", reason="补齐编号", payload_base64=corrected)
    await hub.run()
    (ended,) = await times_of(it, "BAD")
    assert (ended["how"], ended["by"], ended["wrote"]) == ("replaced", "admin", [])
    (envelope,) = (await traced(it, told["envelope"]))["envelopes"]
    (time,) = envelope["processings"]
    assert (time["how"], time["by"], time["why"]) == ("corrected", "admin", "补齐编号")
    assert labels(time["wrote"]) == labels(envelope["resources"]) != set()


async def test_what_was_replayed_before_every_time_was_kept_is_told_from_its_versions(
    hub: Hub, it: httpx.AsyncClient, community: Community, folder: Path
) -> None:
    """A replay overwrote what the time before had come to; the versions stayed."""
    first = mapped_by(hub, community, folder).find("ORU^R01", "baishi")
    await hub.send(CHANNEL, WHOLE)
    await hub.run()
    glucose = f"Observation/{(await result_of(hub, 'GLU'))['id']}"
    for before, after in ((CRITICAL_WAS, CRITICAL_IS), (CRITICAL_IS, CRITICAL_WAS)):
        changed(folder, INTERPRETATION, before, after)
        mapped_by(hub, community, folder)
        await again(hub, it, everything=True)
    kept = await times_of(it, "U5")
    await hub.pool.execute("delete from outcome_earlier")
    times = await times_of(it, "U5")
    assert first is not None
    assert [(each["at"], each["wrote"], each["mapping"]) for each in times] == [
        (each["at"], each["wrote"], each["mapping"]) for each in kept
    ]
    assert [each["how"] for each in times] == ["processed", "replayed", "replayed"]
    assert [labels(each["wrote"]) for each in times[1:]] == [{f"{glucose}@2"}, {f"{glucose}@3"}]
    assert times[0]["mapping"] == first.label


async def test_what_was_released_late_says_what_something_newer_said_otherwise(
    hub: Hub, it: httpx.AsyncClient, community: Community, mappings: MappingSet, folder: Path
) -> None:
    """Nothing mapped the first message; the second one, with another name, was recorded meanwhile."""
    changed(folder, "hl7v2/ADT_PERSON/mapping.yaml", "ADT^A31, ", "")
    then = MappingSet.load(folder, list(community.facilities))
    today, hub.pipeline = hub.pipeline, Pipeline(hub.url, community, then, now, hub.ids)
    await hub.send(CHANNEL, register(event="A31", control_id="R1"))
    await hub.send(CHANNEL, register(event="A08", control_id="R2", name="石^秀瑛"))
    await hub.run()
    held, newer = [row["id"] for row in await hub.pool.fetch("select id from journal order by id")]
    hub.pipeline = today
    await ask(it, f"/api/envelopes/{held}/release", reason="映射已补齐")
    await hub.run()
    (time,) = await times_of(it, "R1")
    assert (time["how"], time["by"], time["why"]) == ("released", "admin", "映射已补齐")
    (left,) = time["left"]
    assert (left["elements"], left["envelope"]) == (["name"], str(newer))
    spoken = {version["reference"] for version in [*time["wrote"], *time["confirmed"]]}
    assert left["reference"] not in spoken
