"""Which message do the measurements send? An ORU^R01 of 4.6 KB with 25 OBX, of a patient who does not exist."""

from __future__ import annotations

from zlib import crc32

OBX = 25
SIZE_BYTES = 4600
_RANGES = {"L": "3.50-9.50", "N": "3.00-9.00", "H": "3.50-8.50"}
"""So that every flag says how its number stands to its range, whatever the number's decimals are."""


def oru(control_id: str, patient: str) -> bytes:
    """One result message; every control id and patient gives another one of the same size.

    Numbers, results and the time of observation differ from message to message, as they do in a feed.
    """
    varied = crc32(control_id.encode())
    segments = [
        f"MSH|^~\\&|LIS|BENCH|HUTONG|HUB|20260401083000||ORU^R01^ORU_R01|{control_id}|P|2.5.1||||||UNICODE UTF-8",
        f"PID|1||{patient}^^^BENCH^MR||测试^患者^^^^^L||19700101|M|||测试路1号^^测试县^测试省^000000^CHN||13900000000",
        f"PV1|1|O|LAB^^^BENCH||||D100^王^医生||||||||||||V{patient}|||||||||||||||||||||||||20260401080000",
        f"ORC|RE|P{control_id}|F{control_id}||CM||||20260401081500|||D100^王^医生",
        f"OBR|1|P{control_id}|F{control_id}|CBC^血常规^L|||20260401081000|||||||20260401081200|BLD|D100^王^医生||||||"
        "20260401082900||LAB|F",
    ]
    for number in range(1, OBX + 1):
        flag = "L" if number < 3 else "N" if number < 9 else "H"
        segments.append(
            f"OBX|{number}|NM|T{number:03d}^检验项目{number:02d}^L^{1000 + number}-1^Test item {number:02d}^LN||"
            f"{number}.{varied * number % 100:02d}|10*9/L^10*9/L^UCUM|{_RANGES[flag]}|{flag}|||F|||"
            f"2026040108{varied % 60:02d}00|LAB01|T200^李^技师"
        )
    text = "\r".join(segments) + "\r"
    padding = SIZE_BYTES - len(text.encode()) - len("NTE|1|L|\r")
    return (text + f"NTE|1|L|{'.' * max(0, padding)}\r").encode()
