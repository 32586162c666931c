"""Each rule about who may import whom is broken once on purpose, to see that it is caught; SQL stands in the store."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HOUSE = Path(__file__).parents[3]
SETTINGS: dict[str, Any] = tomllib.loads((HOUSE / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
PACKAGES: list[str] = SETTINGS["root_packages"]

# contract, the module that breaks it, what it imports
BREAKS = [
    ("engine-layers", "engine/store/journal.py", "engine.api.app"),
    ("engine-layers", "engine/api/app.py", "engine.cli.main"),
    ("engine-layers", "engine/routing/__init__.py", "engine.intake"),
    ("engine-layers", "engine/nobody_said_where.py", "engine.errors"),
    ("core-never-dials-out", "engine/delivery.py", "adapters.mllp.sender"),
    ("core-never-dials-out", "engine/api/app.py", "pacs_gateway.receiving"),
    ("core-never-dials-out", "engine/intake.py", "conformance"),
    ("outside-is-apart", "pacs_gateway/__init__.py", "adapters.mllp.sender"),
    ("outside-is-apart", "conformance/__init__.py", "pacs_gateway"),
    ("pure-parts", "engine/codecs/text.py", "time"),
    ("pure-parts", "engine/codecs/er7.py", "engine.clock"),
    ("pure-parts", "engine/routing/__init__.py", "socket"),
    ("pure-parts", "engine/recognition/judgement.py", "engine.store.records"),
    ("pure-parts", "engine/identity/__init__.py", "asyncpg"),
    ("adapters-see-ports", "adapters/mllp/receiver.py", "engine.store.journal"),
    ("adapters-see-ports", "adapters/mllp/sender.py", "engine.routing"),
    ("adapters-are-apart", "adapters/mllp/sender.py", "adapters.another"),
    ("gateway-sees-intake", "pacs_gateway/__init__.py", "engine.mapping"),
    ("lab-uses-sockets", "conformance/__init__.py", "engine.store.records"),
    ("lab-uses-sockets", "conformance/__init__.py", "asyncpg"),
    ("data-imports-nothing", "mappings/__init__.py", "engine.errors"),
    ("data-imports-nothing", "web/__init__.py", "engine.config"),
]


@pytest.fixture(scope="module")
def skeleton(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The house with every module empty: the same names, no imports. A second adapter stands beside the first."""
    folder = tmp_path_factory.mktemp("house")
    for package in PACKAGES:
        for module in (HOUSE / package).rglob("*.py"):
            copy = folder / module.relative_to(HOUSE)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.touch()
    (folder / "adapters" / "another.py").touch()
    (folder / "pyproject.toml").write_bytes((HOUSE / "pyproject.toml").read_bytes())
    return folder


def lint(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_house_without_any_import_keeps_every_contract(skeleton: Path) -> None:
    result = lint(skeleton)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"Contracts: {len(SETTINGS['contracts'])} kept, 0 broken." in result.stdout


@pytest.fixture(scope="module")
def report(skeleton: Path) -> str:
    """What is said of the house while everything in it is broken at once that the table names."""
    broken = skeleton.parent / "broken"
    shutil.copytree(skeleton, broken)
    for _, module, imported in BREAKS:
        with (broken / module).open("a", encoding="utf-8") as file:
            file.write(f"import {imported}\n")
    result = lint(broken)
    assert result.returncode == 1, result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize(("contract", "module", "imported"), BREAKS)
def test_a_contract_broken_on_purpose_is_caught(report: str, contract: str, module: str, imported: str) -> None:
    """By itself: a chain of one link. A longer one would be caught for where it leads to."""
    (name,) = (one["name"] for one in SETTINGS["contracts"] if one["id"] == contract)
    section = report.split(f"\n{name}\n{'-' * len(name)}\n")[1].split("\n-----")[0]
    importer = module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    alone = rf"^- +{re.escape(importer)} -> {re.escape(imported)} \(l\.\d+\)\n\n"
    assert re.search(alone, section, re.MULTILINE) or f"not listed as layers:\n\n- {importer}\n" in section, section


def test_every_contract_is_broken_by_some_row() -> None:
    assert {contract["id"] for contract in SETTINGS["contracts"]} == {contract for contract, _, _ in BREAKS}


STATEMENT = re.compile(
    r"^\s*(select\b.+\bfrom|insert\s+into|update\s+\S+\s+set|delete\s+from|with\s+\w+\s+as\s*\(|copy\s+\w+\s|"
    r"(create|alter|drop)\s+(table|index|schema|database))\b",
    re.IGNORECASE | re.DOTALL,
)


def texts(module: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def test_sql_stands_only_in_the_store() -> None:
    elsewhere = [
        f"{module.relative_to(HOUSE)}:{line}"
        for package in PACKAGES
        for module in (HOUSE / package).rglob("*.py")
        if not module.is_relative_to(HOUSE / "engine" / "store")
        for line, text in texts(module)
        if STATEMENT.match(text)
    ]
    assert elsewhere == []


@pytest.mark.parametrize(
    "sql",
    [
        "select id from journal where sha256 = $1",
        "\n  INSERT INTO journal (id) VALUES ($1)",
        "update outbox set state = 'done'",
        "delete from inbox",
        "with claimed as (select 1) select 1",
        "create table x (id int)",
    ],
)
def test_sql_is_recognised(sql: str) -> None:
    assert STATEMENT.match(sql)


def test_prose_is_not_taken_for_sql() -> None:
    prose = ["Select a study and read it.", "Update the order.", "with patience", "Delete: not from here"]
    assert [text for text in prose if STATEMENT.match(text)] == []
