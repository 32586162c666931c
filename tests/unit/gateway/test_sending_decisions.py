"""What is decided of a study that is sent, and of answers about earlier ones, without a network."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
import pytest
from pydicom.dataset import Dataset

from engine.config import SendAs
from engine.store.imaging_outbox import PriorsOwed, Unsent
from engine.store.imaging_query import Content
from pacs_gateway.scu.peer import PLAIN
from pacs_gateway.sending.candidates import Candidate, chosen, is_askable, judge, question_for
from pacs_gateway.sending.proposing import TARGETS, groups
from pacs_gateway.sending.verdict import Verdict, verdict_of, words_of

EXPLICIT, JPEG_2000 = PLAIN[0], "1.2.840.10008.1.2.4.90"


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (0x0000, Verdict.TAKEN),
        (0xB000, Verdict.TAKEN_WITH_WARNING),
        (0xB007, Verdict.TAKEN_WITH_WARNING),
        (0x0107, Verdict.TAKEN_WITH_WARNING),
        (0x0111, Verdict.TAKEN_WITH_WARNING),
        (0xA700, Verdict.AGAIN),
        (0xA7FF, Verdict.AGAIN),
        (0x0110, Verdict.AGAIN),
        (0xA900, Verdict.REFUSED),
        (0xC000, Verdict.REFUSED),
        (0xCFFF, Verdict.REFUSED),
        (0x0122, Verdict.REFUSED),
        (0x0124, Verdict.REFUSED),
        (0x1234, Verdict.REFUSED),
    ],
)
def test_a_status_means_what_the_standard_says(status: int, verdict: Verdict) -> None:
    assert verdict_of(status) is verdict
    assert words_of(status).startswith(f"{status:04X}")


def unsent(sop_class: str, transfer_syntax: str) -> Unsent:
    return Unsent(b"", Content("1.2", sop_class, transfer_syntax, "", "{}", 1))


@pytest.mark.parametrize("send_as", SendAs)
def test_an_object_is_offered_as_it_is_stored_and_as_what_it_could_be_made_into(send_as: SendAs) -> None:
    ((proposals, members),) = groups([unsent("1.1", EXPLICIT), unsent("1.1", JPEG_2000)], send_as)
    offered = [proposal.transfer_syntaxes for proposal in proposals]
    assert offered[0] == (EXPLICIT,)
    assert (JPEG_2000,) in offered
    assert PLAIN in offered
    assert len(members) == 2
    if send_as is not SendAs.AS_STORED:
        assert (TARGETS[send_as],) in offered


def test_a_study_of_more_classes_than_an_association_has_room_for_goes_over_several() -> None:
    everything = [unsent(f"1.{number}", EXPLICIT) for number in range(100)]
    parts = list(groups(everything, SendAs.JPEG_LS))
    assert [one for _, members in parts for one in members] == everything
    for proposals, members in parts:
        assert len(proposals) <= 128
        assert {one.content.sop_class for one in members} <= {proposal.sop_class for proposal in proposals}


BORN = "19700101"
OWED = PriorsOwed(
    "baishi", ["P1"], "CT", "1.9", names=["张^三", "Zhang^San"], birth_date=BORN, sex="F", issuers={"P1": ["HIS"]}
)


def answer(uid: str = "1.1", **attributes: str) -> Dataset:
    found = Dataset()
    found.StudyInstanceUID, found.PatientID = uid, "P1"
    for keyword, value in attributes.items():
        setattr(found, keyword, value)
    return found


@pytest.mark.parametrize(
    ("attributes", "others"),
    [
        ({}, {}),
        ({"PatientBirthDate": BORN, "PatientSex": "F", "PatientName": "ZHANG^SAN"}, {}),
        ({"PatientName": "Zhang San"}, {}),
        ({"PatientName": "张三"}, {}),
        ({"PatientName": "^^=张^三"}, {}),
        ({"PatientName": "Ｚｈａｎｇ^San"}, {}),
        ({"PatientName": "章^三"}, {}),  # read alike
        ({"PatientName": "Li^Si"}, {"name": 1}),
        ({"PatientName": "李^四", "PatientBirthDate": "1970"}, {"name": 1}),
        ({"IssuerOfPatientID": "his "}, {}),
        ({"IssuerOfPatientID": "LIS"}, {"issuer of the identifier": 1}),
        ({"IssuerOfPatientID": "LIS", "PatientBirthDate": BORN}, {"issuer of the identifier": 1}),
        ({"IssuerOfPatientID": "LIS", "PatientName": "Zhang^San"}, {"issuer of the identifier": 1}),
        ({"IssuerOfPatientID": "LIS", "PatientBirthDate": BORN, "PatientName": "张^三"}, {}),
        ({"PatientSex": "O"}, {}),
        ({"PatientBirthDate": "1970"}, {}),
        ({"PatientID": "P2"}, {"patient identifier": 1}),
        ({"PatientID": "P11"}, {"patient identifier": 1}),
        ({"PatientID": ""}, {"patient identifier": 1}),
        ({"PatientBirthDate": "19700102"}, {"date of birth": 1}),
        ({"PatientSex": "M"}, {"sex": 1}),
    ],
)
def test_an_answer_of_somebody_else_is_no_prior(attributes: dict[str, str], others: dict[str, int]) -> None:
    judged = judge([("P1", answer(**attributes))], OWED)
    assert judged.others == others
    assert len(judged.candidates) == (0 if others else 1)
    assert judged.renamed == 0


def test_another_name_is_told_and_what_is_ordered_is_no_prior() -> None:
    answers = [
        answer(PatientName="Li^Si", PatientBirthDate=BORN),
        answer("1.9"),
        answer("1.2", PatientName="Zhang^San=张^三"),
        answer("1.2"),
    ]
    judged = judge([("P1", one) for one in answers], OWED)
    assert [candidate.study_uid for candidate in judged.candidates] == ["1.1", "1.2"]
    assert judged.renamed == 1


@pytest.mark.parametrize(
    ("changes", "attributes"),
    [
        ({"issuers": {}}, {"IssuerOfPatientID": "LIS"}),
        ({"issuers": {"P2": ["HIS"]}}, {"IssuerOfPatientID": "LIS"}),
        ({"names": []}, {"PatientName": "Li^Si"}),
        ({"names": ["单^三"]}, {"PatientName": "Dan^San"}),
        ({"names": ["单^三"]}, {"PatientName": "Shan^San"}),
        ({"names": ["Zhang^San"]}, {"PatientName": "张^三"}),
    ],
)
def test_what_is_not_known_or_read_in_several_ways_makes_nobody_another(
    changes: dict[str, Any], attributes: dict[str, str]
) -> None:
    judged = judge([("P1", answer(**attributes))], msgspec.structs.replace(OWED, **changes))
    assert (judged.others, judged.renamed) == ({}, 0)


def test_the_same_kind_comes_first_then_the_newest() -> None:
    def study(uid: str, on: str, modality: str, description: str = "") -> Candidate:
        return Candidate(uid, "P1", on, frozenset({modality}), description, (), 1)

    owed = PriorsOwed("baishi", ["P1"], "CT", "1.9", body_part="Chest")
    listed = [
        study("old CT", "20200101", "CT"),
        study("new US", "20260101", "US", "CHEST"),
        study("new CT", "20250101", "CT"),
        study("chest CT", "20190101", "CT", "CHEST PLAIN"),
    ]
    assert [one.study_uid for one in chosen(listed, owed, 3)] == ["chest CT", "new CT", "old CT"]


@pytest.mark.parametrize("patient_id", ["", "  ", "*", "P*", "P?", "P1\\P2"])
def test_a_number_that_would_ask_for_others_too_is_not_asked(patient_id: str) -> None:
    assert not is_askable(patient_id)


def test_a_question_names_the_patient_and_how_far_back() -> None:
    question = question_for("P1", 30, date(2026, 3, 1))
    assert (question.PatientID, question.StudyDate, question.QueryRetrieveLevel) == ("P1", "20260130-", "STUDY")
