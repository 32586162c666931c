"""How is an answer written as XML? ER7 of our own segments → the XML encoding, with the names of its data types."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from html import escape as escape_xml

from engine.codecs import er7, text
from engine.codecs.v2xml import NAMESPACE

_FIELD_TYPES = {
    "MSH": "3:HD 4:HD 5:HD 6:HD 7:TS 9:MSG 11:PT 12:VID",
    "MSA": "6:CE",
    "ERR": "2:ERL 3:CWE 5:CWE",
    "QAK": "3:CE",
    "QPD": "1:CE 3:QIP 8:CX",
    "PID": "3:CX 5:XPN 7:TS 11:XAD 13:XTN 18:CX",
    "ORC": "2:EI 3:EI 4:EI 9:TS 16:CE",
    "OBR": "2:EI 3:EI 4:CE",
    "IPC": "1:EI 2:EI 3:EI 4:EI 5:CE",
    "NTE": "",
    "DSC": "",
}
"""Of the fields that our answers fill and that have components."""
_PART_TYPES = {"CX": {4: "HD", 6: "HD"}, "XPN": {1: "FN"}, "XAD": {1: "SAD"}, "VID": {2: "CE", 3: "CE"}}
_GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "RSP_K21": {"PID": ("QUERY_RESPONSE",)},
    "RSP_K23": {"PID": ("QUERY_RESPONSE",)},
    **{
        structure: {"PID": ("RESPONSE", "PATIENT"), "ORC": ("RESPONSE", "ORDER")}
        for structure in ("ORR_O02", "ORL_O22", "ORG_O20", "ORI_O24")
    },
}
"""The groups that begin with a segment; the following segments stand in the same ones."""
_XML_NAMES = {text.GB18030: "GB18030", text.LATIN_1: "ISO-8859-1"}


def write(answer: str, codec: str) -> bytes:
    """The document, in UTF-8 or in the codec of the message it answers, where that is GB 18030 or Latin-1."""
    label = _XML_NAMES.get(codec, "UTF-8")
    message = er7.parse(answer.encode(), text.UTF_8)
    structure = message.header.value(9, comp=3) or "ACK"
    body = "".join(_grouped(structure, message.segments))
    document = f'<?xml version="1.0" encoding="{label}"?>\n<{structure} xmlns="{NAMESPACE}">{body}</{structure}>\n'
    return document.encode(codec if codec in _XML_NAMES else text.UTF_8, "xmlcharrefreplace")


def _grouped(structure: str, segments: list[er7.Segment]) -> Iterator[str]:
    groups = _GROUPS.get(structure, {})
    open_groups: tuple[str, ...] = ()
    for segment in segments:
        wanted = groups.get(segment.name)
        if wanted is None and segment.name in ("DSC",):
            wanted = ()
        if wanted is not None:
            kept = 0
            while kept < min(len(open_groups), len(wanted) - 1) and open_groups[kept] == wanted[kept]:
                kept += 1
            yield from (f"</{structure}.{name}>" for name in reversed(open_groups[kept:]))
            yield from (f"<{structure}.{name}>" for name in wanted[kept:])
            open_groups = wanted
        yield _segment(segment)
    yield from (f"</{structure}.{name}>" for name in reversed(open_groups))


def _segment(segment: er7.Segment) -> str:
    name = segment.name
    written = []
    for number in range(1, len(segment.fields)):
        tag = f"{name}.{number}"
        for raw in segment.repetitions(number):
            if name == "MSH" and number <= 2:
                written.append(f"<{tag}>{_escaped(raw)}</{tag}>")
            else:
                written.append(f"<{tag}>{_parts(segment, raw, _types(name).get(number, ''))}</{tag}>")
    return f"<{name}>{''.join(written)}</{name}>"


def _parts(segment: er7.Segment, raw: str, kind: str) -> str:
    if not kind:
        return _escaped(segment.unescape(raw))
    written = []
    for number, part in enumerate(segment.components(raw), start=1):
        inner = _PART_TYPES.get(kind, {}).get(number)
        leaves = segment.subcomponents(part) if inner else [part]
        said = (
            "".join(
                f"<{inner}.{at}>{_escaped(segment.unescape(leaf))}</{inner}.{at}>"
                for at, leaf in enumerate(leaves, start=1)
                if leaf
            )
            if inner
            else _escaped(segment.unescape(part))
        )
        if said:
            written.append(f"<{kind}.{number}>{said}</{kind}.{number}>")
    return "".join(written)


@lru_cache(maxsize=32)
def _types(segment: str) -> dict[int, str]:
    pairs = (entry.split(":") for entry in _FIELD_TYPES.get(segment, "").split())
    return {int(number): kind for number, kind in pairs}


def _escaped(value: str) -> str:
    """XML 1.0 has no form for control characters; what an answer echoes of them is left out."""
    return escape_xml("".join(c for c in value if c >= " " or c in "\t\n"), quote=False)
