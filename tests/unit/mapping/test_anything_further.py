"""Whatever stands in the fields of appointments, documents, medicines, charges: valid FHIR, or held with its reason."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.codecs import er7
from engine.errors import MappingError
from engine.mapping import MappingSet
from tests.unit.mapping.conftest import CONTEXT, FOLDER
from tests.unit.mapping.test_anything import segment
from tests.unit.mapping.test_messages_of_others import validate

Fixed = dict[str, str]
_TYPES: dict[str, tuple[tuple[str, int, Fixed], ...]] = {
    "SIU^S12": (
        ("SCH", 27, {"f2": "A1"}),
        ("TQ1", 14, {}),
        ("NTE", 9, {}),
        ("RGS", 3, {}),
        ("AIS", 12, {}),
        ("AIG", 14, {}),
        ("AIL", 12, {}),
        ("AIP", 12, {}),
    ),
    "SIU^S23": (("SCH", 27, {}), ("AIG", 14, {}), ("AIL", 12, {}), ("AIP", 12, {})),
    "MDM^T10": (("TXA", 28, {"f12": "D1"}), ("OBX", 12, {}), ("NTE", 9, {}), ("ORC", 16, {}), ("OBR", 30, {})),
    "REF^I12": (("RF1", 25, {"f6": "Z1"}), ("PRD", 14, {}), ("DG1", 21, {}), ("NTE", 9, {})),
    "RDE^O11": (
        ("ORC", 16, {"f2": "P1"}),
        ("RXO", 36, {}),
        ("TQ1", 14, {}),
        ("RXE", 45, {"f2": "A1^a^L"}),
        ("TQ1", 14, {}),
        ("RXR", 6, {}),
        ("RXC", 9, {}),
        ("FT1", 43, {"f2": "T1", "f7": "X^y^L"}),
    ),
    "RDS^O13": (("ORC", 16, {"f2": "P1"}), ("RXD", 35, {"f2": "A1^a^L"}), ("RXR", 6, {}), ("RXC", 9, {})),
    "RAS^O17": (("ORC", 16, {"f2": "P1"}), ("RXA", 29, {"f3": "20260401", "f5": "A1^a^L"}), ("RXR", 6, {})),
    "DFT^P03": (("FT1", 43, {"f2": "T1", "f7": "X^y^L"}), ("PR1", 20, {}), ("DG1", 21, {})),
    "VXU^V04": (("ORC", 16, {"f3": "V1"}), ("RXA", 29, {"f3": "20260401", "f5": "02^b^L"}), ("RXR", 6, {})),
    "MFN^M02": (("MFE", 5, {"f4": "D1"}), ("STF", 40, {}), ("PRA", 12, {})),
    "MFN^M05": (("MFE", 5, {"f4": "内科"}), ("LOC", 9, {})),
}


@st.composite
def message(draw: st.DrawFn, /) -> tuple[str, bytes]:
    kind = draw(st.sampled_from(sorted(_TYPES)))
    lines = [f"MSH|^~\\&|H|F|H|H|20260401||{kind}|C|P|2.5.1"]
    if not kind.startswith("MFN"):
        lines.append(draw(segment("PID", 40)))
    for name, length, fixed in _TYPES[kind]:
        lines += [draw(segment(name, length, **fixed)) for _ in range(draw(st.integers(0 if not fixed else 1, 2)))]
    if draw(st.booleans()):
        lines[1:] = draw(st.permutations(lines[1:]))
    return kind, "".join(f"{line}\r" for line in lines).encode()


@pytest.fixture(scope="module")
def loaded() -> MappingSet:
    return MappingSet.load(FOLDER, [])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(written=message())
def test_anything_becomes_valid_fhir_or_is_held(loaded: MappingSet, written: tuple[str, bytes]) -> None:
    kind, payload = written
    mapping = loaded.find(kind, "baishi")
    assert mapping is not None
    parsed = er7.parse(payload)
    try:
        result = mapping.apply(parsed, CONTEXT)
    except MappingError as held:
        assert held.rule  # noqa: PT017  the other outcome is as good
        return
    for resource in result.resources:
        validate(resource)
    assert mapping.apply(parsed, CONTEXT, with_sources=True).resources == result.resources
