"""All rules of a resource as one function: it says what the rules say one by one, and its text is what it claims."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.codecs import er7
from engine.errors import MappingError, ParseError
from engine.mapping import MappingSet, straight
from engine.mapping.definition import FieldName, Line, Rule
from engine.mapping.single_rule import compile_rule
from engine.mapping.straight import fill_text, identify_text, straight_fill
from engine.terminology import Tables
from tests.unit.mapping.conftest import CONTEXT, FOLDER

ROOT = FOLDER.parent
SAMPLES = sorted(path for folder in ("mappings", "tests/fixtures") for path in (ROOT / folder).rglob("*.hl7"))


@cache
def installed() -> MappingSet:
    return MappingSet.load(Path(FOLDER), ["baishi"])


def said(payload: bytes, *, one_by_one: bool) -> tuple[Any, ...] | None:
    """What a message says by the rules together or one by one; None for a message that nothing maps."""
    message = er7.parse(payload)
    mapping = installed().find(message.message_type, "baishi")
    if mapping is None:
        return None
    try:
        mapped = mapping.apply(message, CONTEXT, with_sources=one_by_one)
    except MappingError as held:
        return held.code, held.message, held.location, held.rule
    return mapped.resources, mapped.findings, mapped.unmapped, mapped.only_if_missing, mapped.acts


def together_is_one_by_one(payload: bytes) -> None:
    slow = said(payload, one_by_one=True)
    # The second time what can be remembered is remembered.
    assert [said(payload, one_by_one=False) for _ in range(2)] == [slow, slow]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_sample_says_the_same_together_and_one_by_one(path: Path) -> None:
    together_is_one_by_one(path.read_bytes())


FIELD_CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "null": lambda _: b'""',
    "twice": lambda field: field + b"~" + field,
    "repeated by a null": lambda field: field + b'~""',
    "first repetition empty": lambda field: b"~" + field,
    "first component empty": lambda field: b"^" + field,
    "only blanks": lambda _: b"  ",
    "another's": lambda _: b"X^Y^L~20260401",
}
LINE_CHANGES: dict[str, Callable[[list[bytes], int], list[bytes]]] = {
    "left out": lambda lines, at: lines[:at] + lines[at + 1 :],
    "twice": lambda lines, at: [*lines[: at + 1], *lines[at:]],
    "before the one above": lambda lines, at: [*lines[: at - 1], lines[at], lines[at - 1], *lines[at + 1 :]],
    "at the end": lambda lines, at: [*lines[:at], *lines[at + 1 :], lines[at]],
}


@st.composite
def changed(draw: st.DrawFn, /) -> bytes:
    """A sample with some of its fields and segments changed."""
    payload = draw(st.sampled_from(SAMPLES)).read_bytes().replace(b"\r\n", b"\r").replace(b"\n", b"\r")
    lines = [line for line in payload.split(b"\r") if line.strip()]
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(1, max(1, len(lines) - 1)))
        if at >= len(lines):
            break
        fields = lines[at].split(b"|")
        number = draw(st.integers(1, max(1, len(fields) - 1)))
        change = draw(st.sampled_from((*FIELD_CHANGES, "truncated", *(f"segment {name}" for name in LINE_CHANGES))))
        if change == "truncated":
            lines[at] = b"|".join(fields[:number])
        elif change.startswith("segment "):
            lines = LINE_CHANGES[change.removeprefix("segment ")](lines, at)
        elif number < len(fields):
            fields[number] = FIELD_CHANGES[change](fields[number])
            lines[at] = b"|".join(fields)
    return b"\r".join(lines)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(payload=changed())
def test_a_changed_sample_says_the_same_together_and_one_by_one(payload: bytes) -> None:
    try:
        er7.parse(payload)
    except ParseError:
        return
    together_is_one_by_one(payload)


def test_where_the_first_field_says_nothing_that_can_be_read_the_next_one_is_tried() -> None:
    lines = ("MSH|^~\\&|H|F|H|H|20260401||ORM^O01|C|P|2.5.1", "PID|1||P1", "ORC|NW|PL1", "OBR|1|^HIS||X^y^L")
    payload = "\r".join(lines).encode()
    together_is_one_by_one(payload)
    resources, *_ = said(payload, one_by_one=False) or ([],)
    (order,) = (each for each in resources if each["resourceType"] == "ServiceRequest")
    assert [each["value"] for each in order["identifier"]] == ["PL1"]


def rule(name: str, to: str, *sources: str, **said: Any) -> Rule:
    many = to.endswith("+")
    fields = tuple(map(FieldName.parse, sources))
    return Rule(id=name, line=Line("", 0), to=to.removesuffix("+"), many=many, sources=fields, **said)


@cache
def tables() -> Tables:
    return Tables.load(FOLDER / "tables")


def text_of(*rules: Rule, repeated: frozenset[str] = frozenset()) -> str:
    segments = tuple(dict.fromkeys(name.segment for each in rules for name in each.fields))
    places = {name: place for place, name in enumerate(segments)}
    compiled = [compile_rule(each, places, "baishi", tables()) for each in rules]
    straight_fill(compiled, segments, repeated)
    return fill_text(compiled, segments, repeated)


def test_the_text_for_two_rows_stands_in_the_docstring() -> None:
    status = rule("obx-11", "status", "OBX-11", function="code", table="observation_status", default="unknown")
    text = text_of(status, rule("obx-16", "performer+", "OBX-16", function="practitioner"))
    assert textwrap.indent(text, "    ") in inspect.getdoc(straight) + "\n"  # type: ignore[operator]  # it has one


def test_a_rule_over_segments_that_stand_several_times_is_left_to_itself() -> None:
    note = rule("nte-3", "note+", "NTE-3", function="annotation")
    assert "apply_0" in text_of(note)
    assert "apply_0" not in text_of(note, repeated=frozenset({"NTE"}))


def test_what_stands_in_a_mapping_file_is_never_more_than_a_string() -> None:
    odd = "a'];raise SystemExit\n#\"\\"
    text = text_of(
        rule(odd, odd, "PID-8", function="text", default=odd),
        rule("second", f"{odd}+", "PID-9", function="text"),
        rule("third", f"{odd}.{odd}", "PID-10", function="text"),
        rule("fourth", "active", value=odd),
    )
    frame = [["PID", *[""] * 10]]
    made: dict[str, Any] = {}
    places = {"PID": 0}
    compiled = [compile_rule(rule(odd, odd, "PID-8", function="text", default=odd), places, "baishi", tables())]
    straight_fill(compiled, ["PID"], frozenset())(frame, None, None, made)  # type: ignore[arg-type]  # not looked at
    assert made == {odd: odd}
    assert "\n    # " in text


def test_resources_without_rules_of_their_own_have_nothing_to_fill() -> None:
    assert text_of() == "def fill(frame, more, scope, out):\n    pass\n"


def test_an_id_of_components_is_read_carefully() -> None:
    assert "read(frame)" in identify_text([FieldName("OBR", 2)], ["OBR"], whole=False)
    assert "raw_0" not in identify_text([FieldName("OBR", 2, 1)], ["OBR"], whole=False)
