"""Dates and times as DT, TS and DTM: as precise as they are, China's zone left out, as receivers assume it."""

from __future__ import annotations

import re
from typing import Any

from engine.clock import CHINA
from engine.mapping.lens.back import Back, Field
from engine.mapping.registry import Options, Put, puts

_DATE_TIME = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?)?)?", re.ASCII
)
_CHINA = str(CHINA)
BIRTH_TIME = "http://hl7.org/fhir/StructureDefinition/patient-birthTime"


def written_time(text: Any) -> str:
    """A FHIR date or dateTime as DTM; empty where it is none."""
    match = _DATE_TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return ""
    *digits, zone = match.groups(default="")
    offset = "" if zone in ("", _CHINA) else "+0000" if zone == "Z" else zone.replace(":", "")
    return "".join(digits) + offset


def written_period(value: Any) -> tuple[str, str]:
    """Start and end of a Period."""
    found = value if isinstance(value, dict) else {}
    return written_time(found.get("start")), written_time(found.get("end"))


@puts("date", "date_time", "instant")
def write_time(options: Options) -> Put:
    return lambda value, back: written_time(value) or None


@puts("birth_date")
def write_birth_date(options: Options) -> Put:
    def put(resource: Any, back: Back) -> Field | None:
        for extension in (resource.get("_birthDate") or {}).get("extension", ()):
            if extension.get("url") == BIRTH_TIME and (at := written_time(extension.get("valueDateTime"))):
                return at
        return written_time(resource.get("birthDate")) or None

    return put


@puts("effective")
def write_effective(options: Options) -> Put:
    return lambda resource, back: _moment_or_period(resource, "effective")


@puts("collected_between")
def write_collected_between(options: Options) -> Put:
    return lambda collection, back: _moment_or_period(collection, "collected")


def _moment_or_period(container: Any, stem: str) -> dict[int, Field] | None:
    if f"{stem}Period" in container:
        start, end = written_period(container[f"{stem}Period"])
        return {0: start, 1: end}
    at = written_time(container.get(f"{stem}DateTime"))
    return {0: at} if at else None


@puts("period")
def write_period(options: Options) -> Put:
    def put(value: Any, back: Back) -> dict[int, Field] | None:
        start, end = written_period(value)
        return {0: start, 1: end} if start or end else None

    return put
