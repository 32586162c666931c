"""The HTTP side of the simulators insists on an answer, and reads objects as WADO-RS sends them."""

from __future__ import annotations

from io import BytesIO

import httpx
import pytest
from pydicom import dcmread

from conformance.errors import NoAnswerError, UnexpectedAnswerError
from conformance.objects import twelve_lead_ecg
from conformance.simulators.county_his import CountyHis
from conformance.simulators.http import HubHttp
from conformance.simulators.modality import content_sha256
from conformance.simulators.reading_room import ReadingRoom


def hub(answer: httpx.Response | Exception) -> HubHttp:
    def respond(request: httpx.Request) -> httpx.Response:
        assert request.headers["Authorization"] == "Bearer t"
        if isinstance(answer, Exception):
            raise answer
        return answer

    return HubHttp("http://hub", "t", transport=httpx.MockTransport(respond))


@pytest.mark.parametrize("status", [302, 401, 404, 409, 500])
async def test_any_status_but_success_is_unexpected(status: int) -> None:
    with pytest.raises(UnexpectedAnswerError, match=str(status)):
        await hub(httpx.Response(status, json={})).get("/api/me")


async def test_a_hub_that_is_gone_gives_no_answer() -> None:
    with pytest.raises(NoAnswerError):
        await hub(httpx.ConnectError("refused")).get("/api/me")


async def test_an_object_is_read_from_a_multipart_answer_and_from_a_plain_one() -> None:
    content = twelve_lead_ecg().read_bytes()
    whole = content_sha256(dcmread(BytesIO(content)))
    part = b"Content-Type: application/dicom\r\n\r\n" + content + b"\r\n"
    multipart = httpx.Response(
        200,
        headers={"Content-Type": 'multipart/related; type="application/dicom"; boundary="b0undary"'},
        content=b"--b0undary\r\n" + part + b"--b0undary--\r\n",
    )
    for answer in (multipart, httpx.Response(200, headers={"Content-Type": "application/dicom"}, content=content)):
        assert content_sha256(await ReadingRoom(hub(answer)).original("1", "2", "3")) == whole


async def test_a_line_of_the_worklist_is_found_by_its_accession_number() -> None:
    rows = {"requests": [{"accession": "A1", "id": "1"}, {"accession": "A2", "id": "2"}]}
    room = ReadingRoom(hub(httpx.Response(200, json=rows)))
    found = await room.waiting("county-imaging", "A2")
    assert found is not None
    assert found["id"] == "2"
    assert await room.waiting("county-imaging", "A3") is None


async def test_a_patient_who_is_not_known_yet_is_none() -> None:
    assert await CountyHis(hub(httpx.Response(200, json={"resourceType": "Bundle"}))).patient("C1") is None
