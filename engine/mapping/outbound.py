"""How does a signed report leave as an HL7 v2 message? By the rows of `outbound.yaml`."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from engine.codecs.er7 import Er7Writer, Raw, Value
from engine.config.problems import InvalidConfiguration, Problem
from engine.errors import MappingError
from engine.identifiers import DICOM_UID
from engine.mapping.definition import Direction, FieldName, Line
from engine.mapping.endpoint import Endpoint
from engine.mapping.mapped import Resource
from engine.mapping.reading import Node
from engine.mapping.writing import WRITERS, Write, WriteOptions
from engine.terminology import Tables

OUTBOUND_FILE = "outbound.yaml"
_REPORT = f"hl7v2/ORU_R01/{OUTBOUND_FILE}"
_ROOTS = ("report", "order", "patient", "endpoint", "message", "each")
_LISTS = ("observations",)
_RULE_KEYS = ("rule", "from", "value", "to", "with", "as", "table", "since", "before")
_VERSIONS = ("2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8")


@dataclass(frozen=True, slots=True)
class _Row:
    """One field to be written: a constant, or an element and the function that writes it."""

    id: str
    number: int
    path: tuple[str, ...]
    constant: str
    write: Write
    since: str
    before: str

    def applies_to(self, version: str) -> bool:
        return (not self.since or _order(version) >= _order(self.since)) and (
            not self.before or _order(version) < _order(self.before)
        )


@dataclass(frozen=True, slots=True)
class _Segment:
    name: str
    each: str
    needs: tuple[str, ...]
    rows: tuple[_Row, ...]
    line: Line


class OutboundMapping:
    """One outbound mapping, ready to write messages."""

    def __init__(self, name: str, version: str, segments: Sequence[_Segment]) -> None:
        self.name = name
        self.version = version
        self._segments = tuple(segments)

    @classmethod
    def load(cls, path: Path, root: Path) -> OutboundMapping:
        """Reads a file below the mappings folder. Raises InvalidConfiguration that lists every problem."""
        problems: list[Problem] = []
        tables = Tables.load(root / "tables")
        node = Node.open(path, root, problems)
        segments: list[_Segment] = []
        if node is not None:
            node.allow("name", "version", "direction", "segments")
            node.require("name", "version", "direction", "segments")
            node.name("direction", [Direction.OUT])
            segments = [_segment(item, tables) for item in node.items("segments")]
        if problems or node is None:
            raise InvalidConfiguration(problems)
        return cls(node.text("name"), node.text("version"), segments)

    def write(self, facts: MappingOf[str, Any], lists: MappingOf[str, Sequence[Resource]], endpoint: Endpoint) -> bytes:
        """The message's bytes. Raises MappingError when an element cannot be written, naming rule and field."""
        writer = Er7Writer(endpoint.charset)
        counts: dict[str, int] = {}
        for segment in self._segments:
            for each in lists[segment.each] if segment.each else (None,):
                here = {**facts, "each": each}
                if segment.needs and not _element(here, segment.needs):
                    continue
                counts[segment.name] = counts.get(segment.name, 0) + 1
                here["message"] = {**facts["message"], "count": str(counts[segment.name])}
                writer.add(segment.name, _fields(segment, here, endpoint.version))
        return writer.encode()


def build_oru(
    report: Resource,
    order: Resource,
    patient: Resource,
    observations: Sequence[Resource],
    *,
    endpoint: Endpoint,
    control_id: str,
    at: datetime,
) -> bytes:
    """A signed report as ORU^R01 for an endpoint, in its version and charset.

    Raises MappingError: `charset-cannot-carry` when the endpoint's charset lacks a character, else with rule and field.
    """
    facts = report_facts(report, order, patient, endpoint, control_id, at)
    return _report_mapping().write(facts, {"observations": observations}, endpoint)


def report_facts(
    report: Resource, order: Resource, patient: Resource, endpoint: Endpoint, control_id: str, at: datetime
) -> dict[str, Any]:
    """What the rows of a report's mapping can take from."""
    return {
        "report": report,
        "order": order,
        "patient": patient,
        "endpoint": {
            "version": endpoint.version,
            "sending_application": endpoint.sending_application,
            "sending_facility": endpoint.sending_facility,
            "receiving_application": endpoint.receiving_application,
            "receiving_facility": endpoint.receiving_facility,
        },
        "message": {"control_id": control_id, "at": at.isoformat(), "study_uid": _study_uid(order)},
    }


@lru_cache(maxsize=1)
def _report_mapping() -> OutboundMapping:
    root = Path(str(files("mappings")))
    return OutboundMapping.load(root / _REPORT, root)


def _study_uid(order: Resource) -> str:
    for identifier in order.get("identifier", ()):
        if identifier.get("system") == DICOM_UID:
            return str(identifier["value"]).removeprefix("urn:oid:")
    return ""


def _segment(node: Node, tables: Tables) -> _Segment:
    node.allow("segment", "each", "needs", "rules")
    node.require("segment", "rules")
    if node.has("each"):
        node.name("each", _LISTS)
    name = node.text("segment")
    rows = [row for item in node.items("rules") if (row := _row(item, name, tables)) is not None]
    needs = tuple(node.text("needs").split(".")) if node.has("needs") else ()
    if needs and needs[0] not in _ROOTS:
        node.at("needs").wrong(f"expected an element of {', '.join(_ROOTS)}")
    return _Segment(name, node.text("each"), needs, tuple(rows), node.line)


def _row(node: Node, segment: str, tables: Tables) -> _Row | None:
    node.allow(*_RULE_KEYS)
    if not node.require("rule", "to"):
        return None
    names = node.parsed("to", FieldName.parse)
    path = tuple(node.text("from").split(".")) if node.has("from") else ()
    if node.has("from") == node.has("value"):
        node.wrong("expected exactly one of: from, value")
    if path and path[0] not in _ROOTS:
        node.at("from").wrong(f"expected an element of {', '.join(_ROOTS)}")
    function = node.name("with", WRITERS) if node.has("with") else "text"
    table = node.name("table", tables.names())
    for key in ("since", "before"):
        node.name(key, _VERSIONS)
    if not names or function is None:
        return None
    if names[0].segment != segment:
        node.at("to").wrong(f"expected a field of {segment}")
    options = WriteOptions(tables, node.text("as"), tables[table] if table else None)
    return _Row(
        id=node.text("rule"),
        number=names[0].number,
        path=path,
        constant=node.text("value"),
        write=WRITERS[function](options),
        since=node.text("since"),
        before=node.text("before"),
    )


def _fields(segment: _Segment, facts: MappingOf[str, Any], version: str) -> dict[int, Value]:
    fields: dict[int, Value] = {}
    for row in segment.rows:
        if not row.applies_to(version):
            continue
        if row.constant:
            fields[row.number] = Raw(row.constant)
            continue
        element = _element(facts, row.path)
        if not element:
            continue
        try:
            fields[row.number] = row.write(element)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            location = f"{segment.name}-{row.number}"
            text = f"rule {row.id} cannot write {'.'.join(row.path)} into {location} ({type(error).__name__})"
            raise MappingError(text, location=location, rule=row.id) from error
    return fields


def _element(facts: MappingOf[str, Any], path: tuple[str, ...]) -> Any:
    found: Any = facts
    for name in path:
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
