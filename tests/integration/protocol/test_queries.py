"""Queries for persons (QBP^Q21, Q22, Q23) are answered at once from the record, and who was told of whom is audited."""

from __future__ import annotations

import json

import pytest

from engine.codecs import er7
from tests.integration.protocol.conftest import Hub
from tests.integration.protocol.messages import encoded, query, registration

CARD = "110101199003074514"


def said(answer: er7.Message) -> tuple[str, str]:
    """MSA-1 and QAK-2."""
    return answer.named("MSA")[0].value(1), answer.named("QAK")[0].value(2)


def names(answer: er7.Message) -> list[str]:
    return sorted(pid.value(5) + pid.value(5, comp=2) for pid in answer.named("PID"))


def numbers(answer: er7.Message, position: int = 0) -> set[str]:
    return {raw.split("^")[0] for raw in answer.named("PID")[position].repetitions(3)}


@pytest.fixture
async def county(hub: Hub) -> Hub:
    """石秀英 and 石磊 of 白石, 张伟 of both facilities under one card, and 王 without a given name."""
    await hub.send("his", registration("S1", "1"))
    await hub.send("his", registration("S2", "2", name="石^磊", birth="19900307", sex="M"))
    await hub.send("his", registration("Z1", "3", name="张^伟", birth="19900307", sex="M", card=CARD))
    await hub.send(
        "clinic", registration("Q9", "4", name="张^伟", birth="19900307", sex="M", card=CARD, authority="SQHIS")
    )
    await hub.send("his", registration("W1", "5", name="王二小", birth="20010101", sex="M"))
    await hub.run()
    return hub


FOUND = {
    "a whole name": ("@PID.5.1^石~@PID.5.2^秀英", ["石秀英"]),
    "a surname": ("@PID.5.1^石", ["石磊", "石秀英"]),
    "a surname, by its subcomponent": ("@PID.5.1.1^石", ["石磊", "石秀英"]),
    "the beginning of a name": ("@PID.5.1^石*", ["石磊", "石秀英"]),
    "a whole name in one component": ("@PID.5.1^石磊", ["石磊"]),
    "pinyin": ("@PID.5.1^shixiuying", ["石秀英"]),
    "the beginning of pinyin": ("@PID.5.1^SHI*", ["石磊", "石秀英"]),
    "a given name": ("@PID.5.2^磊", ["石磊"]),
    "initials with a star": ("@PID.5.1^sxy*", ["石秀英"]),
    "a name kept whole as the surname": ("@PID.5.1^王二小", ["王二小"]),
    "a birth date": ("@PID.7^19900307", ["张伟", "石磊"]),
    "a birth date and a sex": ("@PID.7^19630512~@PID.8^F", ["石秀英"]),
    "a year of birth": ("@PID.7^1990*", ["张伟", "石磊"]),
    "an identifier": ("@PID.3.1^S2", ["石磊"]),
    "an identifier of a domain": ("@PID.3.1^Q9~@PID.3.4.1^SQHIS", ["张伟"]),
    "a card": (f"@PID.3^{CARD}", ["张伟"]),
    "a name and an address": ("@PID.5.1^石~@PID.11.3^青溪", ["石磊", "石秀英"]),
    "a name and a telephone": ("@PID.5.1^石~@PID.13^139*", ["石磊", "石秀英"]),
}


@pytest.mark.parametrize(("criteria", "expected"), FOUND.values(), ids=FOUND)
async def test_persons_are_found(county: Hub, criteria: str, expected: list[str]) -> None:
    answer = await county.ask("his", query("Q22", "9", f"Q22^Find Candidates^HL7|T1|{criteria}"))
    assert said(answer) == ("AA", "OK")
    assert names(answer) == sorted(expected)
    assert answer.header.field(9) == "RSP^K22^RSP_K21"
    assert answer.named("QPD")[0].text == f"QPD|Q22^Find Candidates^HL7|T1|{criteria}"
    assert answer.named("QAK")[0].field(1) == "T1"
    assert answer.named("QAK")[0].field(4) == str(len(expected))


NOBODY = {
    "nobody of that name": "@PID.5.1^赵",
    "a part of a name that is meant exactly": "@PID.5.2^秀",
    "pinyin that is meant exactly": "@PID.5.1^shix",
    "two criteria of which one fits": "@PID.5.1^石~@PID.7^20200101",
    "an identifier of another domain": "@PID.3.1^S2~@PID.3.4.1^SQHIS",
    "another sex": "@PID.5.1^张~@PID.8^F",
}


@pytest.mark.parametrize("criteria", NOBODY.values(), ids=NOBODY)
async def test_nobody_is_told_as_not_found(county: Hub, criteria: str) -> None:
    answer = await county.ask("his", query("Q22", "9", f"Q22|T1|{criteria}"))
    assert said(answer) == ("AA", "NF")
    assert answer.named("PID") == []


REFUSED = {
    "no criteria": ("Q22|T1|", "QPD^1^3", "101"),
    "no parameter": ("Q22|T1|石", "QPD^1^3^1^1", "204"),
    "a field nobody asks for": ("Q22|T1|@PID.6^x", "QPD^1^3^1^1", "204"),
    "too broad": ("Q22|T1|@PID.8^F", "QPD^1^3", "102"),
    "a star alone": ("Q22|T1|@PID.5.1^*", "QPD^1^3", "101"),
    "a star within": ("Q22|T1|@PID.5.1^石*英", "QPD^1^3^1^2", "102"),
    "an unknown domain": ("Q22|T1|@PID.5.1^石|||||^^^NOWHERE", "QPD^1^8^1", "204"),
    "an unknown domain among known ones": ("Q22|T1|@PID.5.1^石|||||^^^BSHIS~^^^NOWHERE&1.2.3&ISO", "QPD^1^8^2", "204"),
}


@pytest.mark.parametrize(("qpd", "place", "condition"), REFUSED.values(), ids=REFUSED)
async def test_a_query_that_cannot_be_answered_says_where(county: Hub, qpd: str, place: str, condition: str) -> None:
    answer = await county.ask("his", query("Q22", "9", qpd))
    assert said(answer) == ("AE", "AE")
    (err,) = answer.named("ERR")
    assert (err.field(2), err.value(3)) == (place, condition)
    assert answer.named("PID") == []
    assert await county.value("select count(*) from audit where action = 'query' and detail->>'refused' <> ''") == 1


async def test_every_unknown_domain_is_named(county: Hub) -> None:
    answer = await county.ask("his", query("Q22", "9", "Q22|T1|@PID.5.1^石|||||^^^NOWHERE~^^^BSHIS~^^^ALSO"))
    assert [err.field(2) for err in answer.named("ERR")] == ["QPD^1^8^1", "QPD^1^8^3"]


async def test_one_person_of_two_facilities_is_one_answer_with_the_numbers_of_both(county: Hub) -> None:
    answer = await county.ask("clinic", query("Q22", "9", "Q22|T1|@PID.5.1^张"))
    assert len(answer.named("PID")) == 1
    assert numbers(answer) == {"Z1", "Q9", CARD}
    only = await county.ask("clinic", query("Q22", "9", "Q22|T1|@PID.5.1^张|||||^^^SQHIS"))
    assert numbers(only) == {"Q9"}
    of_the_facility = await county.ask("clinic", query("Q22", "9", "Q22|T1|@PID.5.1^张|||||^^^baishi"))
    assert numbers(of_the_facility) == {"Z1"}


async def test_a_limit_is_kept_and_a_continuation_goes_on_where_it_ended(county: Hub) -> None:
    asked = query("Q22", "9", "Q22|T1|@PID.5.1^石*").replace(b"RCP|I", b"RCP|I|1^RD")
    seen: list[str] = []
    pointer = b""
    for _ in range(5):
        answer = await county.ask("his", asked + (b"DSC|" + pointer + b"|I\r" if pointer else b""))
        seen += names(answer)
        if not answer.named("DSC"):
            break
        assert len(answer.named("PID")) == 1
        pointer = answer.named("DSC")[0].value(1).encode()
    assert sorted(seen) == ["石磊", "石秀英"]


async def test_a_pointer_of_another_query_is_refused(county: Hub) -> None:
    asked = query("Q22", "9", "Q22|T1|@PID.5.1^石").replace(b"RCP|I", b"RCP|I|1^RD")
    pointer = (await county.ask("his", asked)).named("DSC")[0].value(1)
    answer = await county.ask("his", query("Q22", "9", "Q22|T1|@PID.5.1^张", f"DSC|{pointer}|I"))
    assert said(answer) == ("AE", "AE")
    assert answer.named("ERR")[0].field(2) == "DSC^1^1"


async def test_identifiers_of_a_person_in_other_domains(county: Hub) -> None:
    answer = await county.ask("his", query("Q23", "9", "IHE PIX Query|T1|Z1^^^BSHIS"))
    assert said(answer) == ("AA", "OK")
    assert answer.header.field(9) == "RSP^K23^RSP_K23"
    assert numbers(answer) == {"Q9", CARD}
    assert answer.named("PID")[0].field(5) == "~^^^^^^S", "no name is told"
    only = await county.ask("his", query("Q23", "9", "IHE PIX Query|T1|Z1^^^BSHIS|^^^SQHIS"))
    assert numbers(only) == {"Q9"}


PIX = {
    "an unknown identifier": ("X9^^^BSHIS", "AE", "AE", "QPD^1^3^1^1"),
    "an unknown domain": ("Z1^^^NOWHERE", "AE", "AE", "QPD^1^3^1^4"),
    "an unknown domain wanted": ("Z1^^^BSHIS|^^^SQHIS~^^^NOWHERE", "AE", "AE", "QPD^1^4^2"),
    "no other identifier": ("S1^^^BSHIS", "AA", "NF", ""),
    "none in the wanted domain": ("S1^^^BSHIS|^^^SQHIS", "AA", "NF", ""),
    "no identifier": ("^^^BSHIS", "AE", "AE", "QPD^1^3^1^1"),
}


@pytest.mark.parametrize(("qpd", "code", "status", "place"), PIX.values(), ids=PIX)
async def test_what_is_not_known_is_told_apart(county: Hub, qpd: str, code: str, status: str, place: str) -> None:
    answer = await county.ask("his", query("Q23", "9", f"IHE PIX Query|T1|{qpd}"))
    assert said(answer) == (code, status)
    assert [err.field(2) for err in answer.named("ERR")] == ([place] if place else [])


async def test_the_demographics_of_one_identifier(county: Hub) -> None:
    answer = await county.ask("his", query("Q21", "9", "Q21^Get Person Demographics|T1|S1^^^BSHIS"))
    assert said(answer) == ("AA", "OK")
    assert answer.header.field(9) == "RSP^K21^RSP_K21"
    pid = answer.named("PID")[0]
    assert (pid.value(5), pid.value(5, comp=2), pid.value(7), pid.value(8)) == ("石", "秀英", "19630512", "F")
    assert pid.value(11, comp=3) == "青溪"
    assert pid.value(13) == "13900000000"


async def test_a_query_in_gb18030_is_answered_in_it(county: Hub) -> None:
    answer = await county.send("legacy", query("Q22", "9", "Q22|T1|@PID.5.1^石~@PID.5.2^秀英", charset="gb18030"))
    assert "石^秀英" in answer.decode("gb18030")
    assert er7.parse(answer).header.value(18) == "GB 18030-2000"


async def test_a_name_that_the_charset_of_the_query_cannot_hold_comes_in_utf_8(county: Hub) -> None:
    asked = query("Q22", "9", "Q22|T1|@PID.3.1^S1").replace(b"|P|2.5\r", b"|P|2.5||||||8859/1\r")
    answer = await county.send("his", asked)
    assert "石^秀英" in answer.decode("utf-8")
    assert er7.parse(answer).header.value(18) == "UNICODE UTF-8"


async def test_who_was_told_of_whom_is_audited_and_no_name_stands_there(county: Hub) -> None:
    await county.ask("clinic", query("Q22", "Q77", "Q22|T1|@PID.5.1^石"))
    rows = await county.fetch("select actor, subject, detail from audit where action = 'query' order by subject")
    goldens = {row["golden"] for row in await county.fetch(
        "select golden from patient_link l join resource r on r.id = l.source where r.body->'name'->0->>'family' = '石'"
    )}  # fmt: skip
    assert {row["subject"] for row in rows} == {f"Patient/{golden}" for golden in goldens}
    assert {row["actor"] for row in rows} == {"channel:clinic"}
    detail = json.loads(rows[0]["detail"])
    assert (detail["control_id"], detail["peer"], detail["facility"]) == ("Q77", "10.0.0.1:40000", "shiqiao")
    assert "石" not in rows[0]["detail"]


async def test_a_query_is_not_journaled(county: Hub) -> None:
    before = await county.value("select count(*) from journal")
    await county.ask("his", query("Q22", "9", "Q22|T1|@PID.5.1^石"))
    assert await county.value("select count(*) from journal") == before


async def test_a_query_of_another_kind_is_refused_at_once(hub: Hub) -> None:
    answer = await hub.ask("his", encoded("MSH|^~\\&|A|B|||2026||QRY^R02|7|P|2.4", "QRD|2026|R|I|1|||1|P1|RES"))
    assert answer.named("MSA")[0].value(1) == "AR"
    assert answer.named("ERR") or answer.named("MSA")[0].value(6) == "201"
    bare = await hub.ask("his", query("Q22", "9", "x").replace(b"QPD|x\r", b""))
    assert bare.named("MSA")[0].value(1) == "AR"


async def test_a_cancelled_query_is_acknowledged(hub: Hub) -> None:
    answer = await hub.ask("his", encoded("MSH|^~\\&|A|B|||2026||QCN^J01|7|P|2.5", "QID|T1|Q22"))
    assert answer.named("MSA")[0].value(1) == "AA"


@pytest.mark.parametrize("version", ["2.4", "2.5.1", "2.6", "2.7", "2.8"])
async def test_every_version_that_has_queries_is_answered_in_it(county: Hub, version: str) -> None:
    answer = await county.ask("his", query("Q22", "9", "Q22|T1|@PID.3.1^S1", version=version))
    assert answer.header.value(12) == version
    assert said(answer) == ("AA", "OK")


async def test_a_query_in_xml_is_answered_in_xml(county: Hub) -> None:
    asked = (
        '<QBP_Q21 xmlns="urn:hl7-org:v2xml"><MSH><MSH.1>|</MSH.1><MSH.2>^~\\&amp;</MSH.2><MSH.9><MSG.1>QBP</MSG.1>'
        "<MSG.2>Q22</MSG.2><MSG.3>QBP_Q21</MSG.3></MSH.9><MSH.10>9</MSH.10><MSH.12><VID.1>2.5</VID.1></MSH.12></MSH>"
        "<QPD><QPD.1><CE.1>Q22</CE.1></QPD.1><QPD.2>T1</QPD.2><QPD.3><QIP.1>@PID.5.1</QIP.1><QIP.2>石</QIP.2></QPD.3></QPD>"
        "<RCP><RCP.1>I</RCP.1></RCP></QBP_Q21>"
    ).encode()
    given = await county.send("his", asked)
    assert given.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<RSP_K21 ')
    answer = await county.ask("his", asked)
    assert said(answer) == ("AA", "OK")
    assert names(answer) == ["石磊", "石秀英"]
