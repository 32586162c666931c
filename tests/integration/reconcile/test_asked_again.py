"""A client that keeps what it was served shows nobody the wrong patient: it asks again, and hears what was decided."""

from __future__ import annotations

import httpx

from tests.integration.engine.messages import order
from tests.integration.reconcile.conftest import Desk, Write

INSTANCE = "/dicomweb/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1"
SERVED = ("", "/frames/1", "/bulkdata/7FE00010", "/rendered", "/thumbnail", "/metadata")


async def test_what_is_served_is_asked_for_again_and_is_new_once_it_was_decided_on(
    desk: Desk, radiograph: Write
) -> None:
    async def asked(had: dict[str, str] | None = None) -> dict[str, httpx.Response]:
        return {
            what: await desk.reader.get(INSTANCE + what, headers={"if-none-match": had[what]} if had else {})
            for what in SERVED
        }

    def tags(answers: dict[str, httpx.Response]) -> dict[str, str]:
        return {what: answer.headers["etag"] for what, answer in answers.items()}

    await desk.order(order("O2", accession="ACC2", patient="BS0002", name="王^芳", control_id="M2"))
    await desk.store(radiograph())
    first = await asked()
    assert {answer.headers["cache-control"] for answer in first.values()} == {"private, no-cache"}
    assert {answer.status_code for answer in (await asked(tags(first))).values()} == {304}

    await desk.decide("1.2.3", "assign", accession="ACC2")
    now = await asked(tags(first))
    assert {answer.status_code for answer in now.values()} == {200}
    assert b"BS0002" in now[""].content
    assert {answer.status_code for answer in (await asked(tags(now))).values()} == {304}

    await desk.decide("1.2.3", "reject", title="quality", instances=["1.2.3.1.1"])
    assert {answer.status_code for answer in (await asked(tags(now))).values()} == {404}
