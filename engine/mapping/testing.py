"""Do the mappings give what their authors expect? Runs the `mapping_test.yaml` that stands beside each mapping.

A test names a message file and facts: `Patient.name[0].text: 张三`. It says nothing of what it does not name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.codecs import er7
from engine.config.problems import Problem
from engine.errors import HutongError
from engine.mapping.bound_codes import codes_not_allowed
from engine.mapping.known_elements import unknown_elements
from engine.mapping.loader import TEST_FILE, TESTS_OF_FACILITY
from engine.mapping.mapped import Context, Mapped, Resource
from engine.mapping.mapping_set import MappingSet
from engine.mapping.reading import Node
from engine.mapping.results_of_tests import TestResult
from engine.mapping.tested import Exercised
from engine.mapping.testing_outbound import run_outbound_tests

_TEST_KEYS = ("name", "message", "charset", "facility", "expect", "unmapped", "findings", "error")
_STEP = re.compile(r"([^\[\].]+)(?:\[(\d+)\])?")
_RECEIVED_AT = datetime(2026, 4, 1, tzinfo=UTC)
"""A mapping may not depend on it."""
NOTHING = "(nothing)"
"""What a fact says of an element that must not be there."""
ANY = "any"
"""What a test says of findings that it is not about."""
DELETED = "(deleted)"
"""What a fact says of an element that the sender deletes."""


def run_tests(folder: Path, own: Path | None = None) -> list[TestResult]:
    """Runs every test below a mappings folder, and below an installation's own. One that cannot be read has failed.

    Raises InvalidConfiguration when the mappings themselves cannot be loaded.
    """
    places = [(folder, folder), *([(own, own.parent)] if own is not None else [])]
    facilities = [path.name for place, _ in places for path in place.glob("facilities/*") if path.is_dir()]
    mappings = MappingSet.load(folder, facilities, own)
    results: list[TestResult] = []
    exercised = Exercised()
    for place, root in places:
        for path in sorted({*place.glob(f"**/{TEST_FILE}"), *place.glob(f"facilities/*/*{TESTS_OF_FACILITY}")}):
            results.extend(_file(path, root, mappings, exercised))
    tested = {result.mapping for result in results}
    for definition in mappings.definitions():
        if definition.name not in tested:
            line = definition.line
            results.append(
                TestResult(line.file, line.line, definition.name, "has a test", (f"expected a {TEST_FILE}",))
            )
    results.extend(exercised.untested(mappings))
    results.extend(unknown_elements(mappings))
    results.extend(codes_not_allowed(mappings, places))
    results.extend(run_outbound_tests(folder, mappings))
    return results


def _file(path: Path, folder: Path, mappings: MappingSet, exercised: Exercised) -> Iterator[TestResult]:
    problems: list[Problem] = []
    node = Node.open(path, folder, problems)
    facility = path.parent.name if path.parent.parent.name == "facilities" else ""
    if node is not None:
        node.allow("tests")
        for item in node.items("tests"):
            item.allow(*_TEST_KEYS)
            item.require("name", "message")
            mapping, failures = _test(item, path.parent, facility, mappings, exercised)
            yield TestResult(item.file, item.line.line, mapping, item.text("name"), tuple(failures))
    for problem in problems:
        yield TestResult(problem.file, problem.line, "", "can be read", (problem.text,))


def _test(node: Node, folder: Path, facility: str, mappings: MappingSet, exercised: Exercised) -> tuple[str, list[str]]:
    path = folder / node.text("message")
    facility = node.text("facility", facility or "example")
    try:
        message = er7.parse(path.read_bytes(), node.text("charset") or None)
    except OSError as error:
        return "", [f"message {path.name} cannot be read: {error.strerror}"]
    except HutongError as error:
        return "", [f"message {path.name}: {error.message}"]
    mapping = mappings.find(message.message_type, facility)
    if mapping is None:
        return "", [f"no mapping takes {message.message_type}"]
    context = Context(facility, facility, "test", _RECEIVED_AT)
    try:
        mapped = mapping.apply(message, context, with_sources=True)
    except HutongError as error:
        return mapping.name, list(_compared_error(node, error))
    exercised.add(mapping.definition, mapped)
    if node.has("error"):
        return mapping.name, [f"expected the error {node.text('error')}; the message was mapped"]
    return mapping.name, list(_compared(node, mapped))


def _compared_error(node: Node, error: HutongError) -> Iterator[str]:
    found = f"{error.code} {error.rule} {error.location}"
    if node.text("error") != found:
        yield f"error: expected {node.text('error') or 'none'}, found {found}"


def _compared(node: Node, mapped: Mapped) -> Iterator[str]:
    facts = node.at("expect")
    for fact in facts.names():
        expected = facts.text(fact)
        found = fact_of(mapped.resources, fact)
        if found != expected:
            yield f"{fact}: expected {expected}, found {found}"
    if node.has("unmapped"):
        expected_fields = list(node.texts("unmapped"))
        if sorted(mapped.unmapped) != sorted(expected_fields):
            yield f"unmapped: expected {', '.join(expected_fields)}, found {', '.join(mapped.unmapped)}"
    codes = sorted({f"{finding.code} {finding.location}" for finding in mapped.findings})
    if list(node.texts("findings")) != [ANY] and codes != sorted(node.texts("findings")):
        yield f"findings: expected {', '.join(node.texts('findings')) or 'none'}, found {', '.join(codes) or 'none'}"


def fact_of(resources: list[Resource], path: str) -> str:
    """What stands at a path, as text; the number of resources for a bare type; `NOTHING` where nothing stands.

    `Observation[1].valueQuantity.value`: resources and list elements count from 0, the first is meant without a number.
    """
    steps = [(match[1], match[2]) for match in _STEP.finditer(path)]
    kind, number = steps[0]
    those = [resource for resource in resources if resource["resourceType"] == kind]
    if len(steps) == 1 and number is None:
        return str(len(those))
    found: Any = those[int(number or 0)] if int(number or 0) < len(those) else None
    for name, index in steps[1:]:
        if not isinstance(found, dict) or name not in found:
            return NOTHING
        found = found[name]
        if isinstance(found, list) and (index is not None or name != steps[-1][0]):
            at = int(index or 0)
            if at >= len(found):
                return NOTHING
            found = found[at]
    return _as_text(found)


def _as_text(value: Any) -> str:
    if value is None:
        return DELETED
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, list):
        return str(len(value))
    return str(value)


__all__ = ["TEST_FILE", "TestResult", "fact_of", "run_tests"]
