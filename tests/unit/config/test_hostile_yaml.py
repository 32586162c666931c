"""A configuration file is text from outside: a broken or hostile one is refused with its line, fast, in little room."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config.document import LIMIT_BYTES, LIMIT_DEPTH, UnreadableDocument, parse, read

BILLION_LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{c}: &{c} [*{p}, *{p}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
)

BROKEN = [
    ("an anchor that would multiply", BILLION_LAUGHS, 1, "without anchors"),
    ("an alias of nothing", "a: 1\nb: *gone\n", 2, "without anchors"),
    ("a merge key", "a: {x: 1}\nb:\n  <<: *a\n", 3, "without anchors"),
    ("a tag that would build an object", "a: 1\nb: !!python/object/apply:os.system [ls]\n", 2, "without tags"),
    ("a tag on a key", "!!str a: 1\n", 1, "without tags"),
    ("the same key twice", "a: 1\nb: 2\na: 3\n", 3, "'a' stands first on line 1"),
    ("the same key twice deep down", "a:\n  - b: 1\n    c: 2\n    b: 3\n", 4, "'b' stands first on line 2"),
    ("a list that does not end", "a: 1\nb: [1, 2\n", 3, "expected YAML"),
    ("a mapping that does not end", "a: {b: 1\n", 2, "expected YAML"),
    ("a quote that does not end", 'a: 1\nb: "never\n', 3, "expected YAML"),
    ("a tab as indentation", "a:\n\tb: 1\n", 2, "expected YAML"),
    ("two colons", "a: b: c\n", 1, "expected YAML"),
    ("uneven indentation", "a:\n    b: 1\n  c: 2\n", 3, "expected YAML"),
    ("a list as key", "? [a, b]\n: 1\n", 1, "plain word as key"),
    ("two documents", "a: 1\n---\na: 2\n", 2, "one document"),
    ("a null character", "a: 1\nb: x\x00y\n", 2, "U+0000"),
    ("a control character", "a: \x07\n", 1, "U+0007"),
    ("nesting without end", "a: " + "[" * 100_000, 1, "levels of nesting"),
    ("nested mappings without end", "{a: " * 5_000, 1, "levels of nesting"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "expected"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_what_is_no_plain_yaml_is_refused_with_its_line(text: str, line: int, expected: str) -> None:
    with pytest.raises(UnreadableDocument) as raised:
        parse(text)
    assert (raised.value.line, expected in raised.value.text) == (line, True), raised.value.text


@given(
    st.text(alphabet=st.sampled_from(list("ab: -?[]{},#&*!|>'\"%@`\\\n\t\x00\ufeff")) | st.characters(), max_size=60)
)
@settings(max_examples=400, deadline=None)
def test_whatever_is_written_is_read_or_refused_and_nothing_else(text: str) -> None:
    refusal = refusal_of(text)
    if refusal is not None:
        assert 0 <= refusal.line <= text.count("\n") + 2
        assert refusal.text.startswith("expected")


def refusal_of(text: str) -> UnreadableDocument | None:
    try:
        parse(text)
    except UnreadableDocument as refusal:
        return refusal
    return None


def test_nesting_up_to_the_limit_is_read() -> None:
    assert parse("[" * LIMIT_DEPTH + "]" * LIMIT_DEPTH).value


def test_a_huge_file_is_refused_without_reading_it_whole(tmp_path: Path) -> None:
    huge = tmp_path / "huge.yaml"
    with huge.open("wb") as file:
        file.truncate(10 * 1024**3)
    tracemalloc.start()
    with pytest.raises(UnreadableDocument, match=f"at most {LIMIT_BYTES} bytes"):
        read(huge)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * LIMIT_BYTES


def test_text_in_another_charset_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "community.yaml"
    file.write_bytes(b"# one\nname: " + "青溪县".encode("gb18030") + b"\n")
    with pytest.raises(UnreadableDocument, match="save the file as UTF-8") as raised:
        read(file)
    assert raised.value.line == 2


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    file = tmp_path / "community.yaml"
    file.write_bytes(b"\xef\xbb\xbfname: x\n")
    assert read(file).value == {"name": "x"}


@pytest.mark.parametrize("kind", ["folder", "pipe", "dangling link"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "routes.yaml"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UnreadableDocument, match="expected a readable file"):
        read(path)


def test_scalars_stay_as_they_were_written() -> None:
    written = (
        "zero: 007\nversion: 2.40\nnorway: no\nyes: yes\nempty: ''\nquoted: 'null'\nnothing:\ntilde: ~\nnull: null\n"
    )
    assert parse(written).value == {
        "zero": "007",
        "version": "2.40",
        "norway": "no",
        "yes": "yes",
        "empty": "",
        "quoted": "null",
        "nothing": None,
        "tilde": None,
        "null": None,
    }


def test_every_key_and_item_knows_its_line() -> None:
    document = parse("a: 1\nb:\n  - c: 2\n\n    d: 3\n  - e\n")
    assert [document.line(place) for place in [("a",), ("b",), ("b", 0), ("b", 0, "d"), ("b", 1)]] == [1, 2, 3, 5, 6]


def test_what_is_missing_is_placed_where_it_should_stand() -> None:
    assert parse("a: 1\nb:\n  - c: 2\n").line(("b", 0, "missing")) == 3
