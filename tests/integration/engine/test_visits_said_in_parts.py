"""A visit from admission to discharge: what a later message does not say stays on the record."""

from __future__ import annotations

from tests.integration.engine.conftest import Hub


def message(event: str, pv1: str, *segments: str) -> bytes:
    lines = (
        f"MSH|^~\\&|HIS|BSXWSY|HUTONG|HUB|20261121083000||ADT^{event}|{event}|P|2.4",
        f"EVN|{event}|20261121083000",
        "PID|1||BS0001^^^BSHIS^MR||石^秀英||19630512|F",
        pv1,
        *segments,
    )
    return "".join(f"{line}\r" for line in lines).encode("gb18030")


def pv1(place: str, doctor: str = "", admitted: str = "20261121082000", discharged: str = "") -> str:
    return f"PV1|1|I|{place}||||{doctor}||||||||||||V1{'|' * 25}{admitted}|{discharged}"


async def test_a_discharge_leaves_the_bed_and_erases_nothing(hub: Hub) -> None:
    await hub.send("baishi-his", message("A01", pv1("NK^201^03", "D1^周^大夫"), "DG1|1||I10^高血压^L|||A"))
    await hub.send("baishi-his", message("A03", pv1("NK^201^03^BSXWSY", "", "", "20261123"), "DG1|1||I11^^L|||DD"))
    await hub.run()
    assert await hub.held() == 0
    visit = await hub.only("Encounter")
    assert visit["status"] == "finished"
    assert visit["period"] == {"start": "2026-11-21T08:20:00+08:00", "end": "2026-11-23"}
    assert [each["use"]["coding"][0]["code"] for each in visit["diagnosis"]] == ["AD", "DD"]
    assert [each["individual"]["display"] for each in visit["participant"]] == ["周大夫"]
    (bed,) = visit["location"]
    assert (bed["status"], bed["period"]) == ("completed", {"end": "2026-11-23"})
    beds = [each for each in await hub.resources("Location") if each["name"] == "03"]
    assert [f"Location/{each['id']}" for each in beds] == [bed["location"]["reference"]]


async def test_an_update_after_the_discharge_opens_nothing_and_a_cancelled_discharge_does(hub: Hub) -> None:
    ended = {"start": "2026-11-21T08:20:00+08:00", "end": "2026-11-23"}
    begun = {"start": ended["start"]}
    told = [
        (message("A01", pv1("NK^201^03")), "in-progress", begun, "active"),
        (message("A03", pv1("NK^201^03", "", "", "20261123")), "finished", ended, "completed"),
        (message("A08", pv1("NK^201^03", "D2^李^大夫")), "finished", ended, "completed"),
        (message("A02", pv1("NK^201^03", "", "")), "finished", ended, "completed"),
        (message("A13", pv1("NK^201^03", "", "")), "in-progress", begun, "active"),
        (message("A08", pv1("NK^201^03")), "in-progress", begun, "active"),
        (message("A03", pv1("NK^201^03", "", "", "20261124")), "finished", {**begun, "end": "2026-11-24"}, "completed"),
        (message("A01", pv1("NK^202^05")), "in-progress", begun, "active"),
        (message("A11", pv1("NK^201^03")), "cancelled", begun, None),
    ]
    for one, status, period, bed in told:
        await hub.send("baishi-his", one)
        await hub.run()
        visit = await hub.only("Encounter")
        assert (visit["status"], visit["period"], visit["location"][0].get("status")) == (status, period, bed), one
    assert await hub.held() == 0
    assert [each["individual"]["display"] for each in visit["participant"]] == ["李大夫"]
