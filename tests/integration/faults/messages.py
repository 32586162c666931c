"""What is sent? Registrations and results of people who do not exist."""

from __future__ import annotations


def register(
    patient: str, control_id: str, *, phone: str = "13900000000", event: str = "A08", at: str = "0830"
) -> bytes:
    """ADT: `phone` makes each one say something new of the patient."""
    return _message(
        f"MSH|^~\\&|HIS|BS|HUTONG|HUB|20261121{at}00||ADT^A08|{control_id}|P|2.5",
        "EVN|A08|20261121083000",
        f"PID|1||{patient}^^^BSHIS^MR||石^秀英||19630512|F|||柳树村3组||{phone}",
    )


def result(patient: str, control_id: str, *, placer: str = "L1", code: str = "GLU^葡萄糖^L") -> bytes:
    """ORU^R01 with one number."""
    return _message(
        f"MSH|^~\\&|LIS|BS|HUTONG|HUB|20261121090000||ORU^R01|{control_id}|P|2.5",
        f"PID|1||{patient}^^^BSHIS^MR||石^秀英||19630512|F",
        f"ORC|RE|{placer}|F{placer}",
        f"OBR|1|{placer}|F{placer}|GLU^葡萄糖^L|||20261121084500|||||||||||||||20261121090000||LAB|F",
        f"OBX|1|NM|{code}||5.10|mmol/L|3.90-6.10|N|||F|||20261121085500",
    )


def _message(*segments: str) -> bytes:
    return ("\r".join(segments) + "\r").encode()
