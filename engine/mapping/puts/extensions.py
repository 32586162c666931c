"""Extensions that HL7 defines, by their URL: each is written by the row that names it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.mapping.lens.back import Back, Field
from engine.mapping.puts.codes import Written, write_coding
from engine.mapping.puts.texts import text_or_none
from engine.mapping.puts.times import written_time
from engine.mapping.registry import Options, Put, puts

_BIRTH_PLACE = "http://hl7.org/fhir/StructureDefinition/patient-birthPlace"
_SUB_ID = "http://hl7.org/fhir/StructureDefinition/observation-v2-subid"
_ANALYSED = "http://hl7.org/fhir/StructureDefinition/observation-analysis-date-time"
_ABNORMAL_NATURE = "http://hl7.org/fhir/StructureDefinition/observation-nature-of-abnormal-test"


def _of_url(url: str | None, write: Callable[[Any], Field | None]) -> Put:
    def put(value: Any, back: Back) -> Field | None:
        return write(value) if value.get("url") == url else None

    return put


@puts("concept_extension")
def write_concept_extension(options: Options) -> Put:
    written = Written(options, None)
    return _of_url(options.argument, lambda value: written.of(value.get("valueCodeableConcept", {})))


@puts("coding_extension", inverts=True)
def write_coding_extension(options: Options) -> Put:
    write = write_coding(options)

    def put(value: Any, back: Back) -> Field | None:
        found: Field | None = (
            write(value.get("valueCoding", {}), back) if value.get("url") == options.argument else None
        )
        return found

    return put


@puts("text_extension", "name_extension")
def write_text_extension(options: Options) -> Put:
    return _of_url(options.argument, lambda value: text_or_none(value.get("valueString")))


@puts("time_extension")
def write_time_extension(options: Options) -> Put:
    return _of_url(options.argument, lambda value: written_time(value.get("valueDateTime")) or None)


@puts("code_extension")
def write_code_extension(options: Options) -> Put:
    written = Written(options, None)

    def write(value: Any) -> Field | None:
        for part in value.get("extension", ()):
            if part.get("url") == "code":
                return written.of(part.get("valueCodeableConcept", {}))
        return None

    return _of_url(options.argument, write)


@puts("birth_place")
def write_birth_place(options: Options) -> Put:
    return _of_url(_BIRTH_PLACE, lambda value: text_or_none(value.get("valueAddress", {}).get("text")))


@puts("sub_id")
def write_sub_id(options: Options) -> Put:
    def write(value: Any) -> Field | None:
        parts = value.get("extension", ())
        return text_or_none(parts[0].get("valueString")) if parts else None

    return _of_url(_SUB_ID, write)


@puts("analysed_at")
def write_analysed_at(options: Options) -> Put:
    return _of_url(_ANALYSED, lambda value: written_time(value.get("valueDateTime")) or None)


@puts("abnormal_nature")
def write_abnormal_nature(options: Options) -> Put:
    written = Written(options, None)
    return _of_url(_ABNORMAL_NATURE, lambda value: written.of(value.get("valueCodeableConcept", {})))
