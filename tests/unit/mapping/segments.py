"""Segments written by field number, so that a test shows only what it is about."""

from __future__ import annotations


def segment(name: str, **fields: str) -> str:
    """`segment("PID", f3="P1^^^HIS^MR", f5="王^小东")`."""
    numbered = {int(key[1:]): value for key, value in fields.items()}
    last = max(numbered, default=0)
    return "|".join([name, *(numbered.get(number, "") for number in range(1, last + 1))])


def pid(**fields: str) -> str:
    return segment("PID", **{"f3": "P1^^^HIS^MR", **fields})


def obr(**fields: str) -> str:
    return segment(
        "OBR", **{"f2": "PL1", "f3": "FL1", "f4": "CHEM^生化^L", "f7": "20260401080000", "f25": "F", **fields}
    )


def obx(kind: str, value: str, **fields: str) -> str:
    return segment("OBX", **{"f2": kind, "f3": "GLU^葡萄糖^L", "f5": value, "f11": "F", **fields})
