"""Who has an answer is told so from the index alone; what changed since is answered anew."""

from __future__ import annotations

from pathlib import Path

import httpx
import pydicom

from pacs_gateway.gateway import Gateway
from tests.integration.gateway.conftest import Write
from tests.integration.gateway.fetching import RELATED, kept, parts_of, series_of, study_of

OCTETS = "application/octet-stream"


async def test_who_has_an_answer_is_told_so_without_a_look_at_the_object(
    gateway: Gateway, viewer: httpx.AsyncClient, radiograph: Write, objects: Path
) -> None:
    path = await kept(gateway, objects, radiograph())
    asked = [
        (path, "application/dicom"),
        (path, RELATED),
        (series_of(path), RELATED),
        (study_of(path), RELATED),
        (f"{path}/frames/1", OCTETS),
        (f"{path}/bulkdata/7FE00010", OCTETS),
    ]
    tags = []
    for one, accept in asked:
        answer = await viewer.get(one, headers={"accept": accept})
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "private, no-cache")
        tags.append(answer.headers["etag"])
    for file in (objects / "store").rglob("*.dcm"):
        file.unlink()
    for (one, accept), tag in zip(asked, tags, strict=True):
        for named in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            again = await viewer.get(one, headers={"accept": accept, "if-none-match": named})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        other = await viewer.get(one, headers={"accept": accept, "if-none-match": '"other"'})
        assert other.status_code == 404


async def test_another_representation_has_another_tag(
    gateway: Gateway, viewer: httpx.AsyncClient, radiograph: Write, objects: Path
) -> None:
    path = await kept(gateway, objects, radiograph())
    alone = await viewer.get(path, headers={"accept": "application/dicom"})
    parts = await viewer.get(path, headers={"accept": RELATED, "if-none-match": alone.headers["etag"]})
    assert len(parts_of(parts)) == 1


async def test_a_study_that_grew_is_answered_anew(
    gateway: Gateway, viewer: httpx.AsyncClient, radiograph: Write, objects: Path
) -> None:
    study = "1.2.826.0.1.77"
    path = await kept(gateway, objects, radiograph(StudyInstanceUID=study))
    first = await viewer.get(study_of(path))
    await kept(gateway, objects, radiograph(StudyInstanceUID=study))
    now = await viewer.get(study_of(path), headers={"if-none-match": first.headers["etag"]})
    assert (now.status_code, len(parts_of(now))) == (200, 2)


async def test_frames_are_found_whatever_stands_before_the_data_set(
    gateway: Gateway, viewer: httpx.AsyncClient, radiograph: Write, objects: Path
) -> None:
    """The same content is in the spool as one sender sent it and in the store as another did."""
    file = radiograph()
    pixels = pydicom.dcmread(file).PixelData
    path = await kept(gateway, objects, file)
    asked = [f"{path}/frames/1", f"{path}/bulkdata/7FE00010"]
    for one in asked:
        assert (await viewer.get(one, headers={"accept": OCTETS})).content == pixels
    (stored,) = (objects / "store").rglob("*.dcm")
    stored.write_bytes(longer_head(stored.read_bytes()))
    for one in asked:
        assert (await viewer.get(one, headers={"accept": OCTETS})).content == pixels


def longer_head(content: bytes) -> bytes:
    """As from a sender whose AE title has two characters more."""
    at = content.index(b"\x02\x00\x16\x00AE")
    size = int.from_bytes(content[at + 6 : at + 8], "little")
    meta = int.from_bytes(content[140:144], "little")
    title = content[at + 8 : at + 8 + size] + b"_2"
    return (
        content[:140]
        + (meta + 2).to_bytes(4, "little")
        + content[144 : at + 6]
        + (size + 2).to_bytes(2, "little")
        + title
        + content[at + 8 + size :]
    )
