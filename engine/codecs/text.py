"""Which characters do these bytes hold? The one place that decodes text of HL7, DICOM and tables.

The order of belief is: what the text says of itself (MSH-18, Specific Character Set), what the channel is configured
to, what the bytes look like. A label that the bytes contradict is not believed; what remains unsure is said to be.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from engine.errors import MappingError
from engine.finding import Finding, Severity

UTF_8 = "utf-8"
GB18030 = "gb18030"
"""Read for every GB label: GB 18030 contains GBK, which contains GB 2312, and labels understate what is used."""
LATIN_1 = "latin-1"
ASCII = "ascii"

_CODECS = {
    # HL7 table 0211
    "ASCII": ASCII,
    "USASCII": ASCII,
    "88591": LATIN_1,
    **{f"8859{part}": f"iso8859-{part}" for part in range(2, 17) if part != 12},
    "GB180302000": GB18030,
    "UNICODE": UTF_8,
    "UNICODEUTF8": UTF_8,
    "UNICODEUTF16": "utf-16",
    "UNICODEUTF32": "utf-32",
    "BIG5": "big5hkscs",
    "JAS2020": "iso2022_jp",
    "ISOIR14": "shift_jis",
    "ISOIR87": "iso2022_jp",
    "ISOIR159": "iso2022_jp_1",
    "KSX1001": "euc_kr",
    # DICOM defined terms (Specific Character Set)
    "ISOIR6": ASCII,
    "ISO2022IR6": ASCII,
    "ISOIR192": UTF_8,
    "ISOIR58": GB18030,
    "ISO2022IR58": GB18030,
    "ISO2022IR87": "iso2022_jp",
    "ISO2022IR159": "iso2022_jp_1",
    "ISOIR13": "shift_jis",
    "ISO2022IR13": "shift_jis",
    "ISO2022IR149": "euc_kr",
    **{
        f"{prefix}IR{number}": codec
        for prefix in ("ISO", "ISO2022")
        for number, codec in {
            100: LATIN_1,
            101: "iso8859-2",
            109: "iso8859-3",
            110: "iso8859-4",
            144: "iso8859-5",
            127: "iso8859-6",
            126: "iso8859-7",
            138: "iso8859-8",
            148: "iso8859-9",
            203: "iso8859-15",
            166: "tis-620",
        }.items()
    },
    # what systems write instead
    "GB18030": GB18030,
    "GB180302005": GB18030,
    "GB180302022": GB18030,
    "GBK": GB18030,
    "XGBK": GB18030,
    "GB2312": GB18030,
    "GB231280": GB18030,
    "EUCCN": GB18030,
    "CP936": GB18030,
    "MS936": GB18030,
    "WINDOWS936": GB18030,
    "936": GB18030,
    "UTF8": UTF_8,
    "UTF8SIG": UTF_8,
    "UTF16": "utf-16",
    "LATIN1": LATIN_1,
    "ISO88591": LATIN_1,
    "CP1252": "cp1252",
    "WINDOWS1252": "cp1252",
}

_HL7_LABELS = {GB18030: "GB 18030-2000", UTF_8: "UNICODE UTF-8", LATIN_1: "8859/1", ASCII: ""}

_NARROW = {"GBK": "gbk", "XGBK": "gbk", "CP936": "gbk", "MS936": "gbk", "GB2312": "gb2312", "EUCCN": "gb2312"}

_LABEL_SEPARATORS = re.compile(r"[\\~]")
_LABEL_NOISE = re.compile(r"[^A-Z0-9]")
_ASCII_RUN = re.compile(r"[\x00-\x7f]+")
_NEVER_LATIN = re.compile(rb"[\x80-\x9f][\x80-\xfe]|[\x80-\xfe][\x80-\x9f]")
_HIGH_PAIR = re.compile(rb"[\x80-\xff]{2}")
_LATIN_WITHIN_WORD = re.compile(
    "(?<=[A-Za-z])[\u00a1-\u017f]{1,2}|[\u00a1-\u017f]{1,2}(?=[A-Za-z])|(?<=[0-9])[\u00b2\u00b3\u00b9]"
)
"""`µ` of `µmol/L`, `ü` of `Müller`: in UTF-8 they are the bytes of Chinese characters that GB 2312 holds (碌, 眉)."""
_GB2312_DESIGNATORS = re.compile(rb"\x1b\$\)A|\x1b\(B")

_USUAL_SHARE = 0.5
"""Chinese text is believed when at least half of it lies within the 6,763 characters of GB 2312 and its symbols."""
_USUAL_SHARE_UNDER_LATIN = 0.25
"""European text seldom has two accented letters side by side, and then seldom two that GB 2312 assigns."""
_USUAL_COUNT = 2
"""One pair of high bytes is as likely two accented letters (`créée`) as one Chinese character."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Text, and how sure of it we are.

    text      without byte order mark; U+0000 and undecodable bytes stand as U+FFFD, each with a finding
    charset   the Python codec that was used
    doubtful  the bytes fit no codec, or more than one
    """

    text: str
    charset: str
    doubtful: bool
    findings: tuple[Finding, ...]


@lru_cache(maxsize=1024)
def codec_of(label: str | None) -> str | None:
    """The Python codec of a label as HL7 (table 0211), DICOM or people write it; None for an empty or unknown one.

    Of several values (`\\ISO 2022 IR 58`, `ASCII~GB 18030-2000`, `GB18030\\ISO IR 192`) the first that says more
    than ASCII counts.
    """
    if not label:
        return None
    found = [
        codec
        for part in _LABEL_SEPARATORS.split(label)
        if (codec := _CODECS.get(_LABEL_NOISE.sub("", part.upper()))) is not None
    ]
    return next((codec for codec in found if codec != ASCII), found[0] if found else None)


def hl7_label(charset: str) -> str:
    """What MSH-18 says for a Python codec or a label; empty for ASCII and for what table 0211 does not name."""
    return _HL7_LABELS.get(codec_of(charset) or charset, "")


def encode(content: str, charset: str) -> bytes:
    """Bytes in a charset, named by label or codec; a GBK or GB 2312 label is taken at its word, unlike in reading.

    Raises MappingError when a character does not exist there: nothing is replaced silently.
    """
    codec = _NARROW.get(_LABEL_NOISE.sub("", charset.upper())) or codec_of(charset) or charset
    try:
        return content.encode(codec)
    except UnicodeEncodeError:
        raise MappingError("a character does not exist in the charset to write", code="charset-cannot-carry") from None


def decode(payload: bytes, declared: str | None = None, configured: str | None = None) -> Decoded:
    """Decodes bytes by their label, else by the channel's setting, else by what they look like. Never raises."""
    if payload.isascii() and b"\x1b" not in payload and b"\0" not in payload:
        return Decoded(
            payload.decode(ASCII),
            codec_of_plain(declared, configured),
            doubtful=False,
            findings=(),
        )
    return _decode_marked(payload, declared, configured)


def codec_of_plain(declared: str | None, configured: str | None) -> str:
    """The codec that text of ASCII bytes is said to be in; such bytes were not written in UTF-16, whatever is said."""
    codec = codec_of(declared) or codec_of(configured) or UTF_8
    return UTF_8 if codec.startswith(("utf-16", "utf-32")) else codec


def _decode_marked(payload: bytes, declared: str | None, configured: str | None) -> Decoded:
    findings: list[Finding] = []
    labelled, channel = codec_of(declared), codec_of(configured)
    if declared and labelled is None:
        findings.append(Finding("charset-unknown", "the character set named by the text is not known"))
    body = payload
    if payload.startswith(codecs.BOM_UTF8):
        body, channel = payload[len(codecs.BOM_UTF8) :], UTF_8
        if _strict(body, UTF_8) is not None:
            labelled = UTF_8
    elif payload.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and _strict(payload, "utf-16") is not None:
        labelled = "utf-16"
    if b"\x1b" in body and labelled in (GB18030, None):
        body = _GB2312_DESIGNATORS.sub(b"", body)
    choice = _choose(body, labelled, channel)
    text = choice.text
    if choice.mislabelled:
        findings.append(
            Finding("charset-mislabelled", f"the text is not in the character set it claims: read as {choice.codec}")
        )
    if choice.doubtful:
        findings.append(
            Finding("charset-doubtful", f"the character set of the text is not certain: read as {choice.codec}")
        )
    if b"\0" in payload and "\0" in text:  # among bytes it is found many times faster than among characters
        text = text.replace("\0", "\ufffd")
        findings.append(Finding("nul-character", "the text holds U+0000, shown as U+FFFD", Severity.WARNING))
    return Decoded(text, choice.codec, choice.doubtful, tuple(findings))


class _Choice(NamedTuple):
    codec: str
    text: str
    mislabelled: bool = False
    doubtful: bool = False


def _choose(body: bytes, labelled: str | None, channel: str | None) -> _Choice:
    said = labelled or channel
    if said is None:
        return _detect(body)
    if (text := _strict(body, said)) is None:
        return _disbelieve(body, said, channel)
    if said == UTF_8 or body.isascii():
        return _Choice(said, text)
    if _single_byte(said):
        return _doubt_single_byte(body, text, said, channel)
    if said == GB18030 and (other := _strict(body, UTF_8)) is not None and _likelier(other, text):
        return _Choice(UTF_8, other, mislabelled=True)
    return _Choice(said, text)


def _disbelieve(body: bytes, said: str, channel: str | None) -> _Choice:
    """The bytes are not in the charset that was said."""
    if said == UTF_8 and _torn(torn := body.decode(UTF_8, "replace")):
        return _Choice(UTF_8, torn, doubtful=True)
    if channel is not None and not _single_byte(channel) and (text := _strict(body, channel)) is not None:
        return _Choice(channel, text, mislabelled=True)
    found = _detect(body)
    if "\ufffd" in found.text or (_single_byte(found.codec) and said != ASCII):
        return _Choice(said, body.decode(said, "replace"), doubtful=True)
    return found._replace(mislabelled=True)


def _torn(text: str) -> bool:
    """UTF-8 with a character cut here and there, as by a field of so many bytes; GB text read so is mostly U+FFFD."""
    beyond = _ASCII_RUN.sub("", text)
    lost = beyond.count("\ufffd")
    return len(beyond) - lost > 2 * lost


def _doubt_single_byte(body: bytes, text: str, said: str, channel: str | None) -> _Choice:
    """A single-byte codec accepts nearly everything, so its label proves nothing."""
    if (unicode := _strict(body, UTF_8)) is not None:
        return _Choice(UTF_8, unicode, mislabelled=True)
    chinese = _strict(body, GB18030)
    if chinese is None:
        return _Choice(said, text)
    share, count = _usual(chinese), len(_ASCII_RUN.sub("", chinese))
    if channel == GB18030 or _NEVER_LATIN.search(body):
        return _Choice(GB18030, chinese, mislabelled=True)
    if share >= _USUAL_SHARE_UNDER_LATIN and share * count >= _USUAL_COUNT:
        return _Choice(GB18030, chinese, mislabelled=True)
    return _Choice(said, text, doubtful=share > 0)


def _detect(body: bytes) -> _Choice:
    unicode = _strict(body, UTF_8)
    if unicode is not None and body.isascii():
        return _Choice(UTF_8, unicode)
    chinese = _strict(body, GB18030)
    if unicode is not None:
        if chinese is not None and not _likelier(unicode, chinese) and _usual(chinese) > _usual(unicode):
            return _Choice(GB18030, chinese, doubtful=True)
        return _Choice(UTF_8, unicode)
    if chinese is not None:
        share = _usual(chinese)
        if share == 0 and not _HIGH_PAIR.search(body):
            return _Choice(LATIN_1, body.decode(LATIN_1), doubtful=True)
        return _Choice(GB18030, chinese, doubtful=share < _USUAL_SHARE)
    read = [_Choice(codec, body.decode(codec, "replace"), doubtful=True) for codec in (UTF_8, GB18030)]
    return min(read, key=lambda choice: choice.text.count("\ufffd"))


def _likelier(unicode: str, chinese: str) -> bool:
    """Of bytes that are both: whether they are UTF-8. Nobody writes one Chinese character within a Latin word."""
    return _usual(unicode) > _usual(chinese) or _LATIN_WITHIN_WORD.sub("", unicode).isascii()


def _strict(body: bytes, codec: str) -> str | None:
    try:
        return body.decode(codec)
    except UnicodeDecodeError:
        return None


def _single_byte(codec: str) -> bool:
    return codec == LATIN_1 or codec.startswith(("iso8859", "cp125", "tis"))


def _usual(text: str) -> float:
    """The share of the characters beyond ASCII that GB 2312 holds; 1.0 when there are none."""
    beyond = _ASCII_RUN.sub("", text)
    return len(beyond.encode("gb2312", "ignore")) / 2 / len(beyond) if beyond else 1.0
