"""Documents: in what state, what they say, and what they replace."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

import pytest

from engine.errors import MappingError
from tests.unit.mapping.conftest import Map
from tests.unit.mapping.segments import pid, segment
from tests.unit.mapping.test_messages_of_others import validate


def txa(**fields: str) -> str:
    return segment("TXA", **{"f1": "1", "f2": "DS^出院小结^L", "f12": "D1^EMR", "f17": "AU", **fields})


def obx(kind: str, value: str, code: str = "DS^出院小结^L") -> str:
    return segment("OBX", f2=kind, f3=code, f5=value)


def document(mapped: Map, *segments: str, event: str = "T02") -> tuple[dict[str, Any], set[str]]:
    """The one document, and the codes of the findings."""
    result = mapped(f"MDM^{event}", *segments)
    for resource in result.resources:
        validate(resource)
    (found,) = [each for each in result.resources if each["resourceType"] == "DocumentReference"]
    return found, {finding.code for finding in result.findings}


def texts(found: dict[str, Any]) -> list[str]:
    return [b64decode(each["attachment"]["data"]).decode() for each in found["content"]]


@pytest.mark.parametrize(
    ("event", "availability", "completion", "status", "document_status"),
    [
        ("T01", "", "DI", "current", "preliminary"),
        ("T02", "AV", "AU", "current", "final"),
        ("T04", "UN", "LA", "current", "final"),
        ("T03", "OB", "LA", "superseded", "final"),
        ("T03", "CA", "LA", "entered-in-error", "final"),
        ("T08", "AV", "LA", "current", "amended"),
        ("T08", "AV", "IP", "current", "preliminary"),
        ("T11", "AV", "LA", "entered-in-error", "entered-in-error"),
    ],
)
def test_event_availability_and_completion_make_its_states(
    mapped: Map, event: str, availability: str, completion: str, status: str, document_status: str
) -> None:
    found, _ = document(mapped, pid(), txa(f19=availability, f17=completion), event=event)
    assert (found["status"], found["docStatus"]) == (status, document_status)


def test_lines_of_one_text_are_one_content_and_keep_their_order(mapped: Map) -> None:
    found, _ = document(mapped, pid(), txa(), obx("TX", "第一行~第二行"), obx("TX", "第三行"), obx("FT", "四\\.br\\五"))
    assert texts(found) == ["第一行\n第二行\n第三行\n四\n五"]


def test_texts_about_different_things_are_different_content(mapped: Map) -> None:
    found, _ = document(mapped, pid(), txa(), obx("TX", "小结"), obx("TX", "医嘱", "YZ^医嘱^L"))
    assert texts(found) == ["小结", "医嘱"]
    assert [each["attachment"]["title"] for each in found["content"]] == ["出院小结", "医嘱"]


def test_embedded_data_keep_their_bytes_and_their_type(mapped: Map) -> None:
    data = b64encode(b"%PDF-1.4\x00\xff").decode()
    found, _ = document(mapped, pid(), txa(), obx("ED", f"EMR^application^pdf^Base64^{data}"))
    assert found["content"][0]["attachment"] == {"contentType": "application/pdf", "data": data, "title": "出院小结"}


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        ("ED", "EMR^application^pdf^Base64^这不是", "embedded-data-unreadable"),
        ("ED", "EMR^application^pdf^Base64^abc", "embedded-data-unreadable"),
        ("ED", "EMR^application^pdf^Hex^xyz", "embedded-data-unreadable"),
        ("RP", "没有地址^PACS", "pointer-relative"),
        ("NM", "65", "document-value-skipped"),
        ("CE", "A^b^L", "document-value-skipped"),
    ],
)
def test_what_is_no_content_is_left_out_and_said(mapped: Map, kind: str, value: str, code: str) -> None:
    found, codes = document(mapped, pid(), txa(), obx(kind, value))
    assert codes == {code}
    assert not {"data", "url"} & set(found["content"][0]["attachment"])


@pytest.mark.parametrize(
    ("event", "code"), [("T05", "appends"), ("T06", "appends"), ("T09", "replaces"), ("T10", "replaces")]
)
def test_an_addendum_and_a_replacement_name_the_document_before_them(mapped: Map, event: str, code: str) -> None:
    found, _ = document(mapped, pid(), txa(f12="D2^EMR", f13="D1^EMR"), event=event)
    first, _ = document(mapped, pid(), txa())
    (relation,) = found["relatesTo"]
    assert (relation["code"], relation["target"]["identifier"]) == (code, first["masterIdentifier"])
    assert found["id"] != first["id"]


def test_a_replacement_that_replaces_nothing_and_a_parent_without_a_part_are_said(mapped: Map) -> None:
    assert document(mapped, pid(), txa(f13=""), event="T10")[1] == {"parent-document-missing"}
    assert document(mapped, pid(), txa(f13="D0"), event="T02")[1] == {"parent-document-unrelated"}


@pytest.mark.parametrize("event", ["T01", "T02", "T03", "T04", "T07", "T08", "T11"])
def test_whatever_happens_to_a_document_it_stays_the_same_one(mapped: Map, event: str) -> None:
    assert document(mapped, pid(), txa(), event=event)[0]["id"] == document(mapped, pid(), txa())[0]["id"]


def test_a_document_is_about_the_orders_around_it_and_about_those_it_names(mapped: Map) -> None:
    found, _ = document(mapped, pid(), "ORC|RE|O1", "OBR|1|O1||X^y^L", txa(f14="O2"), obx("TX", "小结"))
    assert len(found["context"]["related"]) == 2


@pytest.mark.parametrize(
    ("segments", "code", "place"),
    [
        ((pid(),), "segment-missing", "TXA"),
        ((pid(), txa(f12="")), "not-identified", "TXA-12"),
        ((txa(),), "not-identified", "TXA-12"),
        ((txa(), pid()), "not-identified", "TXA-12"),
    ],
)
def test_a_document_that_nothing_tells_apart_or_that_is_nobodys_is_held(
    mapped: Map, segments: tuple[str, ...], code: str, place: str
) -> None:
    with pytest.raises(MappingError) as held:
        mapped("MDM^T02", *segments)
    assert (held.value.code, held.value.location) == (code, place)
    assert held.value.rule
