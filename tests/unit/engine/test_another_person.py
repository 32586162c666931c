"""Somebody else under a known number is seen; a person whose data was corrected is not taken for another."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.identifiers import ID_CARD
from engine.identity.another import another_person, digest_of_both
from tests.integration.engine.messages import card


def patient(name: str, born: str | None = None, sex: str | None = None, number: str | None = None) -> dict[str, Any]:
    family, _, given_name = name.partition("^")
    made: dict[str, Any] = {"resourceType": "Patient", "id": "p1", "birthDate": born, "gender": sex}
    if name:
        made["name"] = [{"family": family, "given": [given_name]} if given_name else {"text": family}]
    if number:
        made["identifier"] = [{"system": ID_CARD, "value": number}]
    return {element: value for element, value in made.items() if value is not None}


SHI = patient("石^秀英", "1963-05-12", "female", card(1))


@pytest.mark.parametrize(
    ("known", "came"),
    [
        (patient("周^大勇", "1978-08-20", "male"), patient("王^五妹", "1990-01-01", "female")),
        (patient("周^大勇", "1978-08-20"), patient("王^五妹", "1990-03-01")),
        (patient("周^大勇", None, "male"), patient("王^五妹", "1990-03-01", "female")),
        (patient("石^大山", "1978-08-20", "male"), patient("石^大海", "1981-02-03", "male")),
        (SHI, patient("王^五妹", "1963-05-12", "female", card(2))),
        (SHI, patient("石^秀英", "1990-03-01", "female", card(2))),
        (patient("WANG^WUMEI", "1990-03-01"), patient("周^大勇", "1978-08-20")),
        (patient("张^三", "1990-03-01", "female"), patient("张三之子", "2026-11-20", "male")),
        (patient("张三之子", "2026-11-20", "male"), patient("张^三", "1990-03-01", "female")),
        (patient("张三之子", "2026-11-20", "male"), patient("李四之女", "2026-09-02", "female")),
    ],
)
def test_two_things_that_differ_are_another_person(known: dict[str, Any], came: dict[str, Any]) -> None:
    assert another_person(known, came)


@pytest.mark.parametrize(
    ("known", "came"),
    [
        (SHI, patient("石^秀瑛", "1963-05-12", "female", card(1))),
        (SHI, patient("石^秀英", "1963-05-12", "female", card(2))),
        (SHI, patient("石^秀英", "1990-03-01", "female", card(1))),
        (SHI, patient("石^秀英", "1963-05-12", "male", card(1))),
        (patient("石^秀英", "1963"), patient("石^秀瑛", "1963-05-12")),
        (patient("石^秀英", "1963-05-12"), patient("石^秀瑛", "1963-05-21")),
        (patient("石^秀英", "1963-05-12"), patient("SHI^XIUYING", "1990-03-01")),
        (patient("单^秀英", "1963-05-12"), patient("XIUYING^SHAN", "1990-03-01")),
        (patient("阿依古丽", "1963-05-12"), patient("AYIGUL", "1990-03-01")),
        (patient("石 秀英", "1963-05-12"), patient("石秀英", "1990-03-01")),
        (patient("无名氏", "1900-01-01", "male"), patient("石^秀英", "1963-05-12", "female")),
        (patient("无名氏", "1960-02-02", "male"), patient("石^秀英", "1963-05-12", "female")),
        (patient("急诊001", "1960-02-02"), patient("石^秀英", "1963-05-12")),
        (patient("石*英", "1960-02-02"), patient("石^秀英", "1963-05-12")),
        (patient("张三之子", "2026-11-20", "male"), patient("张^小明", "2026-11-19", "male")),
        (patient("周^大勇", "1900-01-01", "male"), patient("王^五妹", "1990-03-01", "male")),
        (patient("周^大勇", None, "male"), patient("王^五妹", "1990-03-01", "unknown")),
        (patient("石^修颖", "1990-01-01", "female", card(1)), patient("王^五妹", "1963-05-12", "female", card(1))),
        (patient("", "1963-05-12"), patient("王^五妹", "1990-03-01")),
        (patient("周^大勇"), patient("王^五妹")),
    ],
)
def test_one_thing_that_differs_is_a_correction(known: dict[str, Any], came: dict[str, Any]) -> None:
    assert another_person(known, came) == []


def test_a_card_whose_check_digit_fails_says_nothing() -> None:
    came = patient("石^秀英", "1990-03-01", "female", card(2))
    came["identifier"][0]["use"] = "temp"
    assert another_person(SHI, came) == []


def test_what_differs_is_named_and_never_quoted() -> None:
    found = another_person(SHI, patient("王^五妹", "1990-03-01", "male", card(2)))
    assert found == ["居民身份证 number", "name (PID-5)", "date of birth (PID-7)", "sex (PID-8)"]


def test_a_digest_is_of_both_statements_in_either_order() -> None:
    other = patient("王^五妹", "1990-03-01", "female")
    assert digest_of_both(SHI, other) == digest_of_both(other, SHI)
    assert digest_of_both(SHI, other) != digest_of_both(SHI, patient("王^五妹", "1991-03-01", "female"))


_TEXT = st.text(max_size=12)
_PATIENTS = st.builds(
    patient,
    st.one_of(_TEXT, st.builds("{}^{}".format, _TEXT, _TEXT)),
    st.one_of(st.none(), st.dates().map(str), st.sampled_from(["1963", "1963-05"])),
    st.sampled_from([None, "male", "female", "other", "unknown"]),
    st.one_of(st.none(), st.integers(0, 999).map(card)),
)


@given(_PATIENTS)
def test_nobody_is_another_person_than_oneself(one: dict[str, Any]) -> None:
    assert another_person(one, one) == []


@given(_PATIENTS, _PATIENTS)
def test_any_two_can_be_compared(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert isinstance(another_person(one, other), list)
    assert digest_of_both(one, other) == digest_of_both(other, one)
