"""What is the answer to a message? The one place that chooses AA, AE, AR, CA, CE or CR, and that reads them.

Answers are given in original mode, whatever MSH-15 and MSH-16 ask, with one exception: a sender that wants an accept
acknowledgment and no application acknowledgment (MSH-15 set and not NE, MSH-16 NE) gets CA, CE or CR.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from engine.codecs import er7, text
from engine.codecs.er7_escape import escape
from engine.codecs.er7_header import USUAL, Header, Separators
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
_CONDITIONS_BY_CODE = {"no-mapping": "200", "required-missing": "101"}
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


def positive(header: Header, ack_control_id: str, at: datetime) -> bytes:
    """AA (or CA): only to be sent once the flush that covers the message has returned."""
    mark = header.separators.field
    code = "CA" if _wants_accept_only(header) else "AA"
    return _encoded(
        f"{_msh(header, ack_control_id, at)}\rMSA{mark}{code}{mark}{header.field(10)}\r",
        header.codec,
    )


def negative(
    header: Header | None, error: HutongError, *, ack_control_id: str, at: datetime, code: str | None = None
) -> bytes:
    """AE or AR (CE or CR) with the error, told as the sender's version can say it.

    `code` is AE or AR where the caller knows better than the error's disposition: what the sender must change is
    rejected (AR), all else is an error (AE). Without a header there is no control id to echo: MSA-2 stays empty.
    """
    chosen = code or ("AR" if error.disposition is Disposition.REJECT else "AE")
    separators = header.separators if header is not None else USUAL
    version = header.version if header is not None else ""
    echoed = header.field(10) if header is not None else ""
    if header is not None and _wants_accept_only(header):
        chosen = "C" + chosen[1:]
    mark, part = separators.field, separators.component or " "
    condition = _CONDITIONS_BY_CODE.get(error.code) or next(
        (value for kind, value in _CONDITIONS.items() if isinstance(error, kind)), _INTERNAL
    )
    coded = part.join((condition, _ERROR_TEXTS[condition], _ERROR_TABLE))
    msh = _msh(header, ack_control_id, at) if header is not None else _bare_msh(ack_control_id, at)
    said = escape(error.message, separators)
    if version and _number(version) < (2, 5):
        # ERR of these versions names a place only; the text belongs to MSA-3 and the condition to MSA-6.
        answer = f"{msh}\rMSA{mark}{chosen}{mark}{echoed}{mark}{said}{mark * 3}{coded}\r"
    else:
        place = _place(error.location, part)
        own = escape(error.code, separators)
        answer = (
            f"{msh}\rMSA{mark}{chosen}{mark}{echoed}\r"
            f"ERR{mark}{mark}{place}{mark}{coded}{mark}E{mark}{own}{mark}{mark}{_rule(error, separators)}{mark}{said}\r"
        )
    return _encoded(answer, header.codec if header is not None else text.UTF_8)


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


def _wants_accept_only(header: Header) -> bool:
    return header.application_ack == "NE" and header.accept_ack in ("AL", "SU", "ER")


def _msh(header: Header, control_id: str, at: datetime) -> str:
    field = header.field
    opening, middle, end = _msh_around(
        header.separators,
        (field(5), field(6), field(3), field(4)),
        header.component(9, 2),
        field(11),
        field(12),
        field(18),
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
) -> tuple[str, str, str]:
    """What stands before the time, between it and the control id, and after: the same for all messages of a flow."""
    mark = separators.field
    number = _number(_part(version, separators))
    parts = ["ACK"]
    if event and separators.component and number >= (2, 3):
        parts += [event] if number < (2, 3, 1) else [event, "ACK"]
    opening = mark.join(("MSH", separators.encoding_characters, *addresses, ""))
    middle = mark.join(("", "", separators.component.join(parts), ""))
    ending = ["", processing_id, version]
    if charset:
        ending += ["", "", "", "", "", charset]
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


def _encoded(answer: str, codec: str) -> bytes:
    """The header's own codec: what is echoed came from it; a byte that could not be read cannot be echoed either.

    Nor can the bytes that frame a block, which a message that came from a file may hold.
    """
    encoded = answer.encode("ascii") if answer.isascii() else answer.encode(codec, "replace")
    return encoded.translate(None, _FRAMING)
