"""Merges, links and what is taken back: links alone change, and in whatever order they come they end the same."""

from __future__ import annotations

import random
from typing import Any

import pytest
from fhir.resources.R4B.patient import Patient

from engine import pipeline as pipeline_module
from engine.clock import now
from engine.config import Community
from engine.errors import NotFoundError, RequestStateError
from engine.identifiers import resource_id
from engine.identity import Join, JoinKind
from engine.mapping import MappingSet
from engine.recording import joins_by_hand
from engine.store import reading
from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import card, in_utf8, order, register, result
from tests.integration.engine.workers import run_together

Resource = dict[str, Any]


def source(number: str, facility: str = "baishi", authority: str = "BSHIS") -> str:
    return resource_id("Patient", facility, authority, number)


def merge(retired: str, kept: str, *, event: str = "A40", control_id: str = "", name: str = "石^秀英") -> bytes:
    return _adt(event, control_id or f"{event}{retired}{kept}", _pid(kept, name), f"MRG|{retired}^^^BSHIS^MR")


def link(one: str, other: str, *, event: str = "A24", control_id: str = "") -> bytes:
    return _adt(event, control_id or f"{event}{one}{other}", _pid(one), _pid(other))


def _pid(number: str, name: str = "石^秀英") -> str:
    return f"PID|1||{number}^^^BSHIS^MR||{name}||19630512|F"


def _adt(event: str, control_id: str, *segments: str) -> bytes:
    header = f"MSH|^~\\&|HIS|BSXWSY|HUTONG|HUB|20261121093000||ADT^{event}|{control_id}|P|2.4"
    return ("\r".join([header, f"EVN|{event}|20261121093000", *segments]) + "\r").encode("gb18030")


async def sent(hub: Hub, *payloads: bytes) -> None:
    for payload in payloads:
        await hub.send("baishi-his", payload)
        await hub.run()
    assert await hub.held() == 0


async def patient(hub: Hub, number: str) -> Resource:
    return next(p for p in await hub.resources("Patient") if p["id"] == source(number))


async def standing(hub: Hub) -> dict[str, Any]:
    """Everything that joining may change: persons, identifiers, what Patients say of each other."""
    links = await hub.pool.fetch("select source, golden from patient_link order by source")
    keys = await hub.pool.fetch("select system, value, golden from person_key order by 1, 2")
    patients = {p["id"]: (p.get("link"), p.get("active"), p.get("identifier")) for p in await hub.resources("Patient")}
    return {"links": [tuple(row) for row in links], "keys": [tuple(row) for row in keys], "patients": patients}


async def persons(hub: Hub) -> list[set[str]]:
    """The source Patients of each person."""
    found: dict[str, set[str]] = {}
    for row in await hub.pool.fetch("select source, golden from patient_link"):
        found.setdefault(row["golden"], set()).add(row["source"])
    return sorted(found.values(), key=sorted)


async def undone(hub: Hub, number: int) -> None:
    async with hub.pool.acquire() as connection, connection.transaction():
        await joins_by_hand.undo(connection, number, "it", "another person", now())


def replaced_by(number: str) -> Resource:
    return {"other": {"reference": f"Patient/{source(number)}"}, "type": "replaced-by"}


def replaces(number: str) -> Resource:
    return {"other": {"reference": f"Patient/{source(number)}"}, "type": "replaces"}


@pytest.mark.parametrize("event", ["A18", "A30", "A34", "A36", "A39", "A40", "A47"])
async def test_a_merge_retires_the_one_and_makes_both_one_person(hub: Hub, event: str) -> None:
    await sent(
        hub, register("BS1", control_id="R1"), register("BS2", control_id="R2"), merge("BS2", "BS1", event=event)
    )
    retired, kept = await patient(hub, "BS2"), await patient(hub, "BS1")
    assert (retired["active"], retired["link"]) == (False, [replaced_by("BS1")])
    assert ("active" in kept, kept["link"]) == (False, [replaces("BS2")])
    assert retired["name"][0]["text"] == "石秀英"
    assert await persons(hub) == [{source("BS1"), source("BS2")}]
    assert await hub.open_findings() == []
    for resource in await hub.resources("Patient"):
        Patient.model_validate(resource)


async def test_records_stay_with_the_patient_they_came_for_and_are_found_under_either(hub: Hub) -> None:
    await sent(hub, result(patient="BS2"), register("BS1", control_id="R1"), merge("BS2", "BS1"))
    assert (await hub.only("Observation"))["subject"] == {"reference": f"Patient/{source('BS2')}"}
    async with hub.pool.acquire() as connection:
        assert source("BS2") in await reading.same_person(connection, [source("BS1")])


async def test_the_golden_patients_are_joined_and_the_one_left_points_to_the_other(hub: Hub) -> None:
    await sent(hub, register("BS1", card=card(1)), register("BS2", control_id="R2"), merge("BS2", "BS1"))
    goldens = [p for p in await hub.resources("Patient") if "meta" in p]
    (left,) = [p for p in goldens if p.get("active") is False]
    (golden,) = [p for p in goldens if "active" not in p]
    assert {each["other"]["reference"] for each in golden["link"]} == {f"Patient/{source(n)}" for n in ("BS1", "BS2")}
    assert left["link"] == [{"other": {"reference": f"Patient/{golden['id']}"}, "type": "replaced-by"}]


async def test_a_number_without_authority_is_that_of_the_patient_who_stays(hub: Hub) -> None:
    bare = _adt("A40", "M1", _pid("BS1"), "MRG|BS2")
    await sent(hub, register("BS1", control_id="R1"), register("BS2", control_id="R2"), bare)
    assert (await patient(hub, "BS2"))["active"] is False
    assert len((await patient(hub, "BS2"))["identifier"]) == 1


async def test_a_merge_of_patients_never_seen_joins_them_all_the_same(hub: Hub) -> None:
    await sent(hub, merge("BS2", "BS1"))
    assert (await patient(hub, "BS2"))["identifier"][0]["value"] == "BS2"
    assert await persons(hub) == [{source("BS1"), source("BS2")}]


async def test_a_patient_who_comes_after_its_merge_stays_retired(hub: Hub) -> None:
    await sent(hub, merge("BS2", "BS1"), register("BS2", name="石^秀英", control_id="R2"))
    retired = await patient(hub, "BS2")
    assert (retired["active"], retired["link"]) == (False, [replaced_by("BS1")])
    assert retired["address"]
    assert await persons(hub) == [{source("BS1"), source("BS2")}]


async def test_a_merge_that_is_repeated_changes_nothing(hub: Hub) -> None:
    await sent(hub, merge("BS2", "BS1"))
    before = await standing(hub)
    await sent(hub, merge("BS2", "BS1", control_id="again"))
    assert await standing(hub) == before
    assert await hub.pool.fetchval("select count(*) from patient_join") == 1


@pytest.mark.parametrize("first", [0, 1])
async def test_a_chain_of_merges_is_one_person_in_whatever_order_it_comes(hub: Hub, first: int) -> None:
    steps = [merge("BS1", "BS2"), merge("BS2", "BS3")]
    await sent(hub, register("BS1", control_id="R1"), steps[first], steps[1 - first])
    assert await persons(hub) == [{source("BS1"), source("BS2"), source("BS3")}]
    assert (await patient(hub, "BS1"))["link"] == [replaced_by("BS2")]
    assert (await patient(hub, "BS2"))["link"] == [replaced_by("BS3"), replaces("BS1")]
    assert "active" not in await patient(hub, "BS3")


async def test_of_merges_in_a_circle_the_latest_holds(hub: Hub) -> None:
    await sent(hub, merge("BS1", "BS2"), merge("BS2", "BS1"))
    assert (await patient(hub, "BS2"))["link"] == [replaced_by("BS1")]
    assert (await patient(hub, "BS1"))["link"] == [replaces("BS2")]
    assert ("active" in await patient(hub, "BS1"), (await patient(hub, "BS2"))["active"]) == (False, False)
    assert await hub.open_findings() == ["merge-turned-round"]
    await sent(hub, merge("BS1", "BS2", control_id="back"))
    assert (await patient(hub, "BS1"))["link"] == [replaced_by("BS2")]


async def test_a_longer_circle_always_leaves_the_patient_in_use_that_was_named_last(hub: Hub) -> None:
    await sent(hub, merge("BS1", "BS2"), merge("BS2", "BS3"), merge("BS3", "BS1"))
    assert [(await patient(hub, f"BS{n}")).get("active") for n in (1, 2, 3)] == [None, False, False]
    assert (await patient(hub, "BS3"))["link"] == [replaced_by("BS1"), replaces("BS2")]


@pytest.mark.parametrize(
    ("one", "other", "word"),
    [
        ({"card": card(1)}, {"card": card(2)}, "居民身份证"),
        ({"born": "19630512"}, {"born": "19900101"}, "date of birth"),
    ],
)
async def test_a_merge_against_the_evidence_is_made_and_said_to_be_doubtful(
    hub: Hub, one: dict[str, str], other: dict[str, str], word: str
) -> None:
    plain = _adt("A40", "M1", "PID|1||BS1^^^BSHIS^MR", "MRG|BS2^^^BSHIS^MR")
    await sent(hub, register("BS1", control_id="R1", **one), register("BS2", control_id="R2", **other), plain)
    assert await persons(hub) == [{source("BS1"), source("BS2")}]
    finding = await hub.pool.fetchrow("select code, about, text from finding where code = 'merge-doubtful'")
    assert (finding["about"], word in finding["text"]) == (f"Patient/{source('BS2')}", True)


async def test_a_merge_of_two_sexes_is_doubtful(hub: Hub) -> None:
    man = register("BS2", control_id="R2").replace(b"|F|", b"|M|")
    await sent(hub, register("BS1", control_id="R1"), man, merge("BS2", "BS1"))
    assert await hub.open_findings() == ["merge-doubtful"]


async def test_what_a_person_undoes_leaves_nothing_behind(hub: Hub) -> None:
    await sent(hub, register("BS1", card=card(1), control_id="R1"), register("BS2", card=card(2), control_id="R2"))
    await hub.send("qingxi-his", in_utf8(register("QX2", card=card(2), control_id="Q2", sender="QXZWSY")))
    await hub.run()
    # MRG and PID say nothing new of either.
    before = await standing(hub)
    await sent(hub, _adt("A40", "M1", "PID|1||BS1^^^BSHIS^MR", "MRG|BS2^^^BSHIS^MR"))
    assert [len(person) for person in await persons(hub)] == [3]
    assert await hub.open_findings() == ["merge-doubtful"]
    await undone(hub, 1)
    assert await standing(hub) == before
    assert await hub.open_findings() == []
    act = await hub.pool.fetchrow(
        "select actor, subject, detail ->> 'reason' as why from audit where action = 'undo-merge'"
    )
    assert tuple(act) == ("it", f"Patient/{source('BS2')}", "another person")
    written = await hub.pool.fetchval("select actor from resource where id = $1", source("BS2"))
    assert written == "it"


async def test_what_came_while_they_were_joined_goes_with_the_identifier_it_came_by(hub: Hub) -> None:
    await sent(hub, register("BS1", card=card(1), control_id="R1"), register("BS2", card=card(2), control_id="R2"))
    await sent(hub, merge("BS2", "BS1"))
    await hub.send("qingxi-his", in_utf8(register("QX2", card=card(2), control_id="Q2", sender="QXZWSY")))
    await hub.run()
    assert [len(person) for person in await persons(hub)] == [3]
    await undone(hub, 1)
    there = source("QX2", "qingxi")
    assert sorted(await persons(hub), key=len) == [{source("BS1")}, {source("BS2"), there}]


async def test_undoing_one_of_several_leaves_what_the_others_say(hub: Hub) -> None:
    await sent(hub, merge("BS1", "BS2"), merge("BS3", "BS2"), merge("BS2", "BS4"))
    await undone(hub, 1)
    assert await persons(hub) == sorted([{source("BS1")}, {source("BS2"), source("BS3"), source("BS4")}], key=sorted)
    assert "link" not in await patient(hub, "BS1")
    assert (await patient(hub, "BS2"))["link"] == [replaced_by("BS4"), replaces("BS3")]


async def test_an_undone_merge_stays_undone_when_its_message_is_processed_again(hub: Hub) -> None:
    await sent(hub, merge("BS2", "BS1"))
    await undone(hub, 1)
    before = await standing(hub)
    envelope = await hub.pool.fetchval("delete from outcome returning envelope")
    await hub.pool.execute("insert into inbox (envelope, place, lanes) values ($1, $1, '{}')", envelope)
    await hub.run()
    assert await standing(hub) == before
    assert await hub.open_findings() == ["merge-undone-before"]


async def test_a_merge_that_is_stated_anew_after_it_was_undone_is_made_and_said(hub: Hub) -> None:
    await sent(hub, merge("BS2", "BS1"))
    await undone(hub, 1)
    await sent(hub, merge("BS2", "BS1", control_id="again"))
    assert (await patient(hub, "BS2"))["active"] is False
    assert await hub.open_findings() == ["merge-after-undo"]


async def test_what_does_not_stand_cannot_be_undone(hub: Hub) -> None:
    await sent(hub, merge("BS2", "BS1"))
    await undone(hub, 1)
    with pytest.raises(RequestStateError):
        await undone(hub, 1)
    with pytest.raises(NotFoundError):
        await undone(hub, 9)


async def test_a_link_leaves_both_in_use_and_an_unlink_parts_them(hub: Hub) -> None:
    await sent(hub, register("BS1", control_id="R1"), register("BS2", control_id="R2"))
    before = await standing(hub)
    await sent(hub, link("BS1", "BS2"))
    assert await persons(hub) == [{source("BS1"), source("BS2")}]
    assert (await patient(hub, "BS1"))["link"][0]["type"] == "seealso"
    assert "active" not in await patient(hub, "BS2")
    await sent(hub, link("BS2", "BS1", event="A37"))
    after = await standing(hub)
    assert (after["links"], after["keys"]) == (before["links"], before["keys"])
    assert "link" not in await patient(hub, "BS1")
    assert await hub.open_findings() == []


async def test_an_unlink_does_not_part_what_was_merged(hub: Hub) -> None:
    await sent(hub, merge("BS2", "BS1"), link("BS1", "BS2", event="A37"))
    assert await persons(hub) == [{source("BS1"), source("BS2")}]
    assert await hub.open_findings() == ["unlink-not-applied"]


@pytest.mark.parametrize(
    ("payload", "finding"),
    [
        (_adt("A37", "1", _pid("BS1"), _pid("BS2")), "unlink-of-unlinked"),
        (_adt("A24", "2", _pid("BS1")), "link-of-nobody"),
        (_adt("A24", "3", _pid("BS1"), _pid("BS1")), "link-of-nobody"),
        (_adt("A40", "4", _pid("BS1"), "MRG|"), "merge-not-applied"),
        (_adt("A40", "5", _pid("BS1"), 'MRG|""'), "merge-not-applied"),
        (_adt("A40", "6", _pid("BS1"), "MRG|BS1"), "merge-not-applied"),
        (_adt("A43", "7", _pid("BS1"), "MRG|BS1"), "merge-not-applied"),
    ],
)
async def test_what_joins_nobody_says_so(hub: Hub, payload: bytes, finding: str) -> None:
    await sent(hub, payload)
    assert await hub.open_findings() == [finding]
    assert await hub.pool.fetchval("select count(*) from patient_join") == 0


async def test_a_person_links_what_was_only_a_possible_match(hub: Hub) -> None:
    await sent(hub, register("BS1", control_id="R1"), register("BS2", control_id="R2"))
    async with hub.pool.acquire() as connection, connection.transaction():
        stated = await joins_by_hand.link(
            connection, Join(JoinKind.LINK, source("BS2"), source("BS1")), "it", "asked the patient", now()
        )
    assert (stated.actor, await persons(hub)) == ("it", [{source("BS1"), source("BS2")}])
    async with hub.pool.acquire() as connection, connection.transaction():
        with pytest.raises(RequestStateError):
            await joins_by_hand.link(connection, stated.join, "it", "again", now())


async def test_many_workers_end_as_one_does(
    hub: Hub, community: Community, mappings: MappingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message of two patients waits for both lanes and holds both, so who runs it does not matter."""
    monkeypatch.setattr(pipeline_module, "BATCH", 3)
    chance = random.Random(20261121)
    for payload in _random_messages(chance, 90):
        await hub.send("baishi-his", payload)
    received = await hub.pool.fetch("select id from journal order by id")
    await run_together(hub, community, mappings, workers=3)
    assert await hub.held() == 0
    together = await _without_findings_order(hub)
    assert await hub.pool.fetchval("select count(*) from patient_join where undone_at is null") > 10

    await hub.pool.execute(
        """
        truncate resource, resource_history, patient_link, person_key, patient_join, outcome, finding, worklist,
                 audit, delivery
        """
    )
    for row in received:  # one by one, in the order they came
        await hub.pool.execute("insert into inbox (envelope, place, lanes) values ($1, $1, '{}')", row["id"])
        await hub.run()
    assert await _without_findings_order(hub) == together


def _random_messages(chance: random.Random, count: int) -> list[bytes]:
    made = []
    for n in range(count):
        one, other = chance.sample([f"BS{n}" for n in range(8)], 2)
        number = card(int(one[2:])) if chance.random() < 0.5 else ""
        made.append(
            chance.choice(
                [
                    register(one, card=number, name=f"石^第{n}", control_id=f"N{n}", event="A08"),
                    result(f"L{chance.randrange(4)}{one}", patient=one, control_id=f"N{n}", value=f"{n}.0"),
                    order(f"O{one}", patient=one, control_id=f"N{n}", accession=f"A{one}"),
                    merge(one, other, control_id=f"N{n}", name=f"石^第{n}"),
                    link(one, other, control_id=f"N{n}"),
                    link(one, other, control_id=f"N{n}", event="A37"),
                ]
            )
        )
    return made


async def _without_findings_order(hub: Hub) -> dict[str, Any]:
    found = await standing(hub)
    found["bodies"] = {
        f"{row['type']}/{row['id']}": row["body"]
        for row in await hub.pool.fetch("select type, id, body from resource where type not in ('Task', 'Patient')")
    }
    found["sources"] = {p["id"]: p for p in await hub.resources("Patient") if "meta" not in p}
    rows = await hub.pool.fetch("select code, envelope from finding order by envelope, code")
    found["findings"] = [tuple(row) for row in rows]
    return found


async def test_joins_by_several_workers_at_one_moment_lose_nobody(
    hub: Hub, community: Community, mappings: MappingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Disjoint lanes that meet in one person: every merge takes another number into a person of one card."""
    monkeypatch.setattr(pipeline_module, "BATCH", 2)
    for n in range(8):
        await hub.send("baishi-his", register(f"BS{n}", card=card(1), control_id=f"R{n}"))
    await hub.run()
    for n in range(8):
        await hub.send("baishi-his", merge(f"OLD{n}", f"BS{n}"))
    await run_together(hub, community, mappings, workers=3)
    assert await hub.held() == 0
    assert [len(person) for person in await persons(hub)] == [16]
    (golden,) = [p for p in await hub.resources("Patient") if "meta" in p and "active" not in p]
    assert len(golden["link"]) == 16
