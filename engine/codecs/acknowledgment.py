"""What is the answer to a message? The one place that chooses AA, AE, AR, CA, CE or CR, and that reads them.

With MSH-15 and MSH-16 empty it is original mode: one application acknowledgment. With one of them set it is enhanced
mode: MSH-15 says when an accept acknowledgment is wanted, MSH-16 when an application acknowledgment is (AL always, NE
never, ER on an error, SU on success; an empty one of the two, or another word, counts as AL). A sender that can be
reached nowhere else gets one answer on its connection: the application acknowledgment where it wants that, because it
tells the acceptance too, else the accept acknowledgment, else nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import lru_cache

from engine.codecs import er7, v2xml_writing
from engine.codecs.er7_escape import escape
from engine.codecs.er7_header import USUAL, Header, Separators
from engine.codecs.v2xml import XmlHeader
from engine.errors import (
    Disposition,
    FramingError,
    HutongError,
    MappingError,
    ParseError,
    RecordError,
    StorageError,
)

_ERROR_TABLE = "HL70357"
_ERROR_TEXTS = {
    "100": "Segment sequence error",
    "101": "Required field missing",
    "102": "Data type error",
    "200": "Unsupported message type",
    "201": "Unsupported event code",
    "203": "Unsupported version id",
    "204": "Unknown key identifier",
    "205": "Duplicate key identifier",
    "206": "Application record locked",
    "207": "Application internal error",
}
_INTERNAL = "207"
_CONDITIONS_BY_CODE = {
    "no-mapping": "200",
    "required-missing": "101",
    "unsupported-query": "201",
    "unknown-key": "204",
    "sequence-number": "100",
    "query-refused": "102",
    "internal": _INTERNAL,
}
_CONDITIONS: dict[type[HutongError], str] = {
    FramingError: "100",
    ParseError: "100",
    MappingError: "102",
    RecordError: "102",
    StorageError: _INTERNAL,
}
"""Which condition of table 0357 an error is, by its code or else its kind; anything else is an internal error, which a
sender may try again."""

_TRANSIENT = frozenset({"206", "207"})
_TRANSIENT_TEXTS = ("application internal error", "application record locked")
_POSITIVE = frozenset({"AA", "CA"})
_KNOWN = _POSITIVE | {"AE", "AR", "CE", "CR"}
_FRAMING = b"\x0b\x1c"
_MADE_CODE = re.compile(rb"(?:\rMSA.|<MSA\.1>)[AC]([AER])", re.DOTALL)


class Level(Enum):
    """Which of the two acknowledgments of enhanced mode an answer is, by the first letter of its code."""

    APPLICATION = "A"
    ACCEPT = "C"
    NONE = ""


def is_enhanced(header: Header) -> bool:
    """Whether MSH-15 or MSH-16 is set."""
    asked = header.msh[15:17]  # most messages say nothing here, and this is asked of every one
    return bool(asked) and any(map(str.strip, asked))


def level_now(header: Header, *, positive: bool, elsewhere: bool = False) -> Level:
    """Which acknowledgment the sender gets on its own connection, for a good or a bad end.

    NE in both gets the accept acknowledgment all the same: over a line that loses connections, silence would not tell a
    message that is safe from one that is lost.
    `elsewhere`: its application acknowledgment goes to an endpoint of its own, so only the acceptance is told here.
    """
    if not is_enhanced(header):
        return Level.APPLICATION
    if header.accept_ack == header.application_ack == "NE":
        return Level.ACCEPT
    if not elsewhere and _wanted(header.application_ack, positive):
        return Level.APPLICATION
    return Level.ACCEPT if _wanted(header.accept_ack, positive) else Level.NONE


def wants_application(header: Header, *, positive: bool) -> bool:
    """Whether a sender in enhanced mode wants to be told how its message ended."""
    return is_enhanced(header) and _wanted(header.application_ack, positive)


def to_send(header: Header, answer: bytes, *, elsewhere: bool = False) -> bytes:
    """The answer as far as the sender wants to hear it now: itself, or nothing."""
    if not is_enhanced(header):
        return answer
    return answer if level_now(header, positive=_is_positive(answer), elsewhere=elsewhere) is not Level.NONE else b""


def _is_positive(answer: bytes) -> bool:
    """Of an answer that was made here."""
    found = _MADE_CODE.search(answer)
    return found is not None and found[1] == b"A"


def _wanted(condition: str, positive: bool) -> bool:
    return condition != "NE" and (condition not in ("ER", "SU") or (condition == "SU") is positive)


def positive(
    header: Header,
    ack_control_id: str,
    at: datetime,
    *,
    level: Level | None = None,
    expected: int | None = None,
    owed: bool = False,
) -> bytes:
    """AA or CA: only to be sent once the flush that covers the message has returned.

    level     None chooses what the sender wants on its connection
    expected  MSA-4, for a sender that numbers its messages
    owed      it goes out as a message of its own, which asks for an accept acknowledgment
    """
    mark = header.separators.field
    if level is None:
        level = level_now(header, positive=True)
    code = "AA" if level is Level.APPLICATION else "CA"
    number = "" if expected is None else f"{mark}{mark}{expected}"
    return encoded(
        f"{msh(header, ack_control_id, at, owed=owed)}\rMSA{mark}{code}{mark}{header.field(10)}{number}\r", header
    )


def negative(
    header: Header | None,
    error: HutongError,
    *,
    ack_control_id: str,
    at: datetime,
    code: str | None = None,
    level: Level | None = None,
    expected: int | None = None,
    owed: bool = False,
) -> bytes:
    """AE or AR (CE or CR) with the error, told as the sender's version can say it.

    `code` is AE or AR where the caller knows better than the error's disposition: what the sender must change is
    rejected (AR), all else is an error (AE). Without a header there is no control id to echo: MSA-2 stays empty.
    The rest is as in `positive`.
    """
    if header is None:
        said = segments(None, error, code=code or code_of(error))
        return f"{_bare_msh(ack_control_id, at)}\r{said}".encode()
    if level is None:
        level = level_now(header, positive=False)
    chosen = (code or code_of(error))[1:]
    letter = "A" if level is Level.APPLICATION else "C"
    said = segments(header, error, code=letter + chosen, expected=expected)
    return encoded(f"{msh(header, ack_control_id, at, owed=owed)}\r{said}", header)


def code_of(error: HutongError) -> str:
    """AE or AR, by what is to be done about the error."""
    return "AR" if error.disposition is Disposition.REJECT else "AE"


def segments(header: Header | None, error: HutongError, *, code: str, expected: int | None = None) -> str:
    """MSA and, where the version has one that says something, ERR."""
    separators = header.separators if header is not None else USUAL
    version = header.version if header is not None else ""
    echoed = header.field(10) if header is not None else ""
    mark, part = separators.field, separators.component or " "
    condition = _CONDITIONS_BY_CODE.get(error.code) or next(
        (value for kind, value in _CONDITIONS.items() if isinstance(error, kind)), _INTERNAL
    )
    coded = part.join((condition, _ERROR_TEXTS[condition], _ERROR_TABLE))
    said = escape(error.message, separators)
    number = "" if expected is None else str(expected)
    if version and _number(version) < (2, 5):
        # ERR of these versions names a place only; the text belongs to MSA-3 and the condition to MSA-6.
        return f"MSA{mark}{code}{mark}{echoed}{mark}{said}{mark}{number}{mark * 2}{coded}\r"
    place = _place(error.location, part)
    own = escape(error.code, separators)
    msa = f"MSA{mark}{code}{mark}{echoed}" + (f"{mark}{mark}{number}" if number else "")
    err = mark.join(("ERR", "", place, coded, "E", own, "", _rule(error, separators), said))
    return f"{msa}\r{err}\r"


@dataclass(frozen=True, slots=True)
class Answer:
    """An acknowledgment as it was read.

    code        AA, AE, AR, CA, CE or CR
    control_id  MSA-2: the message it answers
    text        what the other side says, which may hold patient data: not for logs or errors
    error_code  ERR-3.1, else MSA-6.1, else ERR-1.4.1; table 0357 where the other side keeps to it
    """

    code: str
    control_id: str
    text: str
    error_code: str

    @property
    def positive(self) -> bool:
        return self.code in _POSITIVE

    @property
    def transient(self) -> bool:
        """The same bytes may be accepted later: a locked record, an internal error of theirs."""
        return self.error_code in _TRANSIENT or self.text.strip().lower().startswith(_TRANSIENT_TEXTS)


def read(payload: bytes, configured_charset: str | None = None) -> Answer:
    """Reads an answer. Raises ParseError when the payload is no acknowledgment."""
    message = er7.parse(payload, configured_charset)
    msa = next(iter(message.named("MSA")), None)
    if msa is None or msa.value(1) not in _KNOWN:
        raise ParseError("the answer holds no acknowledgment code", location="MSA-1", code="not-an-acknowledgment")
    err = next(iter(message.named("ERR")), None)
    error_code = err.value(3) if err is not None else ""
    error_code = error_code or msa.value(6) or (err.value(1, comp=4) if err is not None else "")
    said = msa.value(3) or ((err.value(8) or err.value(7)) if err is not None else "")
    return Answer(msa.value(1), msa.value(2).strip(), said, error_code)


def answered_code(answer: bytes) -> str:
    """MSA-1 of an answer in ER7, nothing else of it being read; empty for what holds no known code."""
    found = answer.find(b"\rMSA" + answer[3:4])
    code = answer[found + 5 : found + 7].decode("ascii", "replace") if found >= 0 else ""
    return code if code in _KNOWN else ""


def msh(header: Header, control_id: str, at: datetime, *, kind: str = "", owed: bool = False) -> str:
    """MSH of an answer to this header. `kind` is MSH-9, raw; empty for a general acknowledgment."""
    field = header.field
    opening, middle, end = _msh_around(
        header.separators,
        (field(5), field(6), field(3), field(4)),
        kind or header.component(9, 2),
        field(11),
        field(12),
        field(18),
        bool(kind),
        owed,
    )
    return f"{opening}{_time(at.replace(microsecond=0), _number(header.version))}{middle}{control_id}{end}"


@lru_cache(maxsize=1024)
def _msh_around(
    separators: Separators,
    addresses: tuple[str, str, str, str],
    event: str,
    processing_id: str,
    version: str,
    charset: str,
    whole: bool,
    owed: bool,
) -> tuple[str, str, str]:
    """What stands before the time, between it and the control id, and after: the same for all messages of a flow.

    `event` is MSH-9 itself where it is `whole`, else the trigger event that an ACK repeats.
    """
    mark = separators.field
    number = _number(_part(version, separators))
    parts = [event] if whole else ["ACK"]
    if event and not whole and separators.component and number >= (2, 3):
        parts += [event] if number < (2, 3, 1) else [event, "ACK"]
    opening = mark.join(("MSH", separators.encoding_characters, *addresses, ""))
    middle = mark.join(("", "", separators.component.join(parts), ""))
    ending = ["", processing_id, version, "", "", *(("AL", "NE") if owed else ("", "")), "", charset]
    while len(ending) > 3 and not ending[-1]:
        ending.pop()
    return opening, middle, mark.join(ending)


def _part(version: str, separators: Separators) -> str:
    """The version itself, of a field that may go on with country and edition."""
    return version.split(separators.component, 1)[0].strip() if separators.component else version.strip()


def _bare_msh(control_id: str, at: datetime) -> str:
    return f"MSH|^~\\&|||||{_time(at.replace(microsecond=0), (2, 5))}||ACK|{control_id}|P|2.5.1"


@lru_cache(maxsize=64)
def _time(at: datetime, version: tuple[int, ...]) -> str:
    """A time of TS; a zone exists since v2.2 and is left out for what names no later version."""
    return at.strftime("%Y%m%d%H%M%S%z" if version >= (2, 2) else "%Y%m%d%H%M%S")


@lru_cache(maxsize=256)
def _number(version: str) -> tuple[int, ...]:
    """`2.5.1` as numbers; a missing or odd version counts as 2.5, whose ERR says most."""
    parts = version.split(".")
    return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else (2, 5)


def _place(location: str | None, part: str) -> str:
    """ERL of a location like `PID-3[2].4`: segment, its number, field, repetition, component."""
    if location is None or "-" not in location:
        return ""
    segment, _, rest = location.partition("-")
    field, _, component = rest.partition(".")
    number, _, repetition = field.partition("[")
    given = [segment, "1", number, repetition.rstrip("]"), component]
    if len(segment) != 3 or not number.isdecimal():
        return ""
    while not given[-1]:
        given.pop()
    return part.join(given)


def _rule(error: HutongError, separators: Separators) -> str:
    """ERR-7, for whoever looks for the cause."""
    return escape(f"rule {error.rule}", separators) if error.rule else ""


def encoded(answer: str, header: Header) -> bytes:
    """In the header's own encoding: what is echoed came from it; a byte that could not be read cannot be echoed either.

    Without the bytes that frame a block: what is echoed may come from a file and hold them.
    """
    if isinstance(header, XmlHeader):
        return v2xml_writing.write(answer, header.codec)
    body = answer.encode("ascii") if answer.isascii() else answer.encode(header.codec, "replace")
    return body.translate(None, _FRAMING)
