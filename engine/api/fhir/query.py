"""What does a search ask for? From the pairs of a query string to a Search; whatever is not understood is refused.

http://hl7.org/fhir/R4/search.html; errors name parameters and never repeat a value.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

from engine.api.fhir.exchange import refuse_other_formats
from engine.api.fhir.values import LARGEST_NUMBER, alternatives, bad, moment, number, parsed_day, split, unescaped
from engine.errors import ParseError
from engine.store import tokens
from engine.store.search import Place
from engine.store.search_parameters import PARAMETERS, Kind, Parameter
from engine.store.spellings import folded

Pair = tuple[str, str]

DEFAULT_COUNT = 20
LARGEST_COUNT = 500
"""A page is put together in memory; FHIR lets a server give fewer than asked for."""
_MOST_PARAMETERS = 50
_SHOWABLE = re.compile(r"[A-Za-z0-9_.:-]{1,40}")
_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MICROSECOND = 253_402_300_799_999_999
"""Of the year 9999."""


@dataclass(frozen=True, slots=True)
class PersonGroup:
    """Resources about one of these people, whichever source Patient they name.

    patients     ids of Patients
    identifiers  tokens of Patients, where the people are asked for by identifier
    """

    token: str
    patients: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """A search as understood, before anything is looked up.

    names        the parameters that were applied, for the audit
    applied      their pairs, for the self link; paging aside
    """

    type: str
    groups: tuple[tuple[str, ...], ...] = ()
    people: tuple[PersonGroup, ...] = ()
    ids: tuple[str, ...] | None = None
    updated_from: datetime | None = None
    updated_until: datetime | None = None
    after: Place | None = None
    count: int = DEFAULT_COUNT
    only_count: bool = False
    accurate_total: bool = False
    applied: tuple[Pair, ...] = ()

    @property
    def names(self) -> str:
        return ",".join(dict.fromkeys(name for name, _ in self.applied))


@dataclass(frozen=True, slots=True)
class AskedVersions:
    count: int
    below: int
    applied: tuple[Pair, ...]


def pairs_of(query: str) -> list[Pair]:
    """The pairs of a query string or a form. Raises ParseError for too many, and for what no text can hold."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS, errors="strict")
    except ValueError:
        raise ParseError("the query string cannot be read", code="bad-parameter") from None
    for name, value in pairs:
        if "\x00" in name or "\x00" in value:
            raise ParseError("a parameter holds a NUL character", location=shown(name), code="bad-parameter")
    return pairs


def asked(resource_type: str, pairs: Sequence[Pair], base: str, *, lenient: bool) -> Asked:
    """Raises ParseError: `unknown-parameter` (unless lenient), `unsupported-parameter` or `bad-parameter`."""
    draft = _Draft(resource_type, base)
    for name, value in pairs:
        if not value:
            continue  # http://hl7.org/fhir/R4/search.html#empty: a parameter without a value asks for nothing
        take = _CONTROLS.get(name) or _criterion(draft, name)
        if take is None:
            if not lenient:
                raise ParseError(
                    "this search parameter is not known here", location=shown(name), code="unknown-parameter"
                )
            continue
        take(draft, value)
        if name != _CURSOR:
            draft.applied.append((name, value))
    return draft.finished()


def page_of_versions(pairs: Sequence[Pair]) -> AskedVersions:
    """What a history asks for. Raises ParseError as `asked` does."""
    count, below = DEFAULT_COUNT, LARGEST_NUMBER
    for name, value in pairs:
        if name == "_count":
            count = max(1, _count(value))
        elif name == "_before":
            below = number(value, name)
        elif name != "_format":
            raise ParseError("this parameter is not known here", location=shown(name), code="unknown-parameter")
    return AskedVersions(count, below, tuple(pairs))


def cursor(place: Place) -> Pair:
    """The parameter that asks for the page after this place."""
    micros = (place.last_updated - _EPOCH) // timedelta(microseconds=1)
    return _CURSOR, base64.urlsafe_b64encode(f"{micros}.{place.id}".encode()).decode().rstrip("=")


def shown(name: str) -> str:
    """A parameter's name for an error; anything that is no plain name could be data."""
    return name if _SHOWABLE.fullmatch(name) else "(a name that cannot be shown)"


@dataclass(slots=True)
class _Draft:
    """A search that is being understood, parameter by parameter."""

    type: str
    base: str
    groups: list[tuple[str, ...]] = field(default_factory=list)
    people: list[PersonGroup] = field(default_factory=list)
    ids: set[str] | None = None
    updated_from: datetime | None = None
    updated_until: datetime | None = None
    after: Place | None = None
    count: int = DEFAULT_COUNT
    only_count: bool = False
    accurate_total: bool = False
    applied: list[Pair] = field(default_factory=list)

    def finished(self) -> Asked:
        return Asked(
            self.type,
            tuple(self.groups),
            tuple(self.people),
            tuple(sorted(self.ids)) if self.ids is not None else None,
            self.updated_from,
            self.updated_until,
            self.after,
            self.count,
            self.only_count,
            self.accurate_total,
            tuple(self.applied),
        )


_Take = Callable[[_Draft, str], None]


# ── Criteria: parameters of the resource type ───────────────────────────────────────────────────────────────────────


def _criterion(draft: _Draft, name: str) -> _Take | None:
    """What takes the value of a search parameter, of its chain to an identifier or with its type; None: unknown."""
    plain, colon, modifier = name.partition(":")
    plain, dot, chain = plain.partition(".")
    parameter = next((p for p in PARAMETERS[draft.type] if p.name == plain), None)
    if parameter is None or (dot and not (chain == "identifier" and parameter.target == "Patient")):
        return None
    if colon and not (parameter.kind is Kind.REFERENCE and modifier == parameter.target):
        raise ParseError("this modifier is not supported", location=shown(name), code="unsupported-parameter")
    if chain:
        return lambda into, value: into.people.append(
            PersonGroup(parameter.token, identifiers=_tokens(parameter, "identifier", value))
        )
    return lambda into, value: _take_criterion(into, parameter, value)


def _take_criterion(draft: _Draft, parameter: Parameter, value: str) -> None:
    match parameter.kind:
        case Kind.IDENTIFIER | Kind.CONCEPT:
            draft.groups.append(_tokens(parameter, parameter.token, value))
        case Kind.CODE:
            codes = (_code(parameter, text) for text in alternatives(value, parameter.name))
            draft.groups.append(tuple(tokens.of_status(parameter.token, draft.type, code) for code in codes))
        case Kind.NAME:
            draft.groups.append(tuple(_name_token(parameter, text) for text in alternatives(value, parameter.name)))
        case Kind.DATE:
            dates = (_day(parameter, text) for text in alternatives(value, parameter.name))
            draft.groups.append(tuple(tokens.of_value(parameter.token, day) for day in dates))
        case Kind.REFERENCE:
            references = [_reference(draft, parameter, text) for text in alternatives(value, parameter.name)]
            _take_references(draft, parameter, references)


def _take_references(draft: _Draft, parameter: Parameter, references: Sequence[str]) -> None:
    if parameter.target == "Patient" and all(reference.startswith("Patient/") for reference in references):
        ids = tuple(reference.removeprefix("Patient/") for reference in references)
        draft.people.append(PersonGroup(parameter.token, patients=ids))
    else:
        draft.groups.append(tuple(tokens.of_reference(parameter.token, reference) for reference in references))


def _tokens(parameter: Parameter, token: str, value: str) -> tuple[str, ...]:
    """http://hl7.org/fhir/R4/search.html#token: `value`, `system|value` or `|value`; a system alone is not indexed."""
    found = []
    for text in alternatives(value, parameter.name):
        parts = split(text, "|")
        match parts:
            case [code] if code:
                found.append(tokens.of_value(token, code))
            case [system, code] if code:
                found.append(tokens.of_system_and_value(token, system, code))
            case [_, ""]:
                raise ParseError(
                    "a system without a value is not supported", location=parameter.name, code="unsupported-parameter"
                )
            case _:
                raise bad(parameter.name, "expected value, system|value or |value")
    return tuple(found)


def _code(parameter: Parameter, text: str) -> str:
    """The value of a `code` element; its system is fixed by the element, so one given before it only repeats it."""
    code = split(text, "|")[-1]
    if not code:
        raise bad(parameter.name, "expected a code")
    return code


def _name_token(parameter: Parameter, text: str) -> str:
    name = folded(unescaped(text))
    if not name:
        raise bad(parameter.name, "expected the beginning of a name")
    return tokens.of_value(parameter.token, name)


def _day(parameter: Parameter, text: str) -> str:
    day = text.removeprefix("eq")
    if re.fullmatch(r"(ne|gt|lt|ge|le|sa|eb|ap).*", day):
        raise ParseError("only eq is supported here", location=parameter.name, code="unsupported-parameter")
    if not _DATE.fullmatch(day):
        raise bad(parameter.name, "expected YYYY, YYYY-MM or YYYY-MM-DD")
    parsed_day((day + "-01-01")[:10], parameter.name)
    return day


def _reference(draft: _Draft, parameter: Parameter, text: str) -> str:
    """http://hl7.org/fhir/R4/search.html#reference: an id, Type/id, or the address of one of our resources."""
    reference = unescaped(text).removeprefix(f"{draft.base}/")
    match reference.split("/"):
        case [resource_id] if resource_id:
            return f"{parameter.target}/{resource_id}"
        case [resource_type, resource_id] if resource_type and resource_id:
            return f"{resource_type}/{resource_id}"
        case [resource_type, resource_id, "_history", _] if resource_type and resource_id:
            return f"{resource_type}/{resource_id}"
        case _:
            raise bad(parameter.name, "expected an id, Type/id or the address of a resource here")


# ── Controls: parameters of every search ────────────────────────────────────────────────────────────────────────────


def _take_ids(draft: _Draft, value: str) -> None:
    ids = set(alternatives(value, "_id"))
    draft.ids = ids if draft.ids is None else draft.ids & ids


def _take_last_updated(draft: _Draft, value: str) -> None:
    """`ge…` and `gt…` bound it from below, `lt…` and `le…` from above; a bare day means that day in China."""
    prefix, text = value[:2], value[2:]
    if prefix not in ("ge", "gt", "lt", "le"):
        raise ParseError("expected ge, gt, lt or le before a date", location="_lastUpdated", code="bad-parameter")
    first, width = moment(text, "_lastUpdated")
    bound = first + width if prefix in ("gt", "le") else first
    if prefix in ("ge", "gt"):
        draft.updated_from = bound if draft.updated_from is None else max(draft.updated_from, bound)
    else:
        draft.updated_until = bound if draft.updated_until is None else min(draft.updated_until, bound)


def _take_count(draft: _Draft, value: str) -> None:
    """http://hl7.org/fhir/R4/search.html#count: 0 asks for the number of matches alone."""
    draft.count = _count(value)
    draft.only_count = draft.only_count or draft.count == 0


def _count(value: str) -> int:
    return min(number(value, "_count"), LARGEST_COUNT)


def _take_summary(draft: _Draft, value: str) -> None:
    if value not in ("count", "false"):
        raise ParseError("only count and false are supported", location="_summary", code="unsupported-parameter")
    draft.only_count = draft.only_count or value == "count"


def _take_total(draft: _Draft, value: str) -> None:
    """An estimate is answered with the accurate number, which FHIR allows."""
    if value not in ("accurate", "estimate", "none"):
        raise bad("_total", "expected accurate, estimate or none")
    draft.accurate_total = value != "none"


def _take_sort(_: _Draft, value: str) -> None:
    if value != "-_lastUpdated":
        raise ParseError("only -_lastUpdated is supported", location="_sort", code="unsupported-parameter")


def _take_format(_: _Draft, value: str) -> None:
    refuse_other_formats(value)


def _take_cursor(draft: _Draft, value: str) -> None:
    try:
        decoded = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode()
        micros, _, resource_id = decoded.partition(".")
        if not re.fullmatch(r"[0-9]{1,18}", micros) or int(micros) > _LAST_MICROSECOND or "\x00" in resource_id:
            raise ValueError
        draft.after = Place(_EPOCH + timedelta(microseconds=int(micros)), resource_id)
    except ValueError:
        raise bad(_CURSOR, "expected the cursor of a next link") from None


_CURSOR = "_cursor"
_CONTROLS: Mapping[str, _Take] = {
    "_id": _take_ids,
    "_lastUpdated": _take_last_updated,
    "_count": _take_count,
    "_summary": _take_summary,
    "_total": _take_total,
    "_sort": _take_sort,
    "_format": _take_format,
    _CURSOR: _take_cursor,
}
