"""Orders that may be of images and are on no worklist, because nothing says of what kind they are: told once."""

from __future__ import annotations

import pytest

from engine.clock import now
from engine.config import Community
from engine.mapping import MappingSet
from engine.pipeline import Pipeline
from engine.recording import unplaced_orders
from engine.store import finding_list, findings
from engine.store.finding_list import Choice
from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import order

CODE = "order-kind-unknown"


def _of(section: str, placer: str = "O1", code: str = "XP-1", *, control: str = "NW", sender: str = "BSXWSY") -> bytes:
    told = order(placer, code=code, control_id=f"M{placer}{control}", control=control, sender=sender)
    return told.replace(b"||||||DX", b"||||||" + section.encode("gb18030"))


async def _told(hub: Hub) -> list[str]:
    rows = await hub.pool.fetch("select about from finding where code = $1 and settled_at is null order by about", CODE)
    return [row["about"] for row in rows]


async def test_an_order_of_unknown_kind_is_told_once_for_each_facility_and_code(hub: Hub) -> None:
    await hub.send("baishi-his", _of("", "O1"))
    await hub.send("baishi-his", _of("", "O2"))
    await hub.run()
    await hub.send("baishi-his", _of("", "O3"))
    await hub.send("baishi-his", _of("", "O4", "XP-2"))
    await hub.send("qingxi-his", _of("", "O5", sender="QXZWSY"))
    await hub.run()
    assert await hub.pool.fetchval("select count(*) from worklist") == 0
    assert await _told(hub) == ["baishi OBR-4 XP-1", "baishi OBR-4 XP-2", "qingxi OBR-4 XP-1"]


@pytest.mark.parametrize("section", ["DX", "LAB", "PHR"])
async def test_an_order_that_says_its_kind_is_told_of_to_nobody(hub: Hub, section: str) -> None:
    await hub.send("baishi-his", _of(section))
    await hub.run()
    assert await _told(hub) == []


async def test_what_tells_more_of_an_order_that_has_its_modality_is_no_order_of_unknown_kind(hub: Hub) -> None:
    await hub.send("baishi-his", _of("DX"))
    await hub.send("baishi-his", _of("", control="XO"))
    await hub.run()
    assert await hub.pool.fetchval("select count(*) from worklist") == 1
    assert await _told(hub) == []


async def test_one_that_is_sent_again_with_its_modality_comes_to_the_worklist(hub: Hub) -> None:
    await hub.send("baishi-his", _of(""))
    await hub.send("baishi-his", _of("DX", control="XO"))
    await hub.run()
    assert await hub.pool.fetchval("select modality from worklist") == "DX"


async def test_many_unknown_codes_of_one_facility_are_told_of_together(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unplaced_orders, "MOST_AT_ONCE", 2)
    for number in range(6):
        await hub.send("baishi-his", _of("", f"O{number}", f"XP-{number}"))
    await hub.send("qingxi-his", _of("", "Q1", sender="QXZWSY"))
    await hub.run()
    told = await _told(hub)
    assert len(told) == 4
    assert {about for about in told if not about.startswith("baishi OBR-4 ")} == {
        "baishi OBR-4, and others",
        "qingxi OBR-4 XP-1",
    }
    await _settle(hub)
    for number in (7, 8, 9):
        await hub.send("baishi-his", _of("", f"O{number}", f"XP-{number}"))
        await hub.run()
    assert {*await _told(hub)} == {"baishi OBR-4 XP-7", "baishi OBR-4 XP-8", "baishi OBR-4, and others"}
    await hub.send("baishi-his", _of("", "O10", "XP-10"))
    await hub.run()
    assert len(await _told(hub)) == 3


async def test_of_two_recordings_at_once_one_tells_of_the_others(hub: Hub) -> None:
    about = "baishi OBR-4, and others"
    async with hub.pool.acquire() as one, one.transaction(), hub.pool.acquire() as two, two.transaction():
        assert await findings.is_first_to_tell(one, CODE, about)
        assert not await findings.is_first_to_tell(two, CODE, about)
        assert await findings.is_first_to_tell(two, CODE, "qingxi OBR-4, and others")


async def test_what_a_person_settled_is_not_told_again(hub: Hub) -> None:
    await hub.send("baishi-his", _of(""))
    await hub.run()
    await _settle(hub)
    await hub.send("baishi-his", _of("", "O2"))
    await hub.run()
    assert await _told(hub) == []


async def test_a_facility_whose_orders_no_modality_and_no_centre_takes_is_told_nothing(
    hub: Hub, community: Community, mappings: MappingSet
) -> None:
    alone = _without_imaging(community)
    hub.pipeline = Pipeline(hub.url, alone, mappings, now, hub.ids)
    await hub.send("baishi-his", _of(""))
    await hub.run()
    assert await _told(hub) == []


def _without_imaging(community: Community) -> Community:
    """Without whatever takes orders of images."""
    channels = {name: one for name, one in community.channels.items() if one not in community.dicom_channels}
    return community.model_copy(update={"channels": channels, "routes": ()})


async def _settle(hub: Hub) -> None:
    async with hub.pool.acquire() as connection, connection.transaction():
        await finding_list.settle_many(connection, Choice(code=CODE), "wang", "no images", now())
