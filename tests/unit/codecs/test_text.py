"""Is text decoded right, or said to be doubtful?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.codecs import text
from engine.errors import MappingError

NAME = "张智宏"


def codes(decoded: text.Decoded) -> list[str]:
    return [finding.code for finding in decoded.findings]


LABELS = {
    # HL7 table 0211
    "ASCII": "ascii",
    "8859/1": "latin-1",
    "8859/15": "iso8859-15",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UNICODE UTF-16": "utf-16",
    "GB 18030-2000": "gb18030",
    "BIG-5": "big5hkscs",
    # as people write them
    "utf8": "utf-8",
    "UTF-8": "utf-8",
    "GB18030": "gb18030",
    "gb18030-2022": "gb18030",
    "GBK": "gb18030",
    "GB2312": "gb18030",
    "cp936": "gb18030",
    "~GB 18030-2000": "gb18030",
    "ASCII~UNICODE UTF-8": "utf-8",
    # DICOM, well and badly spelled
    "ISO_IR 100": "latin-1",
    "ISO_IR 192": "utf-8",
    "ISO IR 192": "utf-8",
    "GB18030\\ISO IR 192": "gb18030",
    "\\ISO 2022 IR 58": "gb18030",
    "ISO 2022 IR 6\\ISO 2022 IR 58": "gb18030",
    "ISO 2022 IR 149": "euc_kr",
    "": None,
    "something": None,
}


@pytest.mark.parametrize(("label", "codec"), LABELS.items(), ids=[label or "empty" for label in LABELS])
def test_labels_are_understood_as_written(label: str, codec: str | None) -> None:
    assert text.codec_of(label) == codec


def test_every_codec_exists() -> None:
    for label in LABELS:
        if (codec := text.codec_of(label)) is not None:
            "a".encode(codec)
    for codec in set(text._CODECS.values()):  # the table itself: a misspelt codec would fail on one message in a year
        "a".encode(codec)


GB, UTF8 = "gb18030", "utf-8"

# bytes, label, channel's setting → text, codec, findings
CASES = {
    "declared and true": (NAME.encode(GB), "GB 18030-2000", None, NAME, GB, []),
    "declared UTF-8 and true": (NAME.encode(), "UNICODE UTF-8", None, NAME, UTF8, []),
    "the label beats the channel": (NAME.encode(), "UNICODE UTF-8", GB, NAME, UTF8, []),
    "the channel serves where there is no label": (NAME.encode(GB), "", GB, NAME, GB, []),
    "undeclared Chinese is detected": (NAME.encode(GB), None, None, NAME, GB, []),
    "undeclared UTF-8 is detected": (NAME.encode(), None, None, NAME, UTF8, []),
    "undeclared ASCII": (b"WANG", None, None, "WANG", UTF8, []),
    "said to be UTF-8, is GB 18030": (NAME.encode(GB), "UNICODE UTF-8", None, NAME, GB, ["charset-mislabelled"]),
    "said to be GB 18030, is UTF-8": (NAME.encode(), "GB 18030-2000", None, NAME, UTF8, ["charset-mislabelled"]),
    "said to be GB 18030, is UTF-8 that could be": (
        "白石乡卫".encode(),
        "GB 18030-2000",
        None,
        "白石乡卫",
        UTF8,
        ["charset-mislabelled"],
    ),
    "channel says GB 18030, is UTF-8": (NAME.encode(), None, GB, NAME, UTF8, ["charset-mislabelled"]),
    "said to be Latin-1, is GBK": ("ÕÅÖÇºê".encode("latin-1"), "ISO_IR 100", None, NAME, GB, ["charset-mislabelled"]),
    "another GBK under Latin-1": ("ÎâÎÀÉú".encode("latin-1"), "8859/1", None, "吴卫生", GB, ["charset-mislabelled"]),
    "said to be Latin-1, is UTF-8": (NAME.encode(), "8859/1", None, NAME, UTF8, ["charset-mislabelled"]),
    "said to be ASCII, is GBK": (NAME.encode(GB), "ASCII", None, NAME, GB, ["charset-mislabelled"]),
    "DICOM name in GBK under an ISO 2022 label": (
        b"Zhang^Xiao=\x1b$)A" + NAME.encode("gb2312"),
        "\\ISO 2022 IR 58",
        None,
        "Zhang^Xiao=" + NAME,
        GB,
        [],
    ),
    "true Latin-1": ("Müller, Grüße".encode("latin-1"), "8859/1", None, "Müller, Grüße", "latin-1", []),
    "two accents side by side": ("créée".encode("latin-1"), "8859/1", None, "créée", "latin-1", ["charset-doubtful"]),
    "quotes of a word processor": (b"the patient\x92s", "8859/1", None, "the patient\x92s", "latin-1", []),
    "a rare name under Latin-1": ("王喆".encode(GB), "8859/1", None, "王喆", GB, ["charset-mislabelled"]),
    "an unknown label": (NAME.encode(GB), "KOI-7", None, NAME, GB, ["charset-unknown"]),
    "a byte order mark": (b"\xef\xbb\xbf" + NAME.encode(), None, GB, NAME, UTF8, []),
    "a unit in UTF-8 without a label": ("µmol/L".encode(), None, None, "µmol/L", UTF8, []),
    "an area in UTF-8 without a label": ("1.73 m²|10³".encode(), None, None, "1.73 m²|10³", UTF8, []),
    "a European name in UTF-8 without a label": ("Größe^Jörn".encode(), None, None, "Größe^Jörn", UTF8, []),
    "said to be GB 18030, is a unit in UTF-8": (
        "µmol/L".encode(),
        "GB 18030-2000",
        None,
        "µmol/L",
        UTF8,
        ["charset-mislabelled"],
    ),
    "a name of one character that could be UTF-8": ("陆^A".encode(GB), None, None, "陆^A", GB, ["charset-doubtful"]),
    "said to be GB 18030, and could be UTF-8": ("毛^陆".encode(GB), "GB 18030-2000", None, "毛^陆", GB, []),
    "U+0000": (b"WANG\0XIAO", "ASCII", None, "WANG\ufffdXIAO", "ascii", ["nul-character"]),
    "UTF-8 with a torn character": (
        NAME.encode() + b"\xe5\xbc",
        "UNICODE UTF-8",
        GB,
        NAME + "\ufffd",
        UTF8,
        ["charset-doubtful"],
    ),
    "noise": (b"\xff\xff\x80", None, None, "\ufffd\ufffd\ufffd", UTF8, ["charset-doubtful"]),
}


@pytest.mark.parametrize(("data", "label", "channel", "expected", "codec", "findings"), CASES.values(), ids=CASES)
def test_text_is_decoded(
    data: bytes, label: str | None, channel: str | None, expected: str, codec: str, findings: list[str]
) -> None:
    decoded = text.decode(data, label, channel)
    assert (decoded.text, decoded.charset, codes(decoded)) == (expected, codec, findings)
    assert decoded.doubtful == ("charset-doubtful" in findings)


@given(st.binary(max_size=200), st.sampled_from([*LABELS, None]), st.sampled_from([*LABELS, None]))
def test_decoding_never_raises_and_never_yields_nul(data: bytes, label: str | None, channel: str | None) -> None:
    decoded = text.decode(data, label, channel)
    assert "\0" not in decoded.text
    if "\ufffd" in decoded.text and b"\0" not in data and "\ufffd" not in data.decode("utf-8", "ignore"):
        assert decoded.findings


@given(st.text(alphabet=st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), min_size=1, max_size=30))
def test_what_is_labelled_truly_comes_back(chinese: str) -> None:
    assert text.decode(chinese.encode("utf-8"), "UNICODE UTF-8").text == chinese
    assert text.decode(chinese.encode("gb18030"), None, "UNICODE UTF-8").text in (
        chinese,
        chinese.encode("gb18030").decode("utf-8", "replace"),
    )


def test_findings_name_no_values() -> None:
    for data, label, channel, *_ in CASES.values():
        for finding in text.decode(data, label, channel).findings:
            assert NAME not in finding.text
            assert "WANG" not in finding.text


def test_a_character_that_the_charset_lacks_is_not_replaced_silently() -> None:
    with pytest.raises(MappingError) as refusal:
        text.encode("𠮷野", "GBK")
    assert refusal.value.code == "charset-cannot-carry"
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__
    assert text.encode("𠮷野", "GB 18030-2000").decode("gb18030") == "𠮷野"


@pytest.mark.parametrize(
    ("charset", "label"),
    [("gb18030", "GB 18030-2000"), ("GBK", "GB 18030-2000"), ("utf-8", "UNICODE UTF-8"), ("latin-1", "8859/1")],
)
def test_msh_18_names_the_charset_written(charset: str, label: str) -> None:
    assert text.hl7_label(charset) == label
