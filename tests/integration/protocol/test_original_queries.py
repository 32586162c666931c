"""Queries of versions before 2.7: QRY^A19 for patients, SQM^S25 for what is booked; answered at once."""

from __future__ import annotations

import pytest

from engine.codecs import er7
from tests.integration.protocol.conftest import Hub
from tests.integration.protocol.messages import encoded, registration
from tests.integration.protocol.test_queries import CARD, names, numbers, said

HEADER = "MSH|^~\\&|HIS|BS|HUTONG|HUB|20261121083000||{kind}|{control_id}|P|{version}"


def asked(kind: str, *segments: str, version: str = "2.4", control_id: str = "9") -> bytes:
    return encoded(HEADER.format(kind=kind, version=version, control_id=control_id), *segments)


def qrd(who: str, *, limit: str = "", what: str = "DEM") -> str:
    return f"QRD|20261121083000|R|I|Q1|||{limit}|{who}|{what}|ALL"


def patient_query(who: str, **more: str) -> bytes:
    return asked("QRY^A19", qrd(who, **more))


@pytest.fixture
async def county(hub: Hub) -> Hub:
    """石秀英 and 石磊 of 白石, 张伟 of both facilities; they have appointments, and a doctor is not to be had."""
    await hub.send("his", registration("S1", "1"))
    await hub.send("his", registration("S2", "2", name="石^磊", birth="19900307", sex="M"))
    await hub.send("his", registration("Z1", "3", name="张^伟", birth="19900307", sex="M", card=CARD))
    await hub.send(
        "clinic", registration("S1", "4", name="张^伟", birth="19900307", sex="M", card=CARD, authority="SQHIS")
    )
    await hub.send("his", booked("5", "F1", "S1", "20261201090000", "D01^周^大夫"))
    await hub.send("his", booked("6", "F2", "S2", "20261202090000", "D01^周^大夫"))
    await hub.send("clinic", booked("7", "F3", "S1", "20261201100000", "D01^吴^大夫", authority="SQHIS"))
    await hub.send(
        "his",
        asked(
            "SIU^S23", "SCH||||||^停诊", "RGS|1", "AIP|1||D01^周^大夫|||20261201140000|||60|min",
            version="2.5", control_id="8",
        ),
    )  # fmt: skip
    await hub.run()
    return hub


def booked(control_id: str, number: str, patient: str, start: str, doctor: str, authority: str = "BSHIS") -> bytes:
    return asked(
        "SIU^S12",
        f"SCH||{number}|||||||30|min|^^^{start}^{start[:8]}093000||||||||||||||Booked",
        "NTE|1||空腹",
        f"PID|1||{patient}^^^{authority}^MR",
        "RGS|1",
        "AIL|1||超声室",
        f"AIP|1||{doctor}",
        version="2.5",
        control_id=control_id,
    )


def booked_in(answer: er7.Message) -> list[str]:
    return [sch.value(2) for sch in answer.named("SCH")]


async def test_a_patient_is_told_by_number(county: Hub) -> None:
    answer = await county.ask("his", patient_query("S2^^^^^^^^BSHIS"))
    assert said(answer) == ("AA", "OK")
    assert answer.header.field(9) == "ADR^A19^ADR_A19"
    assert [segment.name for segment in answer.segments] == ["MSH", "MSA", "QAK", "QRD", "PID", "PV1"]
    assert (names(answer), numbers(answer)) == (["石磊"], {"S2"})
    assert answer.named("QAK")[0].text == "QAK|Q1|OK||1|1|0"
    assert answer.named("QRD")[0].field(8) == "S2^^^^^^^^BSHIS"


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("^石", ["石磊", "石秀英"]),
        ("^石^磊", ["石磊"]),
        ("^shixiuying", ["石秀英"]),
        ("^石^磊~Z1", ["张伟", "石磊"]),
        (CARD, ["张伟"]),
        ("^赵", []),
    ],
)
async def test_patients_are_told_by_name_or_by_number(county: Hub, who: str, expected: list[str]) -> None:
    answer = await county.ask("his", patient_query(who))
    assert said(answer) == ("AA", "OK" if expected else "NF")
    assert names(answer) == sorted(expected)
    assert len(answer.named("PV1")) == len(expected)


async def test_a_limit_is_kept_and_what_is_left_is_counted(county: Hub) -> None:
    answer = await county.ask("his", patient_query("^石", limit="1^RD"))
    assert answer.named("QAK")[0].text == "QAK|Q1|OK||2|1|1"
    assert len(answer.named("PID")) == 1


REFUSED = {
    "a number that nobody has": (patient_query("X9"), "QRD^1^8^1^1", "204"),
    "a number of an unknown domain": (patient_query("S1^^^^^^^^NOWHERE"), "QRD^1^8^1^9", "204"),
    "a number that two have": (patient_query("S1"), "QRD^1^8^1^9", "102"),
    "nobody": (patient_query(""), "QRD^1^8", "101"),
    "a name of nothing": (patient_query("^*"), "QPD^1^3", "102"),
    "a limit in pages": (patient_query("S2", limit="3^PG"), "QRD^1^7^^2", ""),
    "a limit that is none": (patient_query("S2", limit="many"), "QRD^1^7^^1", ""),
    "an appointment of a patient nobody knows": (asked("SQM^S25", qrd("X9")), "QRD^1^8^1^1", "204"),
    "an appointment of nobody": (asked("SQM^S25", qrd("")), "QRD^1^8", "101"),
    "an appointment at a strange time": (asked("SQM^S25", qrd("S2"), "QRF|HIS|明天"), "QRF^1^2", ""),
}


@pytest.mark.parametrize(("message", "place", "condition"), REFUSED.values(), ids=REFUSED)
async def test_a_query_that_cannot_be_answered_says_where(
    county: Hub, message: bytes, place: str, condition: str
) -> None:
    answer = await county.ask("his", message.replace(b"|P|2.4", b"|P|2.5"))
    assert said(answer) == ("AE", "AE")
    (err,) = answer.named("ERR")
    assert err.field(2).startswith(place.split("^")[0])
    assert condition in ("", err.value(3))
    assert (answer.named("PID"), answer.named("SCH")) == ([], [])


@pytest.mark.parametrize("kind", ["QRY^A19", "SQM^S25"])
async def test_a_query_without_qrd_is_refused(hub: Hub, kind: str) -> None:
    answer = await hub.ask("his", asked(kind, "QRF|HIS"))
    assert answer.named("MSA")[0].value(1) == "AR"


@pytest.mark.parametrize("kind", ["QRY^A19", "SQM^S25"])
async def test_a_query_for_thousands_is_bounded(county: Hub, kind: str) -> None:
    answer = await county.ask("his", asked(kind, qrd("~".join(["^石"] * 20_000))))
    assert said(answer) == ("AA", "OK")
    assert len(answer.named("PID")) == 2


async def test_what_a_patient_has_booked(county: Hub) -> None:
    answer = await county.ask("his", asked("SQM^S25", qrd("S1^^^^^^^^BSHIS"), version="2.5"))
    assert said(answer) == ("AA", "OK")
    assert answer.header.field(9) == "SQR^S25^SQR_S25"
    names_of = [segment.name for segment in answer.segments]
    assert names_of == ["MSH", "MSA", "QAK", "SCH", "TQ1", "NTE", "PID", "RGS", "AIP", "AIL"]
    sch = answer.named("SCH")[0]
    assert (sch.value(2), sch.field(11), sch.value(25)) == ("F1", "^^^20261201090000^20261201093000", "Booked")
    assert sch.value(6) == "S25"
    assert answer.named("AIP")[0].field(3) == "D01^周^大夫"


ASKED = {
    "a person": ((qrd(""), "RGS|1", "AIP|1||D01"), ["F1", "", "F2"]),
    "a person on a day": ((qrd(""), "QRF|HIS|20261201|20261201", "RGS|1", "AIP|1||D01^周"), ["F1", ""]),
    "a person in an afternoon": ((qrd(""), "QRF|HIS|202612011300|202612011800", "AIP|1||D01"), [""]),
    "a place": ((qrd(""), "RGS|1", "AIL|1||超声室"), ["F1", "F2"]),
    "a person nobody knows": ((qrd(""), "AIP|1||D99"), []),
    "a number": ((qrd(""), "ARQ|F2|F1"), ["F1", "F2"]),
    "a number of another facility": ((qrd(""), "ARQ||F3"), []),
    "a patient in PID": ((qrd(""), "ARQ|", "PID|1||S2^^^BSHIS^MR"), ["F2"]),
    "a patient of two facilities": ((qrd("Z1"),), ["F3"]),
    "a patient by name": ((qrd("^石"),), ["F1", "F2"]),
    "a time of ARQ": ((qrd("^石"), "ARQ|||||||||||20261202^20261203"), ["F2"]),
}


@pytest.mark.parametrize(("segments", "expected"), ASKED.values(), ids=ASKED)
async def test_what_is_booked_is_found(county: Hub, segments: tuple[str, ...], expected: list[str]) -> None:
    answer = await county.ask("his", asked("SQM^S25", *segments))
    assert said(answer) == ("AA", "OK" if expected else "NF")
    assert booked_in(answer) == expected
    assert len(answer.named("RGS")) == len(expected)


async def test_a_time_that_is_blocked_says_so(county: Hub) -> None:
    answer = await county.ask("his", asked("SQM^S25", qrd(""), "QRF|HIS|202612011300", "AIP|1||D01"))
    blocked = answer.named("SCH")[0]
    assert (blocked.field(6), blocked.value(25)) == ("^停诊", "Blocked")
    assert not any(pid.value(5, comp=2) == "秀英" for pid in answer.named("PID"))


async def test_who_was_told_of_what_is_audited_and_nothing_is_journaled(county: Hub) -> None:
    before = await county.value("select count(*) from journal")
    await county.ask("his", patient_query("S2"))
    await county.ask("his", asked("SQM^S25", qrd("S2")))
    await county.ask("his", patient_query("X9"))
    assert await county.value("select count(*) from journal") == before
    rows = await county.fetch("select subject, detail from audit where action = 'query' order by at, subject")
    assert sorted(str(row["subject"]).partition("/")[0] for row in rows) == ["Appointment", "Patient", "Query"]


async def test_siu_s25_is_held_and_says_what_to_send(hub: Hub) -> None:
    await hub.send("his", asked("SIU^S25", "SCH||F1", "PID|1||S1^^^BSHIS^MR", version="2.5"))
    await hub.run()
    (finding,) = await hub.fetch("select code, text from finding")
    assert finding["code"] == "no-mapping"
    assert "SQM^S25" in finding["text"]
