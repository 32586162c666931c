"""What is examined in the story, and what must come back? The parts of it that a tester may change are options."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from conformance import objects
from conformance.cast import BAISHI, ECG, IMAGING, QINGXI, Desk, Site
from conformance.simulators.people import Person, id_card

CHEST_OBSERVED = (
    "双肺见多发大小不等的类圆形肿块及结节影，边界较清，以双肺中下野为著。"
    "气管居中，心影大小、形态未见明显异常。双侧膈面光整，双侧肋膈角锐利。"
)
CHEST_CONCLUSION = "双肺多发肿块及结节影，转移瘤可能性大，建议胸部CT增强检查。"
ECG_OBSERVED = "窦性心律，心率61次/分；PR间期161 ms，QRS时限75 ms，QT/QTc 368/370 ms；各导联ST-T未见明显异常。"
ECG_CONCLUSION = "窦性心律，正常心电图。"


@dataclass(frozen=True, slots=True)
class Examination:
    """One examination from the order to the returned report.

    title       Chinese and English, for the one who watches
    accession   given by the facility in its order; empty where the hub issues it
    recognised  the item under which its result may be recognised elsewhere
    """

    title: tuple[str, str]
    site: Site
    desk: Desk
    patient: Person
    code: str
    text: str
    modality: str
    accession: str
    reason: str
    doctor: tuple[str, str]
    source: Path
    observed: str
    conclusion: str
    recognised: str


def chest_radiograph(
    *,
    patient_name: str = "周珅",
    patient_id: str = "BS20260001",
    accession: str = "",
    image: Path | None = None,
    conclusion: str = CHEST_CONCLUSION,
) -> Examination:
    """A chest radiograph from 白石乡. 珅 in GB18030 is AB 7C: its second byte is the field separator of HL7 v2."""
    born = date(1956, 3, 12)
    return Examination(
        title=("胸部DR", "chest radiograph"),
        site=BAISHI,
        desk=IMAGING,
        patient=Person(
            name=patient_name,
            local_id=patient_id,
            id_card=id_card(born, "F", patient_id),
            birth_on=born,
            sex="F",
            phone="13900000001",
            address="青溪县白石乡东巷村12号",
        ),
        code="DR-CHEST",
        text="胸部正位DR",
        modality="DX",
        accession=accession,
        reason="咳嗽、消瘦两月",
        doctor=("BS007", "何医生"),
        source=image or objects.chest_radiograph(),
        observed=CHEST_OBSERVED,
        conclusion=conclusion,
        recognised="DR-CHEST-PA",
    )


def lower_leg_radiograph() -> Examination:
    """One more from 白石乡, that nobody has read yet."""
    born = date(1994, 11, 2)
    return Examination(
        title=("小腿DR", "lower leg radiograph"),
        site=BAISHI,
        desk=IMAGING,
        patient=Person(
            name="龙喆",
            local_id="BS20260002",
            id_card=id_card(born, "M", "BS20260002"),
            birth_on=born,
            sex="M",
            phone="13900000003",
            address="青溪县白石乡西坡村8号",
        ),
        code="DR-ANKLE",
        text="右小腿及踝关节正位DR",
        modality="DX",
        accession="",
        reason="摔伤后右小腿疼痛",
        doctor=("BS007", "何医生"),
        source=objects.lower_leg_radiograph(),
        observed="",
        conclusion="",
        recognised="",
    )


def resting_ecg() -> Examination:
    """A 12-lead ECG from 青溪镇, ordered over HL7 v2 in UTF-8."""
    born = date(1971, 1, 23)
    return Examination(
        title=("十二导联心电图", "12-lead ECG"),
        site=QINGXI,
        desk=ECG,
        patient=Person(
            name="欧阳春燕",
            local_id="QX20260007",
            id_card=id_card(born, "F", "QX20260007"),
            birth_on=born,
            sex="F",
            phone="13900000002",
            address="青溪县青溪镇南街3号",
        ),
        code="ECG-12",
        text="常规十二导联心电图",
        modality="ECG",
        accession="",
        reason="胸闷一周",
        doctor=("QX011", "孙医生"),
        source=objects.twelve_lead_ecg(),
        observed=ECG_OBSERVED,
        conclusion=ECG_CONCLUSION,
        recognised="ECG-12-LEAD",
    )
