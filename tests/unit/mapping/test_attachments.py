"""What a result embeds or points to: the printed report, key images, studies; checked, bounded, and never guessed."""

from __future__ import annotations

import base64
import time
from hashlib import sha1
from typing import Any

import pytest

from engine.mapping import Mapped
from engine.mapping.functions.attachments import LIMIT_TWICE
from tests.unit.mapping.conftest import Map
from tests.unit.mapping.segments import obr, pid, segment

PDF = b"%PDF-1.4\n%%EOF\n"
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"
UID = "1.2.840.113619.2.55.3"


def report(result: Mapped) -> dict[str, Any]:
    return next(each for each in result.resources if each["resourceType"] == "DiagnosticReport")


def observation(result: Mapped) -> dict[str, Any]:
    return next(each for each in result.resources if each["resourceType"] == "Observation")


def sent(mapped: Map, kind: str, value: str) -> Mapped:
    return mapped("ORU^R01", pid(), obr(), segment("OBX", f1="1", f2=kind, f3="P^报告原件^L", f5=value, f11="F"))


def embedded(content: bytes, *, kind: str = "AP", subtype: str = "PDF") -> str:
    return f"RIS^{kind}^{subtype}^Base64^{base64.b64encode(content).decode()}"


@pytest.mark.parametrize(
    ("content", "subtype", "media"),
    [(PDF, "PDF", "application/pdf"), (JPEG, "JPEG", "image/jpeg"), (b"<a/>", "XML", "application/xml")],
)
def test_what_is_embedded_stands_in_the_report_and_in_the_result(
    mapped: Map, content: bytes, subtype: str, media: str
) -> None:
    result = sent(mapped, "ED", embedded(content, subtype=subtype))
    data = base64.b64encode(content).decode()
    assert report(result)["presentedForm"] == [{"contentType": media, "data": data, "title": "报告原件"}]
    assert observation(result)["extension"][0]["valueAttachment"] == {"contentType": media, "data": data}
    assert result.findings == []


@pytest.mark.parametrize(
    ("content", "subtype", "media"),
    [(PDF, "JPEG", "image/jpeg"), (JPEG, "PDF", "application/pdf"), (b"MZ\x90", "PDF", "application/pdf")],
)
def test_what_is_labelled_wrongly_goes_by_what_it_is_and_it_is_said(
    mapped: Map, content: bytes, subtype: str, media: str
) -> None:
    result = sent(mapped, "ED", embedded(content, subtype=subtype))
    found = report(result)["presentedForm"][0]["contentType"]
    assert found != media
    assert found in ("application/pdf", "image/jpeg", "application/octet-stream")
    assert [(f.code, f.rule) for f in result.findings] == [("embedded-type-differs", "obx-5")]


@pytest.mark.parametrize("data", ["JVBE!!", "JVBERi0", "这不是", "=", "JVBERi0xLjQK JVBE-"])
def test_what_is_no_base64_is_in_no_report_and_it_is_said_once(mapped: Map, data: str) -> None:
    result = sent(mapped, "ED", f"RIS^AP^PDF^Base64^{data}")
    assert "presentedForm" not in report(result)
    assert observation(result)["dataAbsentReason"]["coding"][0]["code"] == "error"
    assert [f.code for f in result.findings] == ["embedded-data-unreadable"]


@pytest.mark.parametrize("value", ["RIS^AP^PDF^Base64^", "^^^^", "RIS", "RIS^AP^PDF"])
def test_an_attachment_that_holds_nothing_is_none(mapped: Map, value: str) -> None:
    result = sent(mapped, "ED", value)
    assert "presentedForm" not in report(result)
    assert "extension" not in observation(result)


def test_a_large_attachment_stands_once_and_the_report_says_how_large_it_is(mapped: Map) -> None:
    content = PDF + b"\x00" * 20_000_000
    begun = time.process_time()
    result = sent(mapped, "ED", embedded(content))
    took = time.process_time() - begun
    form = report(result)["presentedForm"][0]
    digest = base64.b64encode(sha1(content, usedforsecurity=False).digest()).decode()
    assert (form["contentType"], form["size"], form["hash"]) == ("application/pdf", len(content), digest)
    assert "data" not in form
    assert len(observation(result)["extension"][0]["valueAttachment"]["data"]) > LIMIT_TWICE
    assert took < 10


def test_a_text_of_twenty_megabytes_is_kept_whole(mapped: Map) -> None:
    text = "未见异常。" * 1_400_000
    assert observation(sent(mapped, "TX", text))["valueString"] == text


def test_a_pointer_with_an_address_stands_in_the_report(mapped: Map) -> None:
    result = sent(mapped, "RP", "https://ris.example/r/1.pdf^RIS^AP^PDF")
    assert report(result)["presentedForm"][0]["url"] == "https://ris.example/r/1.pdf"


@pytest.mark.parametrize("value", ["\\\\server\\share\\1.pdf^RIS^AP^PDF", "报告室^RIS", "..^RIS"])
def test_a_pointer_without_an_address_stays_words_in_the_result(mapped: Map, value: str) -> None:
    result = sent(mapped, "RP", value)
    assert "presentedForm" not in report(result)
    assert observation(result)["valueString"]
    assert [f.code for f in result.findings] == ["pointer-relative"]


def test_a_pointer_to_a_study_is_the_study_of_the_report(mapped: Map) -> None:
    result = sent(mapped, "RP", f"{UID}^RIS^Application^DICOM")
    studies = report(result)["imagingStudy"]
    assert [study["identifier"]["value"] for study in studies] == [f"urn:oid:{UID}"]
    assert result.findings == []


@pytest.mark.parametrize("uid", ["1.2.", "1..2", "01.2", "1.02", "９.1", "1." + "3" * 63, "abc"])
def test_what_is_no_study_uid_names_no_study(mapped: Map, uid: str) -> None:
    result = mapped("ORU^R01", pid(), obr(), f"ZDS|{uid}^RIS^Application^DICOM")
    assert "imagingStudy" not in report(result)
    assert [f.code for f in result.findings] == ["study-uid-unfit"]


def test_each_attachment_goes_to_the_report_it_belongs_to(mapped: Map) -> None:
    result = mapped(
        "ORU^R01",
        pid(),
        obr(f2="P1", f3="F1"),
        segment("OBX", f1="1", f2="ED", f3="A^甲^L", f5=embedded(PDF), f11="F"),
        obr(f2="P2", f3="F2"),
        segment("OBX", f1="1", f2="NM", f3="B^乙^L", f5="1", f11="F"),
        segment("OBX", f1="2", f2="RP", f3="C^丙^L", f5="https://a/b^X^TEXT^HTML", f11="F"),
    )
    first, second = (each for each in result.resources if each["resourceType"] == "DiagnosticReport")
    assert [form["title"] for form in first["presentedForm"]] == ["甲"]
    assert [form["title"] for form in second["presentedForm"]] == ["丙"]
    assert (len(first["result"]), len(second["result"])) == (1, 2)
