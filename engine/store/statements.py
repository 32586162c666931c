"""What is served of an object, given what was said of its study? Pure: statements laid over it, the oldest first."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from typing import Any
from uuid import UUID

from engine.codecs.text import ASCII, GB18030, LATIN_1, UTF_8

KEY_END = "!"
"""Between the key of an object in the store and what is served otherwise of it: no key holds it."""
OTHER_CONTENT = "other-content"
"""Why an object is hidden: another content of its SOP Instance UID was chosen."""
REJECTION_NOTE = "rejection-note"
"""Why an object is hidden: it is a note of ours, which only those are to have that had what it names."""


class Kind(StrEnum):
    """What a statement does."""

    ASSIGN = "assign"
    """A study is of this order, or of this patient."""
    SPLIT = "split"
    """Some series or instances are another study."""
    MERGE = "merge"
    """A study is part of another."""
    KEEP = "keep"
    """The other content of a SOP Instance UID is an instance of its own."""
    REPLACE = "replace"
    """The other content of a SOP Instance UID is the right one."""
    LEAVE = "leave"
    """The other content of a SOP Instance UID is not served."""
    REJECT = "reject"
    """Instances are not served: a rejection note came (IHE RAD, IOCM), or somebody said so."""


OF_A_CONTENT = frozenset({Kind.KEEP, Kind.REPLACE, Kind.LEAVE})


@dataclass(frozen=True, slots=True)
class Said:
    """What a statement says; what its kind does not need is empty.

    to_study    where what it moves goes
    series      whole series that a split moves
    instances   SOP Instance UIDs: those that a split moves, a rejection hides, or whose other content is decided on
    sha256      of that other content, in hex
    attributes  by their names in the index; an empty text takes the attribute away
    renumber    what it changes gets SOP Instance UIDs of its own, because others were told to forget the ones it has
    code        of a rejection
    note        SOP Instance UID of the rejection note that said it, as it came
    order       the ServiceRequest that a study was assigned to
    """

    to_study: str = ""
    series: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()
    sha256: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    renumber: bool = False
    code: str = ""
    note: str = ""
    order: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that takes effect.

    study_uid  the study as it was served when this was said
    undone     it was taken back, but others had what was served by then and are told to forget its numbers: new ones
               are all that stays of it
    instances  those that it names; a rejection may name a hundred thousand, and each object is looked up among them
    """

    id: int
    kind: Kind
    study_uid: str
    said: Said
    undone: bool = False
    instances: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "instances", frozenset(self.said.instances))


@dataclass(frozen=True, slots=True)
class Sent:
    """What of an object statements look at: what it says itself."""

    sop_uid: str
    study_uid: str
    series_uid: str
    sha256: bytes
    conflict: bool


@dataclass(frozen=True, slots=True)
class Served:
    """What is served of it.

    hidden      why it is not served; empty when it is
    attributes  those that are served otherwise than it says them itself
    """

    sop_uid: str
    study_uid: str
    series_uid: str
    conflict: bool
    hidden: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_shown(self) -> bool:
        """What is neither hidden nor the other content of another object."""
        return not self.hidden and not self.conflict


def served(sent: Sent, statements: Iterable[Statement]) -> Served:
    """What is served of an object; `statements` in the order in which they were made."""
    now = Served(sent.sop_uid, sent.study_uid, sent.series_uid, sent.conflict)
    for statement in statements:
        if now.hidden:
            return now
        now = _after(statement, sent, now)
    return now


def standing(statement: Statement) -> Statement:
    """The statement as it was before it was taken back."""
    return replace(statement, undone=False)


def studies_of(kind: Kind, study_uid: str, said: Said, others: Iterable[str] = ()) -> list[str]:
    """Every study that a statement touches."""
    touched = {study_uid, *others}
    if kind in (Kind.SPLIT, Kind.MERGE):
        touched.add(said.to_study)
    return sorted(touched)


def note_uid(number: int, *, undone: bool = False) -> str:
    """The SOP Instance UID of the rejection note that tells others of a statement, or that it was taken back."""
    return derived_uid("note", str(number), "undone" if undone else "")


def derived_uid(*parts: str) -> str:
    """A UID that is the same for the same parts (DICOM PS3.5 §B.2: `2.25.` and a UUID as a number)."""
    digest = sha256("\0".join(("hutong", *parts)).encode()).digest()[:16]
    return f"2.25.{UUID(bytes=digest, version=5).int}"


def location_of(location: str, changes: Mapping[str, str], charset: str, read_as: str = "") -> str:
    """Where an object is found that is served otherwise than it lies under its key: key and changes in one word.

    read_as  the codec of its bytes, where its label is wrong and it is served in Unicode; what the location says of
             that already stays
    """
    key, read_as = as_sent(location), read_as or read_as_in(location)
    if not changes and not read_as:
        return key
    told: dict[str, Any] = {"changes": dict(changes), "charset": charset}
    if read_as:
        told["read_as"] = read_as
    word = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    return f"{key}{KEY_END}{base64.urlsafe_b64encode(word.encode()).decode()}"


def as_sent(location: str) -> str:
    """The key under which an object lies as it was sent."""
    return location.partition(KEY_END)[0]


def read_as_in(location: str) -> str:
    """The codec that the text of an object is to be read with, where its label is wrong; else empty."""
    word = location.partition(KEY_END)[2]
    read_as: str = json.loads(base64.urlsafe_b64decode(word)).get("read_as", "") if word else ""
    return read_as


def changes_in(location: str) -> tuple[str, dict[str, str], str]:
    """The key of an object, what is served otherwise of it by names of the index, and the codec of its text."""
    key, restated, word = location.partition(KEY_END)
    if not restated:
        return key, {}, ""
    told = json.loads(base64.urlsafe_b64decode(word))
    return key, told["changes"], told["charset"]


def is_restated(location: str) -> bool:
    """Whether something is served otherwise of the object than it lies there."""
    return KEY_END in location


def edition(location: str) -> bytes:
    """Tells what is served of an object from what was served before; empty for an object as it was sent."""
    return location.partition(KEY_END)[2].encode()


def charset_after(charset: Mapping[str, Any], attributes: Mapping[str, str]) -> dict[str, Any]:
    """What the text of an object is in once it says these attributes.

    One that its own character set cannot hold is served in Unicode, the rest of its text with it. Sets that switch to
    those of Japan and Korea stay: text in them is not read by one codec.
    """
    declared, used = charset.get("declared") or "", charset.get("used") or ASCII
    if all(value.isascii() for value in attributes.values()):
        return dict(charset)
    switches = "\\" in declared
    stays = used not in (ASCII, GB18030, LATIN_1) if switches else declared and _holds(used, attributes.values())
    return dict(charset) if stays else {**charset, "declared": "ISO_IR 192", "used": UTF_8}


def _holds(codec: str, values: Iterable[str]) -> bool:
    try:
        "".join(values).encode(codec)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def as_json(said: Said) -> str:
    """What is kept of it; empty parts are left out."""
    return json.dumps({name: value for name, value in asdict(said).items() if value}, ensure_ascii=False)


def read(text: str) -> Said:
    told = json.loads(text)
    for name in ("series", "instances"):
        told[name] = tuple(told.get(name, ()))
    return Said(**told)


def _after(statement: Statement, sent: Sent, now: Served) -> Served:
    said = statement.said
    tells = said.renumber or statement.undone
    if tells and sent.sop_uid in (note_uid(statement.id), note_uid(statement.id, undone=True)):
        return replace(now, hidden=REJECTION_NOTE)
    if statement.kind in OF_A_CONTENT:
        return _content_chosen(statement, sent, now) if sent.sop_uid in statement.instances else now
    if statement.kind is Kind.REJECT:
        named = now.sop_uid in statement.instances or (not sent.conflict and sent.sop_uid in statement.instances)
        if not named:
            return now
        return _renumbered(statement, now) if statement.undone else replace(now, hidden=said.code)
    if now.study_uid != statement.study_uid:
        return now
    if statement.kind is Kind.SPLIT and not (now.series_uid in said.series or now.sop_uid in statement.instances):
        return now
    if statement.undone:
        return _renumbered(statement, now)
    if statement.kind is not Kind.ASSIGN:
        whole = statement.kind is Kind.MERGE or now.series_uid in said.series
        series = now.series_uid if whole else derived_uid("series", said.to_study, now.series_uid)
        now = replace(now, study_uid=said.to_study, series_uid=series)
    return replace(_renumbered(statement, now), attributes={**now.attributes, **said.attributes})


def _renumbered(statement: Statement, now: Served) -> Served:
    """Whoever was told to forget a number is to hear of no other under it; what was undone was told of, if at all."""
    if not (statement.said.renumber or statement.undone):
        return now
    as_it_was = "undone" if statement.undone else ""
    return replace(now, sop_uid=derived_uid("instance", str(statement.id), as_it_was, now.sop_uid))


def _content_chosen(statement: Statement, sent: Sent, now: Served) -> Served:
    """The other content is the one that the statement names; what is there under the UID besides it is the first."""
    is_other = sent.sha256.hex() == statement.said.sha256
    if statement.undone:
        comes_back = statement.kind is Kind.REPLACE and not is_other and not now.conflict
        return _renumbered(statement, now) if comes_back else now
    if statement.kind is Kind.REPLACE and is_other:
        return replace(_renumbered(statement, now), conflict=False)
    if statement.kind is Kind.REPLACE:
        return now if now.conflict else replace(now, hidden=OTHER_CONTENT)
    if not is_other:
        return now
    if statement.kind is Kind.LEAVE:
        return replace(now, hidden=OTHER_CONTENT)
    return replace(now, conflict=False, sop_uid=derived_uid("content", sent.sop_uid, statement.said.sha256))


def changes(sent: Sent, now: Served, tags: Mapping[str, str]) -> dict[str, str]:
    """What is served otherwise than the object says it, by the names of the index."""
    uids = {
        name: getattr(now, name)
        for name in ("sop_uid", "study_uid", "series_uid")
        if getattr(now, name) != getattr(sent, name)
    }
    return uids | {name: value for name, value in now.attributes.items() if value != tags.get(name, "")}


def tags_after(tags: Mapping[str, str], attributes: Mapping[str, str]) -> dict[str, str]:
    """The attributes of the index with those that are served otherwise; empty ones are left out."""
    return {name: value for name, value in {**tags, **attributes}.items() if value}
