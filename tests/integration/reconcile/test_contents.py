"""The same SOP Instance UID with other content: stored apart, and a person decides what it is."""

from __future__ import annotations

from tests.integration.engine.messages import order
from tests.integration.reconcile.conftest import Desk, Write


async def arrived_twice(desk: Desk, radiograph: Write) -> dict[str, str]:
    """Two contents under one UID; what is decided on."""
    await desk.order(order(accession="ACC1"))
    await desk.store(radiograph())
    await desk.store(radiograph(PixelData=b"\7" * 32))
    assert await desk.cases() == {"1.2.3": ["sop-uid-conflict"]}
    (apart,) = (await desk.study("1.2.3"))["apart"]
    assert apart["waits"]
    served = await desk.fetched("1.2.3", "1.2.3.1", "1.2.3.1.1")
    assert served.PixelData != b"\7" * 32, "never overwritten"
    return {"sop_uid": "1.2.3.1.1", "sha256": apart["sha256"]}


async def test_the_other_content_is_kept_as_an_instance_of_its_own(desk: Desk, radiograph: Write) -> None:
    which = await arrived_twice(desk, radiograph)
    number = await desk.decide("1.2.3", "content", choice="keep", **which)
    assert await desk.cases() == {}
    ((_, own),) = (await desk.uids("1.2.3")) - {("1.2.3.1", "1.2.3.1.1")}
    served = await desk.fetched("1.2.3", "1.2.3.1", own)
    assert (served.SOPInstanceUID, served.file_meta.MediaStorageSOPInstanceUID) == (own, own)
    assert served.PixelData == b"\7" * 32
    assert (await desk.imaging_study("1.2.3"))["numberOfInstances"] == 2

    # Sent again, it is the repeat that it is.
    await desk.store(radiograph(PixelData=b"\7" * 32))
    assert len(await desk.uids("1.2.3")) == 2
    assert await desk.cases() == {}

    await desk.undo(number)
    assert await desk.cases() == {"1.2.3": ["sop-uid-conflict"]}
    assert await desk.uids("1.2.3") == {("1.2.3.1", "1.2.3.1.1")}


async def test_the_other_content_is_the_right_one(desk: Desk, radiograph: Write) -> None:
    which = await arrived_twice(desk, radiograph)
    number = await desk.decide("1.2.3", "content", choice="replace", **which)
    assert await desk.cases() == {}
    assert (await desk.fetched("1.2.3", "1.2.3.1", "1.2.3.1.1")).PixelData == b"\7" * 32
    await desk.undo(number)
    assert (await desk.fetched("1.2.3", "1.2.3.1", "1.2.3.1.1")).PixelData != b"\7" * 32
    assert await desk.cases() == {"1.2.3": ["sop-uid-conflict"]}


async def test_the_other_content_is_left_and_a_third_is_a_case_again(desk: Desk, radiograph: Write) -> None:
    which = await arrived_twice(desk, radiograph)
    await desk.decide("1.2.3", "content", choice="leave", **which)
    assert await desk.cases() == {}
    (apart,) = (await desk.study("1.2.3"))["apart"]
    assert (apart["waits"], apart["why"]) == (False, "other-content")
    await desk.store(radiograph(PixelData=b"\x09" * 32))
    assert await desk.cases() == {"1.2.3": ["sop-uid-conflict"]}
    refused = await desk.ask(
        "1.2.3", "content", choice="keep", revision=(await desk.study("1.2.3"))["revision"], **which
    )
    assert (refused.status_code, refused.json()["code"]) == (404, "no-such-content")


async def test_a_study_of_nothing_but_used_uids_is_a_case_and_stops_nobody(desk: Desk, radiograph: Write) -> None:
    await desk.order(order(accession="ACC1"))
    await desk.store(radiograph())
    await desk.store(radiograph(StudyInstanceUID="1.2.9", SeriesInstanceUID="1.2.9.1", PixelData=b"\7" * 32))
    assert await desk.cases() == {"1.2.9": ["sop-uid-conflict"]}
    assert (await desk.imaging_study("1.2.9"))["status"] == "registered"
    (apart,) = (await desk.study("1.2.9"))["apart"]
    assert apart["first"]["patient_id"] == "BS0001"
    await desk.decide("1.2.9", "content", choice="keep", sop_uid="1.2.3.1.1", sha256=apart["sha256"])
    assert len(await desk.uids("1.2.9")) == 1
    assert await desk.uids("1.2.3") == {("1.2.3.1", "1.2.3.1.1")}
