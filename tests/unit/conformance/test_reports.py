"""A report that is not the one that was written is found out, whatever is wrong with it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conformance.errors import UnexpectedAnswerError
from conformance.reports import Expected, verify
from conformance.simulators import hl7

EXPECTED = Expected(
    charset="gb18030",
    patient_id="B1",
    patient_name="周珅",
    placer="P1",
    code="DR-CHEST",
    accession="A1",
    signer="li",
    observed="双肺纹理增多",
    conclusion="支气管炎|待排",
)
REPORT = (
    "MSH|^~\\&|HUTONG|HUTONG|HIS|BS|20260302||ORU^R01^ORU_R01|C1|P|2.4||||||GB 18030-2000\r"
    "PID|1||B1^^^HIS^MR||周珅\r"
    "OBR|1|P1|A1|DR-CHEST^胸片^L||||||||||||||A1|||||||F|||||||li&李审核|wang&王影像\r"
    "OBX|1|FT|59776-5||双肺纹理增多||||||F\r"
    "OBX|2|FT|19005-8||支气管炎\\F\\待排||||||F\r"
)


def read(text: str) -> hl7.Message:
    return hl7.read(text.encode("gb18030"), "gb18030")


def test_the_report_that_was_written_passes() -> None:
    verify(read(REPORT), EXPECTED)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("ORU^R01^", "ORU^R30^"),
        ("GB 18030-2000", "UNICODE UTF-8"),
        ("B1^^^HIS", "B2^^^HIS"),
        ("周珅", "周|"),
        ("|P1|A1|", "|P2|A1|"),
        ("DR-CHEST^", "DR-ABDOMEN^"),
        ("||A1|||||||F|", "||A2|||||||F|"),
        ("|||||||F|||||||li", "|||||||P|||||||li"),
        ("li&李审核", "wang&王影像"),
        ("双肺纹理增多", "双肺纹理"),
        ("支气管炎\\F\\待排", "支气管炎|待排"),
        ("支气管炎\\F\\待排||||||F", "支气管炎\\F\\待排||||||P"),
        ("OBX|2|FT|19005-8||支气管炎\\F\\待排||||||F\r", ""),
    ],
)
def test_any_change_of_it_does_not(right: str, wrong: str) -> None:
    changed = REPORT.replace(right, wrong)
    assert changed != REPORT
    with pytest.raises(UnexpectedAnswerError):
        verify(read(changed), EXPECTED)


def test_what_another_wrote_is_not_what_was_written_here() -> None:
    with pytest.raises(UnexpectedAnswerError, match="诊断意见"):
        verify(read(REPORT), replace(EXPECTED, conclusion="未见异常"))
