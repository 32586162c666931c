"""The messages of the tests: a township's HIS asks for examinations of people who do not exist."""

from __future__ import annotations


def register(
    patient: str = "BS0001",
    *,
    name: str = "石^秀英",
    card: str = "",
    born: str = "19630512",
    control_id: str = "R1",
    event: str = "A04",
    sender: str = "BSXWSY",
) -> bytes:
    identifiers = f"{patient}^^^BSHIS^MR" + (f"~{card}^^^^NI" if card else "")
    return _message(
        f"MSH|^~\\&|HIS|{sender}|HUTONG|HUB|20261121083000||ADT^{event}|{control_id}|P|2.4",
        f"EVN|{event}|20261121083000",
        f"PID|1||{identifiers}||{name}||{born}|F|||白石乡柳树村3组||13900000001",
        "PV1|1|N|门诊^^^BSXWSY|||||||||||||||||V0001|||||||||||||||||||||||||20261121082000",
    )


def order(
    placer: str = "O1",
    *,
    patient: str = "BS0001",
    name: str = "石^秀英",
    control: str = "NW",
    accession: str = "",
    control_id: str = "M1",
    code: str = "DR-CHEST-PA",
    text: str = "胸部正位DR",
    status: str = "",
    doctor: str = "D01^周^大夫",
    sender: str = "BSXWSY",
) -> bytes:
    return _message(
        f"MSH|^~\\&|HIS|{sender}|HUTONG|HUB|20261121083500||ORM^O01|{control_id}|P|2.4",
        f"PID|1||{patient}^^^BSHIS^MR||{name}||19630512|F",
        "PV1|1|N|门诊^^^BSXWSY|||||||||||||||||V0001",
        f"ORC|{control}|{placer}|||{status}||||20261121083500|||{doctor}",
        f"OBR|1|{placer}||{code}^{text}^L|||||||||咳嗽两周|||{doctor}||{accession}||||||DX",
    )


def result(
    placer: str = "L1", *, patient: str = "BS0001", value: str = "5.10", status: str = "F", control_id: str = "U1"
) -> bytes:
    return _message(
        f"MSH|^~\\&|LIS|BSXWSY|HUTONG|HUB|20261121090000||ORU^R01|{control_id}|P|2.4",
        f"PID|1||{patient}^^^BSHIS^MR||石^秀英||19630512|F",
        f"ORC|RE|{placer}|F{placer}",
        f"OBR|1|{placer}|F{placer}|GLU^葡萄糖^L|||20261121084500|||||||||D01^周^大夫||||||20261121090000||LAB|{status}",
        f"OBX|1|NM|GLU^葡萄糖^L||{value}|mmol/L|3.90-6.10|{'N' if value == '5.10' else ''}|||{status}|||20261121085500",
    )


def manifest(
    accession: str, *, patient: str = "BS0001", study_uid: str = "2.25.1001", name: str = "石^秀英", sop: str = "2.25.1"
) -> dict[str, object]:
    return {
        "study_uid": study_uid,
        "facility": "baishi",
        "accession": accession,
        "patient_id": patient,
        "issuer": "",
        "patient_name": name,
        "birth_date": "19630512",
        "sex": "F",
        "study_date": "20261121",
        "study_time": "084500",
        "description": "CHEST",
        "modalities": ["DX"],
        "series": [
            {
                "uid": "2.25.1002",
                "modality": "DX",
                "number": 1,
                "description": "",
                "body_part": "CHEST",
                "instances": [{"sop_uid": sop, "sop_class": "1.2.840.10008.5.1.4.1.1.1.1", "number": 1}],
            }
        ],
        "findings": [],
    }


def card(n: int) -> str:
    """A valid 居民身份证 number (GB 11643-1999) for somebody who was born on 1963-05-12."""
    first = f"11010519630512{n:03d}"
    total = sum((2**place % 11) * int(digit) for place, digit in zip(range(17, 0, -1), first, strict=True))
    return first + "10X98765432"[total % 11]


def in_utf8(payload: bytes) -> bytes:
    """The same message as a channel that speaks UTF-8 brings it."""
    return payload.decode("gb18030").encode()


def _message(*segments: str) -> bytes:
    return ("\r".join(segments) + "\r").encode("gb18030")
