"""How is the answer to a query written? RSP^K21, K22 and K23, ADR^A19: MSA, ERR, QAK, the query again, a PID a person.

SQR^S25 has SCH with what is booked for each appointment, and not the query.

Pure: what was found in, bytes out, in the separators, the charset and the encoding of the query. Where its charset
cannot hold a name the response is in UTF-8 and says so in MSH-18.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from engine.answering.criteria import QueryError, live_identifiers, types_of
from engine.answering.domain import authority_of
from engine.codecs import acknowledgment, text
from engine.codecs.er7_escape import escape
from engine.codecs.er7_header import Header, Separators

Patient = dict[str, Any]

MAX_NAMES = 5
"""A golden Patient of many sources has many spellings; these are enough to recognise a person by."""
_SEX = {"male": "M", "female": "F", "other": "O", "unknown": "U"}
_NAME_TYPES = {"official": "L", "usual": "D", "maiden": "M", "nickname": "N", "anonymous": "S", "temp": "TEMP"}


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered.

    kind       MSH-9: code, event, structure
    qpd        the query segment as it came
    tag, name  QPD-2 and QPD-1, raw
    people     PID segments, with what stands behind each; SCH with what stands behind it
    errors     why nothing is answered; with one of them there are no people
    more       continuation pointer (DSC-1); empty when this is all
    total      how many there are altogether, where that is known
    """

    kind: tuple[str, str, str]
    qpd: str
    tag: str = ""
    name: str = ""
    people: Sequence[str] = ()
    errors: Sequence[QueryError] = ()
    more: str = ""
    total: int | None = None


def write(response: Response, header: Header, control_id: str, at: datetime) -> bytes:
    """The bytes of a response to the query with this header."""
    separators = header.separators
    mark, part = separators.field, separators.component or "^"
    code = acknowledgment.code_of(response.errors[0]) if response.errors else "AA"
    body: list[str] = []
    if response.errors:
        for position, error in enumerate(response.errors):
            said = acknowledgment.segments(header, error, code=code)
            body.append(said if position == 0 else said[said.index("\r") + 1 :])
    else:
        body.append(f"MSA{mark}AA{mark}{header.field(10)}\r")
    body.append(_qak(response, mark))
    if response.qpd:
        body.append(f"{response.qpd}\r")
    body += [f"{person}\r" for person in response.people]
    if response.more:
        body.append(f"DSC{mark}{response.more}{mark}I\r")
    content = "".join(body)
    fitting = _fitting(header, content)
    msh = acknowledgment.msh(fitting, control_id, at, kind=part.join(response.kind))
    return acknowledgment.encoded(f"{msh}\r{content}", fitting)


def _qak(response: Response, mark: str) -> str:
    status = "AE" if response.errors else "OK" if response.people else "NF"
    fields = ["QAK", response.tag, status, response.name]
    if not response.errors:
        total = "" if response.total is None else str(response.total)
        left = "" if response.more else str((response.total or len(response.people)) - len(response.people))
        fields += [total, str(len(response.people)), left]
    return mark.join(fields).rstrip(mark) + "\r"


def _fitting(header: Header, content: str) -> Header:
    """The header with a codec that holds the content and, where there is more than ASCII in it, says so."""
    if content.isascii():
        return header
    codec = header.codec
    try:
        content.encode(codec)
    except UnicodeEncodeError:
        codec = text.UTF_8
    if codec == header.codec and header.field(18):
        return header
    fields = [*header.msh, *[""] * (19 - len(header.msh))]
    fields[18] = text.hl7_label(codec)
    return replace(header, msh=tuple(fields), codec=codec)


def person(
    position: int, sources: Sequence[Patient], systems: Iterable[str] | None, separators: Separators
) -> str | None:
    """PID of a person, from its source Patients, the last written first; None when it has no identifier to tell.

    systems  the domains whose identifiers are wanted; None for all
    """
    fields = {
        1: str(position),
        3: identifiers(sources, systems, separators),
        5: _joined(_names(sources, separators), separators.repetition, MAX_NAMES),
        7: _first(sources, lambda patient: str(patient.get("birthDate") or "").replace("-", "")),
        8: _first(sources, lambda patient: _SEX.get(patient.get("gender") or "", "")),
        11: _joined(_addresses(sources, separators), separators.repetition, MAX_NAMES),
        13: _joined(_phones(sources, separators), separators.repetition, MAX_NAMES),
    }
    return pid(fields, separators) if fields[3] else None


def pid(fields: Mapping[int, str], separators: Separators) -> str:
    last = max(number for number, value in fields.items() if value)
    return separators.field.join(("PID", *(fields.get(number, "") for number in range(1, last + 1))))


def identifiers(
    sources: Sequence[Patient],
    systems: Iterable[str] | None,
    separators: Separators,
    leaving_out: tuple[str, str] | None = None,
) -> str:
    """PID-3: every identifier in use, of every facility, each once. A merged patient's own number is none any more."""
    wanted = None if systems is None else set(systems)
    found: dict[tuple[str, str], str] = {}
    for source in sources:
        if is_retired(source):
            continue
        for identifier in live_identifiers(source):
            system, value = str(identifier.get("system", "")), str(identifier["value"])
            if (wanted is not None and system not in wanted) or (system, value) == leaving_out:
                continue
            authority = authority_of(system)
            parts = (authority.namespace, authority.universal, authority.universal_type if authority.universal else "")
            issuer = _parts([escape(one, separators) for one in parts], separators.subcomponent or "")
            kind = next(iter(types_of(identifier)), "")
            cx = [escape(value, separators), "", "", issuer, escape(kind, separators)]
            found.setdefault((system, value), _parts(cx, separators.component))
    return _joined(found.values(), separators.repetition, len(found))


def is_retired(patient: Patient) -> bool:
    """Whether a merge says to use another Patient in its place."""
    return any(link.get("type") == "replaced-by" for link in patient.get("link") or () if isinstance(link, dict))


def _names(sources: Sequence[Patient], separators: Separators) -> Iterator[str]:
    for source in sources:
        for name in source.get("name") or ():
            family, given = str(name.get("family") or ""), [str(one) for one in name.get("given") or ()]
            if not family and not given:
                family = str(name.get("text") or "")
            parts = [family, *given[:1], *([] if given else [""]), " ".join(given[1:]), "", "", ""]
            kind = _NAME_TYPES.get(str(name.get("use") or ""), "L")
            yield _parts([escape(one, separators) for one in (*parts, kind)], separators.component)


def _addresses(sources: Sequence[Patient], separators: Separators) -> Iterator[str]:
    for source in sources:
        for address in source.get("address") or ():
            lines = [str(line) for line in address.get("line") or ()] or [str(address.get("text") or "")]
            parts = [" ".join(lines), "", *(str(address.get(key) or "") for key in ("city", "state", "postalCode"))]
            written = _parts([escape(one, separators) for one in parts], separators.component)
            if written:
                yield written


def _phones(sources: Sequence[Patient], separators: Separators) -> Iterator[str]:
    for source in sources:
        for contact in source.get("telecom") or ():
            if contact.get("value"):
                yield escape(str(contact["value"]), separators)


def _first(sources: Sequence[Patient], of: Callable[[Patient], str]) -> str:
    return next((value for value in map(of, sources) if value), "")


def _joined(values: Iterable[str], separator: str, most: int) -> str:
    return (separator or " ").join(list(dict.fromkeys(values))[:most])


def _parts(values: Sequence[str], separator: str) -> str:
    kept = list(values)
    while kept and not kept[-1]:
        kept.pop()
    return separator.join(kept) if separator else next(iter(kept), "")
