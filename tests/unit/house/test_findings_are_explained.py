"""Every finding that the code can raise stands in the table of findings, in both languages, with what to do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TABLES = (ROOT / "docs" / "connect-a-system.md", ROOT / "docs" / "connect-a-system.zh-CN.md")
RAISING = ("Finding", "ManifestFinding", "_finding", "doubt")
HOLDING = ("engine/codecs/er7_header.py", "engine/codecs/v2xml.py", "engine/mapping", "engine/understanding.py")
"""Where an error is raised that holds a message: its code becomes the code of the finding."""

_ROW = re.compile(r"^\| (`[a-z0-9-]+`(?:(?:, |、)`[a-z0-9-]+`)*) \| (.+) \|$", re.MULTILINE)
_CODE = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)+")
_NOT_OF_A_MESSAGE = {
    "not-writable",
    "nothing-written",
    "message-type-not-written",
    "charset-cannot-carry",
}
"""Why something cannot be written: told to whoever asks for it."""


@cache
def raised() -> dict[str, str]:
    """Codes of findings that are written out in the code, each with a file that has it."""
    found: dict[str, str] = {}
    for package in ("engine", "adapters", "pacs_gateway"):
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            name = path.relative_to(ROOT).as_posix()
            if any(f"{each}(" in text for each in RAISING) or name.startswith(HOLDING):
                found |= dict.fromkeys(_codes(ast.parse(text), holds=name.startswith(HOLDING)), name)
    return found


def _codes(tree: ast.Module, *, holds: bool) -> Iterator[str]:
    constants = {
        target.id: node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in RAISING and node.args:
            yield from _texts(node.args[0], constants)
        if holds:
            yield from (code for each in node.keywords if each.arg == "code" for code in _texts(each.value, constants))


def _texts(node: ast.expr, constants: dict[str, str]) -> Iterator[str]:
    text = constants.get(node.id) if isinstance(node, ast.Name) else getattr(node, "value", None)
    if isinstance(text, str) and _CODE.fullmatch(text):
        yield text


def explained(table: Path) -> dict[str, str]:
    section = table.read_text(encoding="utf-8").partition("\n## 5. ")[2].partition("\n## ")[0]
    rows = _ROW.findall(section)
    return {code: what for codes, what in rows for code in re.findall(r"`([a-z0-9-]+)`", codes)}


def test_the_codes_are_found_in_the_code() -> None:
    assert {"id-card-check-digit", "flag-contradicts-range", "no-mapping", "object-missing"} <= {
        *raised(),
        "object-missing",
    }
    assert len(raised()) > 100


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_finding_is_explained(table: Path) -> None:
    known = explained(table)
    missing = {code: name for code, name in raised().items() if code not in known and code not in _NOT_OF_A_MESSAGE}
    assert missing == {}


def test_both_languages_explain_the_same() -> None:
    english, chinese = map(explained, TABLES)
    assert english.keys() == chinese.keys()


def test_the_console_says_every_finding_in_chinese_first() -> None:
    meanings = (ROOT / "web" / "page" / "scripts" / "meanings.js").read_text(encoding="utf-8")
    said = re.findall(r'^  "([a-z0-9-]+)": "', meanings, re.MULTILINE)
    assert len(said) == len(set(said))
    assert set(raised()) - set(said) - _NOT_OF_A_MESSAGE == set()
