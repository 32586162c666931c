"""By which keys are queries matched, and what is told of a match? Found out by asking what reads the queries.

A key counts as matched when a query with a value of it is another query than one without.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime

from pydicom.datadict import dictionary_description, dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from engine.store.imaging_query import LEVELS
from engine.store.worklist import Step
from pacs_gateway.query.keys import LEVEL_OF, asked_by
from pacs_gateway.scp import find
from pacs_gateway.statement.document import Block, Heading, Paragraph, table
from pacs_gateway.worklist import UNICODE, Said, query_of, said_of

QUERY_HEADINGS = ("Attribute", "Tag", "Level", "Matching")
WORKLIST_HEADINGS = ("Attribute", "Tag", "Sequence", "Matching", "Returned")
RETURNED_ONLY = "none; it is returned"
_PROBES = {"AS": "030Y", "DA": "20260102", "TM": "101500", "DT": "20260102101500", "IS": "1", "UI": "1.2.3"}
_ANY_TEXT = "X"
_NAMES = "single value, wildcard; capital letters or not; also by pinyin"
_KINDS = {
    "DA": "single value, range",
    "TM": "single value, range",
    "DT": "single value, range",
    "IS": "single value, list",
    "UI": "single value, list",
    "PN": _NAMES,
}
_LISTED_TEXT, _TEXT = "single value, wildcard, list", "single value, wildcard"
_SAMPLE = Step(
    service_request="sr",
    facility="facility",
    accession="A1",
    study_uid="1.2.3",
    patient_id="P1",
    issuer="issuer",
    patient_name="name",
    patient_name_latin="name",
    birth_on=date(1970, 1, 1),
    sex="F",
    modality="DX",
    station_ae="DX1",
    procedure_code="code",
    procedure_text="text",
    body_part="CHEST",
    requested_by="name",
    placer="O1",
    scheduled_at=datetime(2026, 1, 1, tzinfo=UTC),
    state="scheduled",
)
"""Of which everything is known that can be."""


def query_keys(number: str) -> Iterator[Block]:
    yield Heading(3, f"{number} Matching and return keys: Query/Retrieve")
    found = sorted(LEVEL_OF.items(), key=lambda one: (LEVELS.index(one[1]), one[0]))
    yield table(
        QUERY_HEADINGS,
        [
            (dictionary_description(tag), _tag(tag), str(level), _kind(tag, _LISTED_TEXT, matched=_is_matched(tag)))
            for tag, level in found
        ],
    )
    yield Paragraph(
        "Every other attribute of an object may be matched and returned as well, sequences included: at most "
        f"{find.SEARCH_LIMIT} objects are looked into for that. Each answer has Specific Character Set, "
        "Query/Retrieve Level, Retrieve AE Title and Instance Availability. A key that nothing is known of comes back "
        "empty."
    )


def worklist_keys(number: str) -> Iterator[Block]:
    yield Heading(3, f"{number} Matching and return keys: Modality Worklist")
    yield table(WORKLIST_HEADINGS, _rows(said_of(_SAMPLE, "", UNICODE), ()))
    yield Paragraph(
        "Every other key comes back empty. A step that names no station is offered to every station of its facility, "
        "under the AE title of whoever asks."
    )


def _is_matched(tag: int) -> bool:
    asked = Dataset()
    asked.add_new(tag, dictionary_VR(tag), _probe(tag))
    return asked_by(asked, LEVEL_OF[tag], None) != asked_by(Dataset(), LEVEL_OF[tag], None)


def _rows(said: Mapping[str, Said], within: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for keyword, value in said.items():
        if isinstance(value, str):
            yield _row(keyword, within, value)
        else:
            yield from _rows(value[0], (*within, keyword))


def _row(keyword: str, within: tuple[str, ...], told: str) -> tuple[str, ...]:
    tag = _tag_of(keyword)
    where = " > ".join(dictionary_description(_tag_of(sequence)) for sequence in within)
    matched = query_of(_asking(keyword, within)) != query_of(Dataset())
    returned = "yes" if told else "empty: no order says it"
    return dictionary_description(tag), _tag(tag), where or "-", _kind(tag, _TEXT, matched=matched), returned


def _asking(keyword: str, within: tuple[str, ...]) -> Dataset:
    asked = Dataset()
    if within:
        setattr(asked, within[0], Items([_asking(keyword, within[1:])]))
    else:
        setattr(asked, keyword, _probe(_tag_of(keyword)))
    return asked


def _probe(tag: int) -> str:
    return _PROBES.get(dictionary_VR(tag), _ANY_TEXT)


def _kind(tag: int, of_text: str, *, matched: bool) -> str:
    return _KINDS.get(dictionary_VR(tag), of_text) if matched else RETURNED_ONLY


def _tag(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _tag_of(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    return tag
