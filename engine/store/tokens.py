"""By which tokens can a resource be found? How a token is written, and the tokens a resource has of each parameter.

A token is `parameter=value`; a coded value or identifier with a system also has `parameter@system|value`, one without
has `parameter@|value`. Tokens carry no resource type, except those of a status: statuses are so few that the types
must not share them (`status=Task/requested`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from hashlib import sha256
from typing import Any

from engine.identifiers import DICOM_UID
from engine.store.search_parameters import OTHERS, PARAMETERS, Kind, Parameter
from engine.store.spellings import spellings

RULES = 1
"""Raise it whenever a resource gets other tokens than before: rows that are there already are completed then."""

_LONGEST_VALUE = 160
"""PostgreSQL refuses an index entry over 2,704 bytes; a longer value is found by its digest."""


def tokens_of(resource: Mapping[str, Any]) -> list[str]:
    """Every token of a resource, each once. A type without parameters gets those of its identifiers and its visit.

    They come in the order in which an index sorts them: it has the less to sort in every row that is written.
    Never raises for an element of an unexpected shape: what cannot be read has no token.
    """
    resource_type = resource["resourceType"]
    tokens: list[str] = []
    for element, known, extract in _EXTRACTORS.get(resource_type, _OTHERS):
        value = resource.get(element)
        if value is None:
            continue
        part = value[0] if isinstance(value, list) and len(value) == 1 else value
        remembered = known.get(id(part))
        tokens += remembered[1] if remembered is not None and remembered[0] is part else extract(value, resource_type)
    return tokens


def of_value(token: str, value: str) -> str:
    """The token of a value whatever its system."""
    return f"{token}={clean(value)}"


def of_system_and_value(token: str, system: str, value: str) -> str:
    """The token of a value in a system; an empty system asks for a value that has none."""
    return f"{token}@{_clean_system(system)}|{clean(value)}"


@lru_cache(maxsize=4096)
def _clean_system(system: str) -> str:
    return clean(system).replace("|", "%7C")


@lru_cache(maxsize=4096)
def of_status(token: str, resource_type: str, value: str) -> str:
    return f"{token}={resource_type}/{clean(value)}"


def of_reference(token: str, reference: str) -> str:
    """The token of a relative reference, `Patient/…`."""
    return f"{token}={clean(reference)}"


def clean(text: str) -> str:
    """Blanks around it and control characters do not count; what is too long for an index is digested."""
    text = text.strip()
    if not text.isprintable():
        text = "".join(filter(str.isprintable, text))
    if len(text) > _LONGEST_VALUE:
        return "#" + sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return text


# Every resource that is written runs through these, several times for each that a message makes.

_Tokens = Sequence[str]
"""Tokens of one element, each once and in order. Elements of a type share no name of tokens, so theirs never meet."""
_Extract = Callable[[Any, str], _Tokens]
_Known = dict[int, tuple[dict[str, Any], _Tokens]]
"""Parts that were read before, by their number in memory."""

_LIMIT_CODES = 4096
_LIMIT_REFERENCES = 128
"""Parts of resources whose tokens are remembered, for each parameter: codes come again in every message, references in
the same message only."""


def _remembering(
    known: _Known, token: str, tokens_of_part: Callable[[str, dict[str, Any]], _Tokens], limit: int
) -> _Extract:
    """For parts that many resources share: codes, categories, and the patient of a message that all its results name.

    A mapping builds such a part once and shares it, frozen, so that it is known by being the same object.
    """

    def of_part(part: Any) -> _Tokens:
        remembered = known.get(id(part))
        if remembered is not None and remembered[0] is part:
            return remembered[1]
        if not isinstance(part, dict):
            return ()
        tokens = sorted(tokens_of_part(token, part))
        if len(known) >= limit:
            known.clear()
        known[id(part)] = part, tokens  # kept, so that nothing else gets its number
        return tokens

    def extract(value: Any, _type: str) -> _Tokens:
        return _each_once(map(of_part, _listed(value)))

    return extract


def _each_once(several: Iterable[_Tokens]) -> _Tokens:
    return sorted({token for tokens in several for token in tokens})


def _of_identifiers(token: str, value: Any, _type: str) -> _Tokens:
    found: dict[str, None] = {}
    for identifier in _listed(value):
        if isinstance(identifier, dict):
            system, number = identifier.get("system"), identifier.get("value")
            _add_coded(found, token, system, number)
            # A UID is written as a URN in FHIR and bare everywhere else; people search for the bare one.
            if system == DICOM_UID and isinstance(number, str) and number.startswith("urn:oid:"):
                found[of_value(token, number.removeprefix("urn:oid:"))] = None
    return sorted(found)


def _add_coded(found: dict[str, None], token: str, system: object, value: object) -> None:
    if isinstance(value, str) and value:
        found[of_value(token, value)] = None
        found[of_system_and_value(token, system if isinstance(system, str) else "", value)] = None


def _of_concept(token: str, concept: dict[str, Any]) -> _Tokens:
    found: dict[str, None] = {}
    coding = concept.get("coding")
    for code in _listed(concept if coding is None else coding):
        if isinstance(code, dict):
            _add_coded(found, token, code.get("system"), code.get("code"))
    return tuple(found)


def _of_reference(token: str, reference: dict[str, Any]) -> _Tokens:
    target = reference.get("reference")
    return (of_reference(token, target),) if isinstance(target, str) and target else ()


def _of_code(token: str, value: Any, resource_type: str) -> _Tokens:
    return (of_status(token, resource_type, value),) if isinstance(value, str) else ()


def _of_names(token: str, value: Any, _type: str) -> _Tokens:
    if isinstance(value, str):
        return _of_written_names(token, (value,))
    names = (name for name in _listed(value) if isinstance(name, dict))
    return _of_written_names(token, tuple(written for name in names for written in _written_names(name)))


@lru_cache(maxsize=4096)
def _of_written_names(token: str, all_written: tuple[str, ...]) -> _Tokens:
    return _each_once([of_value(token, spelling) for spelling in spellings(written)] for written in all_written)


def _written_names(name: Mapping[str, Any]) -> Iterable[str]:
    family = name.get("family")
    family = family if isinstance(family, str) else ""
    given = "".join(part for part in _listed(name.get("given")) if isinstance(part, str))
    text = name.get("text")
    if isinstance(text, str):
        yield text
    yield family + given
    if given:
        yield given
        if given.isascii():
            yield given + family


def _of_date(token: str, value: Any, _type: str) -> _Tokens:
    """A date is found by its year, its month and its day."""
    if not isinstance(value, str):
        return ()
    return _each_once((of_value(token, value[:end]),) for end in (4, 7, 10) if len(value) >= end)


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else (value,)


def _extract(kind: Kind, token: str, known: _Known) -> _Extract:
    match kind:
        case Kind.IDENTIFIER:
            return partial(_of_identifiers, token)
        case Kind.CONCEPT:
            return _remembering(known, token, _of_concept, _LIMIT_CODES)
        case Kind.CODE:
            return partial(_of_code, token)
        case Kind.REFERENCE:
            return _remembering(known, token, _of_reference, _LIMIT_REFERENCES)
        case Kind.NAME:
            return partial(_of_names, token)
        case Kind.DATE:
            return partial(_of_date, token)


def _extractors(parameters: Iterable[Parameter]) -> tuple[tuple[str, _Known, _Extract], ...]:
    """Each element that has tokens, what is remembered of its parts, and what reads it where that does not help."""
    unique = {(parameter.element, parameter.token): parameter.kind for parameter in parameters}
    found: list[tuple[str, _Known, _Extract]] = []
    # A token begins with its parameter's name and one of `=` and `@`, so by these names the tokens come in order.
    for (path, token), kind in sorted(unique.items(), key=lambda each: f"{each[0][1]}="):
        element, _, part = path.partition(".")
        known: _Known = {}
        extract = _extract(kind, token, known)
        found.append((element, {}, _of_part(part, extract)) if part else (element, known, extract))
    return tuple(found)


def _of_part(part: str, extract: _Extract) -> _Extract:
    """For a parameter that looks at one part of an element: who takes part, in `participant.actor`."""

    def of_part(value: Any, resource_type: str) -> _Tokens:
        inner = (each.get(part) for each in _listed(value) if isinstance(each, dict))
        return _each_once(extract(each, resource_type) for each in inner if each is not None)

    return of_part


_EXTRACTORS = {resource_type: _extractors(parameters) for resource_type, parameters in PARAMETERS.items()}
_OTHERS = _extractors(OTHERS)
