"""What did a model refuse, in words? Turns pydantic's errors into what was expected, with the nearest valid name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from engine.config.document import Place
from engine.config.problems import nearest

_PATTERNS = {
    r"^[a-z0-9][a-z0-9._-]*$": "a name of lower-case letters, digits, '-', '_' and '.'",
    r"^[A-Z][A-Z0-9_]{1,15}$": "a DICOM modality in capitals, such as DX",
    r"^[A-Z][A-Z0-9]{2}(\^[A-Z0-9]{3})?$": "a message type such as ADT^A04 or ORU",
    r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$": "the name of a bucket: 3 to 63 lower-case letters, digits, '-' and '.'",
    r"^([0-9A-Za-z][0-9A-Za-z._-]*/)*$": "folders of letters, digits, '.', '_' and '-', each with a '/' behind it",
    r"^[0-9A-Za-z-]+$": "the name of a region, such as us-east-1",
    r"^[^|^~\\&\r\n]*$": "text without | ^ ~ \\ & and line ends",
}
_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list, such as [one, two]",
    "model_type": "keys and values",
    "dict_type": "keys and values",
    "string_too_short": "text that is not empty",
    "too_short": "a list that is not empty",
}
_BOUNDS = {
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than_equal": "a number of at most {le}",
    "string_too_long": "at most {max_length} characters",
}


def explain(error: ValidationError, model: type[BaseModel], given: Mapping[str, str]) -> Iterator[tuple[Place, str]]:
    """Yields the place and the expectation of each error; `given` are keys that no file holds, such as its name."""
    details = error.errors(include_url=False)
    places = [detail["loc"] for detail in details]
    for detail, place in zip(details, places, strict=True):
        # A list whose items were refused counts as too short as well: that is the same mistake told twice.
        if detail["type"] == "too_short" and any(other != place and other[: len(place)] == place for other in places):
            continue
        if len(place) == 1 and place[0] in given:
            yield (), f"'{given[str(place[0])]}': {_expected(detail, model, given)}"
        else:
            yield place, _expected(detail, model, given)


def _expected(detail: ErrorDetails, model: type[BaseModel], given: Mapping[str, str]) -> str:
    kind, place, context = detail["type"], detail["loc"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key{nearest(str(place[-1]), _fields(model, place[:-1], given))}"
    if kind == "missing":
        return "expected this key, which is missing"
    if kind == "value_error":
        return str(context["error"])
    if kind in ("enum", "literal_error"):
        valid = [word.strip().strip("'") for word in str(context["expected"]).replace(" or ", ",").split(",")]
        return f"expected {' or '.join(valid)}{_found(detail)}{_close(detail, valid)}"
    if kind == "string_pattern_mismatch":
        return f"expected {_PATTERNS[str(context['pattern'])]}{_found(detail)}"
    if kind in _BOUNDS:
        return f"expected {_BOUNDS[kind].format(**context)}"
    if kind in _KINDS:
        return f"expected {_KINDS[kind]}{_found(detail)}"
    return detail["msg"]


def _found(detail: ErrorDetails) -> str:
    value = detail["input"]
    if value is None:
        return ", found nothing"
    return f", found '{value}'" if isinstance(value, str) and 0 < len(value) <= 40 else ""


def _close(detail: ErrorDetails, valid: list[str]) -> str:
    hint = nearest(str(detail["input"]), valid)
    return hint if "did you mean" in hint else ""


def _fields(model: type[BaseModel], place: Place, given: Mapping[str, str]) -> list[str]:
    """The keys that may be written at a place inside a model."""
    inner: Any = model
    for step in place:
        if isinstance(step, str):
            inner = _model_in(inner.model_fields[step].annotation)
    return [name for name in inner.model_fields if place or name not in given]


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)
