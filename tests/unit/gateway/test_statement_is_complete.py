"""The Conformance Statement leaves out no status, no key and nobody who is called."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from engine import config
from engine.config import AeEntry, Community, DicomChannel, DicomEndpoint
from engine.config.transport import EndpointTls, ListenerTls
from pacs_gateway import indexing, status
from pacs_gateway.dicomweb.anew import TARGETS
from pacs_gateway.query.keys import LEVEL_OF
from pacs_gateway.statement.document import Block, Paragraph, Table, markdown
from pacs_gateway.statement.stated import statement
from pacs_gateway.transfer_syntaxes import TRANSFER_SYNTAXES

EXAMPLE = Path(__file__).parents[3] / "docker" / "example"
WHERE: dict[str, Any] = {"facility": "baishi", "address": "ws", "port": 104}


def with_channel(*entries: AeEntry, **endpoints: DicomEndpoint) -> list[Block]:
    tls = ListenerTls(certificate="hub.pem", key="hub.key", client_ca="ca.pem")
    channel = DicomChannel(type="dicom", name="imaging", ae_title="HUTONG", ae_entries=entries, tls=tls)
    changes = {"channels": {"imaging": channel}, "endpoints": endpoints}
    community: Community = config.load(EXAMPLE).model_copy(update=changes)
    return statement(community)


def rows(blocks: list[Block], heading: str) -> list[dict[str, str]]:
    """Of the tables that have this heading."""
    return [
        dict(zip(block.headings, row, strict=True))
        for block in blocks
        if isinstance(block, Table) and heading in block.headings
        for row in block.rows
    ]


def test_every_status_that_is_answered_is_stated_and_no_other() -> None:
    blocks = with_channel()
    stated = {row["Status"] for row in rows(blocks, "Status")}
    stated |= {row["Failure reason"] for row in rows(blocks, "Failure reason")}
    answered = {f"{code:04X}" for name, code in vars(status).items() if name[0].isupper() and isinstance(code, int)}
    assert stated == answered


def test_no_request_has_a_status_twice() -> None:
    stated = [(row["Request"], row["Status"]) for row in rows(with_channel(), "Status")]
    assert len(set(stated)) == len(stated)


def test_every_encoding_that_an_instance_is_had_in_over_the_web_is_stated() -> None:
    (stated,) = [row["Value"] for row in rows(with_channel(), "Property") if row["Property"] == "Transfer syntaxes"]
    assert [name for uid, name in TRANSFER_SYNTAXES.items() if uid in TARGETS and name not in stated] == []


def test_every_indexed_attribute_is_stated() -> None:
    stated = {row["Tag"] for row in rows(with_channel(), "Level")}
    assert stated == {f"({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag in LEVEL_OF}


def test_the_row_of_an_object_is_promised_for_when_the_index_writes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "SENDERS_FIRST_SECS", 7.0)
    (storage,) = [row["Behaviour"] for row in rows(with_channel(), "Behaviour") if row["Service"] == "Storage"]
    assert "its row follows when senders pause, and while they go on after 7 s" in storage


def test_everybody_who_is_called_is_stated_with_what_for_and_how() -> None:
    endpoint = DicomEndpoint(
        type="dicom", name="pacs", facility="baishi", host="10.0.0.9", port=11112, ae_title="PACS", commits=True
    )
    blocks = with_channel(
        AeEntry(ae_title="WS", **WHERE, tls=EndpointTls()),
        AeEntry(ae_title="CT", **WHERE, queryable=True),
        AeEntry(ae_title="DR", facility="baishi"),
        pacs=endpoint,
    )
    called = {row["AE title"]: row for row in rows(blocks, "We are")}
    assert set(called) == {"PACS", "WS", "CT"}
    assert called["PACS"]["Services (SCU)"].endswith("Storage Commitment Push Model")
    assert called["WS"]["Security"] == "TLS 1.2 or newer"
    assert (called["WS"]["Address"], called["WS"]["We are"], called["CT"]["Security"]) == ("ws:104", "HUTONG", "none")
    assert "Study Root FIND" in called["CT"]["Services (SCU)"]
    assert "Study Root FIND" not in called["WS"]["Services (SCU)"]
    proposed = {row["Service"] for row in rows(blocks, "Requests") if "Service" in row}
    assert {service for row in called.values() for service in row["Services (SCU)"].split(", ")} <= proposed


def test_entries_of_one_title_are_stated_with_what_tells_them_apart() -> None:
    blocks = with_channel(
        AeEntry(ae_title="CT", facility="baishi", client_names=("ct.baishi", "ct2.baishi")),
        AeEntry(ae_title="CT", facility="qingxi", address="10.0.0.2"),
    )
    stated = {row["Facility"]: row["From"] for row in rows(blocks, "Calling AE title")}
    assert stated == {"baishi": "any address, with a certificate of ct.baishi or ct2.baishi", "qingxi": "10.0.0.2"}


def test_chapters_are_numbered_in_their_order() -> None:
    blocks = with_channel()
    assert not [block for block in blocks if isinstance(block, Paragraph) and not block.text]
    numbers = re.findall(r"^### (2\.\d)", markdown(blocks), re.MULTILINE)
    assert numbers == [f"2.{number}" for number in range(1, 9)]
