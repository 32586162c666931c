"""Do the outbound mappings write what their authors expect? Runs the `outbound_test.yaml` that stands beside each.

A test names the order's message, which is mapped first, and a report as FHIR JSON; its facts are fields of what is
written: `OBR-25: F`, `OBX[2]-5: …`, a field raw as HL7 writes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from engine.clock import CHINA
from engine.codecs import er7, fhir_json
from engine.config.problems import Problem
from engine.errors import HutongError
from engine.mapping.mapped import Context, Resource
from engine.mapping.mapping_set import MappingSet
from engine.mapping.outbound import OUTBOUND_FILE, OutboundMapping, report_facts
from engine.mapping.reading import Node
from engine.mapping.results_of_tests import TestResult

TEST_FILE = "outbound_test.yaml"
_KEYS = ("name", "order", "report", "version", "charset", "expect")
_FIELD = re.compile(r"([A-Z][A-Z0-9]{2})(?:\[(\d+)\])?-(\d+)")
_AT = datetime(2026, 4, 1, 10, 0, tzinfo=CHINA)
_CONTROL_ID = "TEST0001"


@dataclass(frozen=True, slots=True)
class _Endpoint:
    version: str
    charset: str
    sending_application: str = "HUTONG"
    sending_facility: str = "HUTONG"
    receiving_application: str = "HIS"
    receiving_facility: str = "EXAMPLE"


def run_outbound_tests(folder: Path, mappings: MappingSet) -> Iterator[TestResult]:
    """Runs every outbound test below a mappings folder; an outbound mapping without one is a failed test."""
    for path in sorted(folder.glob(f"hl7v2/*/{OUTBOUND_FILE}")):
        mapping = OutboundMapping.load(path, folder)
        test = path.with_name(TEST_FILE)
        if test.is_file():
            yield from _file(test, folder, mapping, mappings)
        else:
            file = path.relative_to(folder).as_posix()
            yield TestResult(file, 1, mapping.name, "has a test", (f"expected a {TEST_FILE}",))


def _file(path: Path, folder: Path, mapping: OutboundMapping, mappings: MappingSet) -> Iterator[TestResult]:
    problems: list[Problem] = []
    node = Node.open(path, folder, problems)
    if node is not None:
        node.allow("tests")
        for item in node.items("tests"):
            item.allow(*_KEYS)
            item.require("name", "order", "report", "expect")
            try:
                failures = tuple(_failures(item, path.parent, mapping, mappings))
            except HutongError as error:
                failures = (error.message,)
            except (OSError, msgspec.DecodeError) as error:
                failures = (f"a file cannot be read: {error}",)
            yield TestResult(item.file, item.line.line, mapping.name, item.text("name"), failures)
    for problem in problems:
        yield TestResult(problem.file, problem.line, mapping.name, "can be read", (problem.text,))


def _failures(node: Node, folder: Path, mapping: OutboundMapping, mappings: MappingSet) -> Iterator[str]:
    order, patient = _ordered(folder / node.text("order"), mappings)
    written: dict[str, Any] = fhir_json.loads((folder / node.text("report")).read_bytes())
    endpoint = _Endpoint(node.text("version", "2.5.1"), node.text("charset", "utf-8"))
    facts = report_facts(written["report"], order, patient, endpoint, _CONTROL_ID, _AT)
    message = er7.parse(mapping.write(facts, {"observations": written["observations"]}, endpoint))
    expected = node.at("expect")
    for fact in expected.names():
        found = _field(message, fact)
        if found != expected.text(fact):
            yield f"{fact}: expected {expected.text(fact)}, found {found}"


def _ordered(path: Path, mappings: MappingSet) -> tuple[Resource, Resource]:
    """The first order of a message, and its patient."""
    message = er7.parse(path.read_bytes())
    mapping = mappings.find(message.message_type, "example")
    if mapping is None:
        raise HutongError(f"no mapping takes {message.message_type}", code="no-mapping")
    resources = mapping.apply(message, Context("example", "example", "test", _AT)).resources
    by_type = {resource["resourceType"]: resource for resource in reversed(resources)}
    return by_type["ServiceRequest"], by_type["Patient"]


def _field(message: er7.Message, fact: str) -> str:
    match = _FIELD.fullmatch(fact)
    if match is None:
        return "(no such field)"
    segments = message.named(match[1])
    at = int(match[2] or 1) - 1
    return segments[at].field(int(match[3])) if at < len(segments) else "(nothing)"
