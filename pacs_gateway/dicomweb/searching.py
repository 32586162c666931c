"""Which studies, series and instances match? QIDO-RS (PS3.18 §10.6), answered from the index alone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from json.encoder import encode_basestring

from starlette.requests import Request
from starlette.responses import Response

from engine.errors import ParseError
from engine.store.imaging_query import Found, Level
from pacs_gateway.dicomweb.asked import ATTRIBUTES_TOLD, asked_by
from pacs_gateway.dicomweb.asking import caller_of
from pacs_gateway.dicomweb.dicom_json import UTF_8, of_text
from pacs_gateway.dicomweb.instances import accept_of
from pacs_gateway.dicomweb.looking import Looking, Wanted
from pacs_gateway.dicomweb.metadata import MEDIA_TYPES

_ALWAYS = {
    Level.STUDY: {"patient_name", "patient_id", "birth_date", "sex"}
    | {"study_date", "study_time", "accession", "referring", "study_id", "description"},
    Level.SERIES: {"modality", "series_description", "series_number", "body_part"},
    Level.IMAGE: {"number", "frames"},
}
"""Of what PS3.18 tables 10.6.3-3 to -5 list, and what everybody shows besides."""
_WHERE_KNOWN = {
    Level.SERIES: {"performed_date", "performed_time"},
    Level.IMAGE: {"rows", "columns", "bits_allocated"},
}
"""Of the same tables, where an object says it. Request Attributes Sequence and time zones are in no index, so never."""
_REMEMBERED = 1000
"""Matches that need not be written again: lists are asked for by many, and again every few seconds."""
_IGNORED = '299 hutong "The fuzzymatching parameter or an attribute is not supported. Only literal matching was done"'
_MORE = '299 hutong "There are additional results that can be requested"'


async def search(looking: Looking, level: Level, above: Wanted, request: Request, base: str) -> Response:
    """200 with matches, 204 without. `above` is what the path names; what it does not name is told with each match."""
    media_type = accept_of(request).best(MEDIA_TYPES)
    if media_type is None:
        raise ParseError("matches are told as application/dicom+json", code="not-acceptable")
    asked = asked_by(request.url.query, level, above)
    found: list[Found] = []
    if asked.limit:
        found = await looking.search(caller_of(request), asked.query, asked.named, asked.limit + 1, asked.offset)
    told, more = found[: asked.limit], len(found) > asked.limit
    headers = {"Cache-Control": "private, no-cache", "Vary": "Authorization, Accept"}
    if asked.ignored or more:
        headers["Warning"] = ", ".join(text for text, given in ((_IGNORED, asked.ignored), (_MORE, more)) if given)
    if not told:
        return Response(status_code=204, headers=headers)
    levels = _levels(level, above)
    names = asked.fields.union(*(_ALWAYS[level] for level in levels))
    body = b"[%b]" % b",".join(_match(one, names, asked.everything, levels, base) for one in told)
    return Response(body, headers=headers, media_type=media_type)


def _levels(level: Level, above: Wanted) -> tuple[Level, ...]:
    """Of which levels a match tells: its own, and those above that the path does not name."""
    named = {Level.STUDY: bool(above.study), Level.SERIES: bool(above.series)}
    order = (Level.STUDY, Level.SERIES, Level.IMAGE)
    return tuple(one for one in order[: order.index(level) + 1] if one is level or not named[one])


@lru_cache(_REMEMBERED)
def _match(found: Found, names: frozenset[str], everything: bool, levels: tuple[Level, ...], base: str) -> bytes:
    members = {"00080005": UTF_8, **dict(_known(found, levels, base))}
    known = {name for level in levels for name in _WHERE_KNOWN.get(level, ())}
    for one in ATTRIBUTES_TOLD:
        value = found.attributes.get(one.name, "")
        if one.name in names or (value and (everything or one.name in known)):
            members[one.tag] = of_text(one.vr, value)
    return b"{%b}" % b",".join(b'"%b":%b' % (tag.encode(), members[tag]) for tag in sorted(members))


def _known(found: Found, levels: tuple[Level, ...], base: str) -> Iterator[tuple[str, bytes]]:
    """What is no text of an object: UIDs, counts, and where it is fetched."""
    key, level = found.key, found.level
    yield "00080056", of_text("CS", "ONLINE")
    yield "00081190", _address(base + Wanted(key.study_uid, key.series_uid, key.sop_uid).path)
    yield "0020000D", of_text("UI", key.study_uid)
    if Level.STUDY in levels:
        yield "00080061", of_text("CS", "\\".join(found.modalities))
    if level is Level.STUDY:
        yield "00201206", of_text("IS", str(found.series))
        yield "00201208", of_text("IS", str(found.instances))
        return
    yield "0020000E", of_text("UI", key.series_uid)
    if level is Level.SERIES:
        yield "00201209", of_text("IS", str(found.instances))
        return
    yield "00080016", of_text("UI", found.content.sop_class)
    yield "00080018", of_text("UI", key.sop_uid)
    yield "00083002", of_text("UI", found.content.transfer_syntax)


def _address(url: str) -> bytes:
    return f'{{"vr":"UR","Value":[{encode_basestring(url)}]}}'.encode()
