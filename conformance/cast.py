"""Who takes part in the story? The example county's outside systems and people, as they know themselves."""

from __future__ import annotations

from dataclasses import dataclass

from conformance.simulators.township_his import His


@dataclass(frozen=True, slots=True)
class Site:
    """A facility that examines: its HIS, the hub's channel for it, and the modality that stands there.

    endpoint       the hub's name for where this HIS takes reports
    dicom_charset  what the modality's vendor set as Specific Character Set
    """

    facility: str
    name: str
    his: His
    channel: str
    endpoint: str
    ae_title: str
    dicom_charset: str


@dataclass(frozen=True, slots=True)
class Desk:
    """A centre, who writes its reports, and who reviews and signs them: users of the hub."""

    centre: str
    reader: str
    reviewer: str


BAISHI = Site(
    facility="baishi",
    name="白石乡卫生院",
    his=His("HIS", "BSXWSY", "gb18030", declares_charset=False),
    channel="baishi-his",
    endpoint="baishi-his",
    ae_title="DR_BAISHI",
    dicom_charset="GB18030",
)
QINGXI = Site(
    facility="qingxi",
    name="青溪镇中心卫生院",
    his=His("HIS", "QXZWSY", "utf-8", version="2.5.1"),
    channel="qingxi-his",
    endpoint="qingxi-his",
    ae_title="ECG_QINGXI",
    dicom_charset="ISO_IR 192",
)
COUNTY_HIS = His("HIS", "QXXRMYY", "utf-8", version="2.5.1")
COUNTY_CHANNEL = "county-his"
COUNTY_NAME = "青溪县人民医院"
COUNTY_DOCTOR = "liu"

IMAGING = Desk("county-imaging", reader="wang", reviewer="li")
ECG = Desk("county-ecg", reader="chen", reviewer="zhao")
