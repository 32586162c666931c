"""Whatever stands in the fields: valid FHIR comes out, or the message is held with rule and field."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.codecs import er7
from engine.errors import MappingError
from engine.mapping import MappingSet
from tests.unit.mapping.conftest import CONTEXT, FOLDER
from tests.unit.mapping.test_messages_of_others import validate

_PIECES = (
    '""',
    *"^~&\\ \u3000\ufeff\u200b\x07\"'-+<",
    *(
        "\\T\\",
        "\\.br\\",
        "\\X41\\",
        "张三",
        "男",
        "M",
        "1",
        "20260401",
        "20261399",
        "2026-04-01 08:00",
        "<5",
        "5.10",
        "１２",
    ),
    *("L", "LN", "MR", "NI", "11010519491231002X", "110105194912310021", "NM", "CE", "SN", "ED", "F", "P", "Base64"),
    *("aGVsbG8=", "https://a/b", "𠮷", "NW", "CA", "1.2.840", "HL70001", "PRN", "CP", "D001"),
)
_KINDS = ("NM", "SN", "CE", "ST", "TX", "ED", "RP", "TM", "DR", "NR", "DT", "TS", "XX", "")
_field = st.lists(st.sampled_from(_PIECES), max_size=6).map("".join)
_ORDER = ("ORC", 16), ("OBR", 40), ("OBX", 24), ("NTE", 4), ("SPM", 30)


@st.composite
def segment(draw: st.DrawFn, /, name: str, length: int, **fixed: str) -> str:
    filled = draw(st.dictionaries(st.integers(1, length), _field, max_size=8))
    fields = {**filled, **{int(key[1:]): value for key, value in fixed.items()}}
    if name == "OBX":
        fields[2] = draw(st.sampled_from(_KINDS))
    return "|".join([name, *(fields.get(number, "") for number in range(1, length + 1))])


@st.composite
def message(draw: st.DrawFn, /) -> tuple[str, bytes]:
    kind = draw(st.sampled_from(("ADT^A04", "ORM^O01", "ORU^R01")))
    lines = [f"MSH|^~\\&|H|F|H|H|20260401||{kind}|C|P|2.5.1", draw(segment("PID", 40))]
    lines.append(draw(segment("PV1", 50, f19="V1")))
    if kind != "ADT^A04":
        lines.append(draw(segment("OBR", 40, f2="P1", f4="X^y^L")))
        for name, length in draw(st.lists(st.sampled_from(_ORDER), max_size=6)):
            fixed = {"f3": "A^b^L"} if name == "OBX" else {"f2": "P2", "f4": "X^y^L"} if name == "OBR" else {}
            lines.append(draw(segment(name, length, **fixed)))
    return kind, "".join(f"{line}\r" for line in lines).encode()


@pytest.fixture(scope="module")
def loaded() -> MappingSet:
    return MappingSet.load(Path(FOLDER), [])


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
