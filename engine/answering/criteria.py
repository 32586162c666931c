"""Who is asked for? QPD-3 of a demographics query (`@PID.5.1.1^张*`): read, looked up by tokens, and judged.

Pure. A value without `*` is meant exactly; one that ends with it by its beginning. A Chinese name is found by its
characters and by its pinyin, in Latin letters and without tones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.answering.domain import authority_of
from engine.codecs.er7 import Segment
from engine.errors import Disposition, ParseError
from engine.pinyin import spoken, spoken_surname
from engine.store.spellings import folded, spellings
from engine.store.tokens import of_value

Patient = dict[str, Any]

MAX_CRITERIA = 50
_PARAMETER = re.compile(r"@PID\.([0-9]{1,2})(?:\.([0-9]{1,2}))?(?:\.([0-9]{1,2}))?")
_CARD = re.compile(r"[0-9]{17}[0-9xX]")
"""居民身份证: its check character is a capital wherever it is recorded."""
_SEX = {"M": "male", "F": "female", "O": "other", "A": "other", "U": "unknown", "男": "male", "女": "female"}
_ADDRESS = {1: "line", 3: "city", 4: "state", 5: "postalCode", 6: "country"}


class QueryError(ParseError):
    """A query that cannot be answered as it is; `location` says which part of it, `others` what else is wrong."""

    disposition = Disposition.HOLD
    code = "query-refused"
    others: tuple[QueryError, ...] = ()


@dataclass(frozen=True, slots=True)
class Criterion:
    """One parameter: field, component (0: the whole) and subcomponent of PID, and the value as it was asked."""

    field: int
    component: int
    subcomponent: int
    value: str

    @property
    def beginning(self) -> bool:
        return self.value.endswith("*")

    @property
    def literal(self) -> str:
        return self.value.rstrip("*").strip()


def read(qpd: Segment) -> list[Criterion]:
    """The criteria of QPD-3. Raises QueryError: none, unknown ones, a star that does not stand at the end."""
    found: list[Criterion] = []
    for position, raw in enumerate(qpd.repetitions(3)[:MAX_CRITERIA]):
        parts = [qpd.unescape(part) for part in qpd.components(raw)]
        named = _PARAMETER.fullmatch(parts[0].strip().upper())
        place = f"QPD-3[{position + 1}]"
        if named is None:
            raise QueryError("expected parameters such as @PID.5.1^NAME", location=f"{place}.1", code="unknown-key")
        value = parts[1].strip() if len(parts) > 1 else ""
        if not value:
            continue
        field, component, subcomponent = (int(number or 0) for number in named.groups())
        if field not in _MATCHERS:
            raise QueryError(f"PID-{field} cannot be asked for", location=f"{place}.1", code="unknown-key")
        if "*" in value.rstrip("*"):
            raise QueryError("a * may stand at the end only", location=f"{place}.2")
        found.append(Criterion(field, component, subcomponent, value))
    if not any(criterion.literal for criterion in found):
        raise QueryError("nobody is asked for", location="QPD-3", code="required-missing")
    return found


def tokens(criteria: Sequence[Criterion]) -> list[str]:
    """Search tokens that every match has. Raises QueryError when none of the criteria can be looked up."""
    found = [token for criterion in criteria for token in _tokens_of(criterion)]
    if not found:
        raise QueryError(
            "asked too broadly: give an identifier, the beginning of a name or a birth date", location="QPD-3"
        )
    return list(dict.fromkeys(found))


def _tokens_of(criterion: Criterion) -> Iterator[str]:
    literal = criterion.literal
    if criterion.field in (3, 18) and criterion.component in (0, 1) and not criterion.beginning and literal:
        yield of_value("identifier", literal.upper() if _CARD.fullmatch(literal) else literal)
    elif criterion.field == 5 and criterion.component in (0, 1, 2) and folded(literal):
        yield of_value("name", folded(literal))
    elif criterion.field == 7 and (date := _date(literal)):
        yield of_value("birthdate", date)


def matches(patient: Patient, criteria: Sequence[Criterion]) -> bool:
    """Whether one source Patient is who is asked for. The parts of one identifier and of one name belong together."""
    by_field: dict[int, list[Criterion]] = {}
    for criterion in criteria:
        if criterion.literal:
            by_field.setdefault(criterion.field, []).append(criterion)
    return all(_MATCHERS[field](patient, asked) for field, asked in by_field.items())


def _identifier(patient: Patient, asked: Sequence[Criterion]) -> bool:
    return any(all(_of_identifier(one, criterion) for criterion in asked) for one in live_identifiers(patient))


def _of_identifier(identifier: Mapping[str, Any], criterion: Criterion) -> bool:
    if criterion.component in (0, 1):
        return _text(str(identifier.get("value", "")), criterion)
    if criterion.component == 4:
        authority = authority_of(str(identifier.get("system", "")))
        part = (authority.namespace, authority.universal, authority.universal_type)[max(criterion.subcomponent, 1) - 1]
        return _text(part, criterion)
    if criterion.component == 5:
        return any(_text(code, criterion) for code in types_of(identifier))
    return False


def _name(patient: Patient, asked: Sequence[Criterion]) -> bool:
    return any(
        all(_of_name(name, criterion) for criterion in asked)
        for name in patient.get("name") or ()
        if isinstance(name, dict)
    )


def _of_name(name: Mapping[str, Any], criterion: Criterion) -> bool:
    """A system that keeps the whole name as the surname is found by the surname too, and the other way round."""
    family, given = str(name.get("family") or ""), "".join(map(str, name.get("given") or ()))
    whole = family + given or str(name.get("text") or "")
    wanted = folded(criterion.literal)
    if criterion.component in (0, 1):
        written = {family, whole} - {""}
    elif criterion.component == 2:
        written = {given} - {""} or {whole[1:]} - {""}
    else:
        return False
    if criterion.beginning:
        return any(wanted in spellings(one) or folded(one).startswith(wanted) for one in written)
    return any(wanted in _readings(one) for one in written)


def _readings(name: str) -> set[str]:
    """The name itself, and the whole of it as it is read aloud."""
    text = folded(name)
    if text.isascii():
        return {text}
    return {
        text,
        folded(spoken(text)),
        folded(spoken_surname(text)),
        folded(spoken_surname(text[:1]) + spoken(text[1:])),
    }


def _birth(patient: Patient, asked: Sequence[Criterion]) -> bool:
    return all(str(patient.get("birthDate") or "").startswith(_date(criterion.literal) or "?") for criterion in asked)


def _sex(patient: Patient, asked: Sequence[Criterion]) -> bool:
    return all(patient.get("gender") == _SEX.get(criterion.literal.upper()) for criterion in asked)


def _address(patient: Patient, asked: Sequence[Criterion]) -> bool:
    addresses = [one for one in patient.get("address") or () if isinstance(one, dict)]
    return any(all(_of_address(one, criterion) for criterion in asked) for one in addresses)


def _of_address(address: Mapping[str, Any], criterion: Criterion) -> bool:
    element = _ADDRESS.get(max(criterion.component, 1))
    value = address.get(element or "")
    written = [str(one) for one in value] if isinstance(value, list) else [str(value)] if value else []
    if criterion.component in (0, 1):
        written.append(str(address.get("text") or ""))
    return any(_text(one, criterion) for one in written)


def _phone(patient: Patient, asked: Sequence[Criterion]) -> bool:
    numbers = [str(one.get("value", "")) for one in patient.get("telecom") or () if isinstance(one, dict)]
    return all(
        any(_digits(number).startswith(_digits(criterion.literal)) if criterion.beginning
            else _digits(number) == _digits(criterion.literal) for number in numbers)
        for criterion in asked
    )  # fmt: skip


def _account(patient: Patient, asked: Sequence[Criterion]) -> bool:
    accounts = [one for one in live_identifiers(patient) if "AN" in types_of(one)]
    return any(all(_text(str(one.get("value", "")), criterion) for criterion in asked) for one in accounts)


def _text(written: str, criterion: Criterion) -> bool:
    own, wanted = written.strip().casefold(), criterion.literal.casefold()
    return own.startswith(wanted) if criterion.beginning else own == wanted


def _digits(value: str) -> str:
    return "".join(filter(str.isdecimal, value)) or value


def _date(value: str) -> str:
    """`19800102` as FHIR writes it, `198001` its month, `1980` its year; empty for anything else."""
    digits = value.replace("-", "").replace("/", "")
    if not digits.isascii() or not digits.isdecimal() or len(digits) < 4:
        return ""
    digits = digits[:8] if len(digits) >= 8 else digits[:6] if len(digits) >= 6 else digits[:4]
    return "-".join(part for part in (digits[:4], digits[4:6], digits[6:8]) if part)


def live_identifiers(patient: Patient) -> Iterable[Mapping[str, Any]]:
    """Identifiers that are still used."""
    return [
        one
        for one in patient.get("identifier") or ()
        if isinstance(one, dict) and one.get("value") and one.get("use") != "old"
    ]


def types_of(identifier: Mapping[str, Any]) -> list[str]:
    """Codes of table 0203."""
    return [str(coding.get("code", "")) for coding in identifier.get("type", {}).get("coding", ())]


_MATCHERS = {3: _identifier, 5: _name, 7: _birth, 8: _sex, 11: _address, 13: _phone, 18: _account}
"""What may be asked for, by field of PID."""
