"""A message in XML is taken, recorded and answered as one in ER7 is; hostile XML is refused and kept."""

from __future__ import annotations

import pytest

from engine.codecs import acknowledgment, er7, hl7v2
from tests.integration.protocol.conftest import Hub
from tests.integration.protocol.messages import registration

NAMES = {
    "MSH": {3: "HD", 4: "HD", 5: "HD", 6: "HD", 7: "TS", 9: "MSG", 11: "PT", 12: "VID"},
    "PID": {3: "CX", 5: "XPN", 7: "TS", 11: "XAD", 13: "XTN"},
    "EVN": {2: "TS"},
}


def as_xml(payload: bytes, structure: str = "ADT_A01", *, charset: str = "utf-8", label: str | None = None) -> bytes:
    """A message of these segments in XML, written apart from the hub's codec."""
    message = er7.parse(payload)
    lines = [f'<?xml version="1.0" encoding="{label or charset}"?>', f'<{structure} xmlns="urn:hl7-org:v2xml">']
    for segment in message.segments:
        lines.append(f"  <{segment.name}>")
        for number in range(1, len(segment.fields)):
            kind = NAMES.get(segment.name, {}).get(number)
            tag = f"{segment.name}.{number}"
            for raw in segment.repetitions(number):
                said = raw.replace("&", "&amp;")
                if kind:
                    said = "".join(
                        f"<{kind}.{n}>{part}</{kind}.{n}>" for n, part in enumerate(said.split("^"), 1) if part
                    )
                lines.append(f"    <{tag}>{said}</{tag}>")
        lines.append(f"  </{segment.name}>")
    return ("\n".join([*lines, f"</{structure}>"])).encode(charset)


async def recorded(hub: Hub) -> list[dict[str, object]]:
    return [{k: v for k, v in one.items() if k != "meta"} for one in await hub.resources("Patient")]


@pytest.mark.parametrize("charset", ["utf-8", "gb18030", "utf-16"])
async def test_the_same_is_recorded_of_xml_as_of_er7(hub: Hub, charset: str) -> None:
    payload = as_xml(registration("P1", "M1", card="110101199003074514"), charset=charset)
    answer = await hub.send("his", payload)
    assert answer.startswith(b"<?xml")
    assert hl7v2.parse(answer).named("MSA")[0].value(1) == "AA"
    await hub.run()
    of_xml = await recorded(hub)
    assert of_xml[0]["name"]
    assert "秀英" in str(of_xml)
    await hub.send("his", registration("P1", "M2", card="110101199003074514"))
    await hub.run()
    assert await recorded(hub) == of_xml
    assert await hub.value("select payload from journal where control_id = 'M1'") == payload
    assert await hub.findings() == []


async def test_a_wrong_label_is_repaired_and_said(hub: Hub) -> None:
    await hub.send("his", as_xml(registration("P1", "M1"), charset="gb18030", label="utf-8"))
    await hub.run()
    assert "秀英" in str(await recorded(hub))
    assert any(code.startswith("charset-") for code in await hub.findings())


async def test_a_repeat_is_known_by_its_control_id_and_content(hub: Hub) -> None:
    payload = as_xml(registration("P1", "M1"))
    assert await hub.send("his", payload) == await hub.send("his", payload)
    assert await hub.value("select count(*) from journal") == 1


HOSTILE = {
    "billion laughs": (
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><ADT_A01>&b;</ADT_A01>',
        "xml-doctype",
    ),
    "an external entity": (
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><ADT_A01><MSH><MSH.3>&x;</MSH.3></MSH></ADT_A01>',
        "xml-doctype",
    ),
    "an external subset": (b'<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd"><ADT_A01/>', "xml-doctype"),
    "an unknown entity": (b"<ADT_A01>&x;</ADT_A01>", "xml-malformed"),
    "cut": (as_xml(registration("P1", "M1"))[:300], "xml-malformed"),
    "another vocabulary": (b'<ClinicalDocument xmlns="urn:hl7-org:v3"/>', "xml-not-hl7"),
    "nothing in it": (b"<ADT_A01/>", "msh-missing"),
    "no MSH": (b"<ADT_A01><PID><PID.1>1</PID.1></PID></ADT_A01>", "msh-missing"),
    "too deep": (b"<a>" * 200 + b"</a>" * 200, "xml-too-large"),
    "too many elements": (b"<a>" + b"<b/>" * 500_000 + b"</a>", "xml-too-large"),
    "no XML at all": (b"<<<", "xml-malformed"),
}


@pytest.mark.parametrize(("payload", "code"), HOSTILE.values(), ids=HOSTILE)
async def test_hostile_xml_is_refused_and_kept(hub: Hub, payload: bytes, code: str) -> None:
    assert acknowledgment.read(await hub.send("his", payload)).code == "AR"
    await hub.run()
    assert await hub.findings() == [code]
    assert await hub.value("select payload from journal") == payload
