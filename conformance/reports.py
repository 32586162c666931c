"""Is this ORU^R01 the report that was written? What a HIS files it by, and what its doctor reads."""

from __future__ import annotations

from dataclasses import dataclass

from conformance.errors import UnexpectedAnswerError, expect
from conformance.simulators import hl7


@dataclass(frozen=True, slots=True)
class Expected:
    """What the one who ordered knows, and what was written at the centre. `charset` is the HIS's own."""

    charset: str
    patient_id: str
    patient_name: str
    placer: str
    code: str
    accession: str
    signer: str
    observed: str
    conclusion: str


def verify(oru: hl7.Message, expected: Expected) -> None:
    """Raises UnexpectedAnswerError at the first thing that is not as it should be."""
    expect("MSH-9 of the report", wanted="ORU^R01", got="^".join(oru.value("MSH", 9, n) for n in (1, 2)))
    expect("MSH-18 of the report", wanted=hl7.CHARSET_NAMES[expected.charset], got=oru.value("MSH", 18))
    for segment, field, wanted in (
        ("PID", 3, expected.patient_id),
        ("PID", 5, expected.patient_name),
        ("OBR", 2, expected.placer),
        ("OBR", 4, expected.code),
        ("OBR", 18, expected.accession),
        ("OBR", 25, "F"),
    ):
        expect(f"{segment}-{field} of the report", wanted=wanted, got=oru.value(segment, field))
    # OBR-32 is an NDL: its first component is a name with subcomponents, the first of them the person's number.
    signer = oru.value("OBR", 32).partition("&")[0]
    expect("OBR-32 of the report, who signed it", wanted=expected.signer, got=signer)
    texts = observed_texts(oru)
    for heading, text in (("检查所见", expected.observed), ("诊断意见", expected.conclusion)):
        if text not in texts:
            raise UnexpectedAnswerError(f"{heading} of the report: not among its OBX-5")


def observed_texts(oru: hl7.Message) -> list[str]:
    """OBX-5 of every OBX that is final."""
    return [hl7.value_of(segment, 5) for segment in oru.all("OBX") if hl7.value_of(segment, 11) == "F"]
