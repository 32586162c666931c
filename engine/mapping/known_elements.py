"""Which rules write an element that FHIR R4 does not have? A slip of the pen in `to` would stand in the record."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from engine.config.problems import nearest
from engine.mapping.definition import Rule
from engine.mapping.mapping_set import MappingSet
from engine.mapping.results_of_tests import TestResult

TITLE = "every element is one of FHIR"
_TYPE = re.compile(r"\b([A-Z]\w+)Type\b")
_CHOICE = "[x]"


def unknown_elements(mappings: MappingSet) -> Iterator[TestResult]:
    """A failed test for each rule whose `to` names no element of its resource, where it stands; each once."""
    told: set[Rule] = set()
    for definition in mappings.definitions_of_all():
        for resources in definition.resources:
            for rule in resources.rules:
                problem = "" if rule in told else _problem(resources.resource, rule.to)
                if problem:
                    told.add(rule)
                    failure = f"rule {rule.id}: {problem}"
                    yield TestResult(rule.line.file, rule.line.line, definition.name, TITLE, (failure,))


def _problem(resource_type: str, path: str) -> str:
    """What is wrong with a path such as `collection.method` or `value[x]`; empty when nothing is."""
    here = resource_type
    for step in path.split("."):
        name = re.sub(r"\[\d+\]", "", step)
        known = _elements(here)
        if name.endswith(_CHOICE):
            stem = name.removesuffix(_CHOICE)
            if not any(
                element == stem or element[len(stem) :][:1].isupper()
                for element in known
                if element[: len(stem)] == stem
            ):
                return f"{here} has no element '{name}' in FHIR R4"
            return ""  # the function says which of them it is
        if name not in known:
            return f"{here} has no element '{name}' in FHIR R4{nearest(name, known)}"
        here = known[name]
        if not here:
            return ""
    return ""


@cache
def _elements(type_name: str) -> dict[str, str]:
    """The elements of a type, with the type of each; empty for a primitive, which has none of its own."""
    from fhir.resources.R4B import get_fhir_model_class  # only who checks mappings waits for the models to be built

    fields: dict[str, Any] = get_fhir_model_class(type_name).model_fields
    return {str(field.alias or name): _complex(str(field.annotation)) for name, field in fields.items()} | {
        "resourceType": ""
    }


def _complex(annotation: str) -> str:
    found = _TYPE.search(annotation)
    return "" if found is None or found[1] == "FHIRPrimitiveExtension" else found[1]
