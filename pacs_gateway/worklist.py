"""What does a modality want from its worklist, and what is it told? C-FIND identifiers to queries, steps to answers.

The worklist information model of PS3.4 annex K. Only attributes that were asked for are returned.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, time
from typing import TypeAlias, TypeVar

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as Items

from engine.clock import CHINA
from engine.codecs.text import codec_of
from engine.errors import ParseError
from engine.store.imaging import StepQuery
from engine.store.worklist import Step
from pacs_gateway.query.values import items_of, texts_of

UNICODE = "ISO_IR 192"
CHINESE = "GB18030"
_LABELS = {"utf-8": UNICODE, "gb18030": CHINESE}

_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_TIME = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?)?")
SPECIFIC_CHARACTER_SET = 0x00080005
_NOT_IN_A_NAME = re.compile(r"[\\=\x00-\x1f\x7f]")
_SEPARATES_COMPONENTS = re.compile(r"[\^ ]")
_T = TypeVar("_T", date, time)

Said: TypeAlias = "str | tuple[Mapping[str, Said], ...]"
"""A text, or the items of a sequence by keyword."""


def charset_of(identifier: Dataset) -> str:
    """The charset to answer in when it is asked for one that holds Chinese; else empty, and the answer is in pinyin.

    A label of code extensions (`\\ISO 2022 IR 58`) is answered in pinyin: few worklists that ask for it can show it.
    """
    labels = _text(identifier, "SpecificCharacterSet").split("\\")
    if any(label.upper().startswith("ISO 2022") for label in labels):
        return ""
    return next((_LABELS[codec] for label in labels if (codec := codec_of(label)) in _LABELS), "")


def query_of(identifier: Dataset) -> StepQuery:
    """The matching keys of a query, its text read as it must have been meant.

    Raises ParseError `query-malformed` for what cannot be read, and for a date or time that is none.
    """
    asked = _Keys(texts_of(identifier))
    step = _Keys(next(iter(items_of(identifier, "ScheduledProcedureStepSequence")), {}))
    procedure = _Keys(next(iter(items_of(identifier, "RequestedProcedureCodeSequence")), {}))
    from_on, to_on = _range(step.text("ScheduledProcedureStepStartDate"), _date)
    from_at, to_at = _range(step.text("ScheduledProcedureStepStartTime"), _time)
    numbers = asked.text("AccessionNumber"), asked.text("RequestedProcedureID"), step.text("ScheduledProcedureStepID")
    return StepQuery(
        patient_name=_name_pattern(asked.text("PatientName")),
        patient_id=asked.text("PatientID"),
        numbers=tuple(number for number in numbers if number),
        study_uids=tuple(uid for uid in asked.text("StudyInstanceUID").split("\\") if uid),
        modality=step.text("Modality"),
        station_ae=step.text("ScheduledStationAETitle"),
        physician=_name_pattern(step.text("ScheduledPerformingPhysicianName")),
        procedure_code=procedure.text("CodeValue"),
        from_on=from_on,
        to_on=to_on,
        from_at=from_at,
        to_at=to_at.replace(microsecond=999_999) if to_at else None,
    )


@dataclass(frozen=True, slots=True)
class _Keys:
    texts: Mapping[int, str]

    def text(self, keyword: str) -> str:
        """Empty where the key is absent."""
        tag = tag_for_keyword(keyword)
        assert tag is not None, keyword
        return self.texts.get(tag, "")


def answer(identifier: Dataset, step: Step, calling_ae: str) -> Dataset:
    """One match: the attributes that the identifier asks for, in the charset it asks for."""
    charset = charset_of(identifier)
    known = _data_set(said_of(step, calling_ae, charset))
    asked = _only_asked(identifier, known)
    if charset:
        asked.SpecificCharacterSet = charset
    return asked


def _only_asked(identifier: Dataset, known: Dataset) -> Dataset:
    """Every key comes back, also those that were matched (PS3.4 K.2.2.1.2); empty where nothing is known."""
    asked = Dataset()
    for element in identifier:
        if element.tag == SPECIFIC_CHARACTER_SET or element.tag.element == 0:
            continue
        if element.tag not in known:
            asked.add(DataElement(element.tag, element.VR, Items() if element.VR == "SQ" else None))
        elif element.VR == "SQ" and element.value and len(element.value[0]):
            items = [_only_asked(element.value[0], item) for item in known[element.tag].value]
            asked.add(DataElement(element.tag, "SQ", Items(items)))
        else:
            asked.add(known[element.tag])
    return asked


def said_of(step: Step, calling_ae: str, charset: str) -> dict[str, Said]:
    """Everything that is known of a step, by keyword. `charset` is empty where no Chinese can be shown."""
    scheduled = step.scheduled_at.astimezone(CHINA)
    text = step.procedure_text if charset else _ascii(step.procedure_text) or step.procedure_code
    item: dict[str, Said] = {
        "ScheduledStationAETitle": step.station_ae or calling_ae,
        "ScheduledProcedureStepStartDate": scheduled.strftime("%Y%m%d"),
        "ScheduledProcedureStepStartTime": scheduled.strftime("%H%M%S"),
        "Modality": step.modality,
        "ScheduledProcedureStepDescription": _limited(text, 64),
        "ScheduledProcedureStepID": step.accession,
        "ScheduledProcedureStepStatus": "SCHEDULED",
        "ScheduledPerformingPhysicianName": "",
        "ScheduledStationName": "",
        "ScheduledProcedureStepLocation": "",
        "ScheduledProtocolCodeSequence": _codes(step, text),
    }
    return {
        "ScheduledProcedureStepSequence": (item,),
        "AccessionNumber": step.accession,
        "StudyInstanceUID": step.study_uid,
        "RequestedProcedureID": step.accession,
        "RequestedProcedureDescription": _limited(text, 64),
        "RequestedProcedureCodeSequence": _codes(step, text),
        "PlacerOrderNumberImagingServiceRequest": _limited(step.placer, 64),
        "RequestingPhysician": _person(step.requested_by, "", charset),
        "PatientName": _person(step.patient_name, step.patient_name_latin, charset),
        "PatientID": _limited(step.patient_id, 64),
        "IssuerOfPatientID": _limited(step.issuer if charset else _ascii(step.issuer), 64),
        "PatientBirthDate": step.birth_on.strftime("%Y%m%d") if step.birth_on else "",
        "PatientSex": step.sex,
        "BodyPartExamined": _limited(_ascii(step.body_part), 16),
    }


def _data_set(said: Mapping[str, Said]) -> Dataset:
    dataset = Dataset()
    for keyword, value in said.items():
        setattr(dataset, keyword, value if isinstance(value, str) else Items(_data_set(item) for item in value))
    return dataset


def _codes(step: Step, text: str) -> tuple[dict[str, Said], ...]:
    if not step.procedure_code:
        return ()
    return (
        {
            "CodeValue": _limited(_ascii(step.procedure_code), 16),
            "CodingSchemeDesignator": "99LOCAL",
            "CodeMeaning": _limited(text or step.procedure_code, 64),
        },
    )


def _person(name: str, latin: str, charset: str) -> str:
    """A PN: letters in the first group, characters in the second (PS3.5 annex J); pinyin alone where the charset
    holds no Chinese."""
    name, latin = _NOT_IN_A_NAME.sub(" ", name).strip(), _NOT_IN_A_NAME.sub(" ", latin).strip()
    if not charset:
        return _ascii(latin or name).strip()
    if name.isascii():
        return name or latin
    return f"{latin}={name}"


def _name_pattern(value: str) -> str:
    """The first filled group of a queried name; a caret matches a blank and the other way round."""
    group = next((group for group in value.split("=") if group), "")
    return _SEPARATES_COMPONENTS.sub("?", group.rstrip("^ "))


def _ascii(value: str) -> str:
    return value.encode("ascii", "ignore").decode()


def _limited(value: str, characters: int) -> str:
    return value.replace("\\", "/")[:characters]


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    if value is None:
        return ""
    if isinstance(value, MultiValue):
        return "\\".join(str(part) for part in value)
    return str(value).strip(" \0")


def _range(value: str, parse: Callable[[str], _T]) -> tuple[_T | None, _T | None]:
    """Range matching: `a-b`, `a-`, `-b`, or one value, which is its own range."""
    if not value or value == "*":
        return None, None
    first, dash, last = value.partition("-")
    if not dash:
        return parse(first), parse(first)
    return parse(first) if first else None, parse(last) if last else None


def _date(value: str) -> date:
    match = _DATE.fullmatch(value.strip())
    try:
        if match:
            return date(*(int(part) for part in match.groups()))
    except ValueError:
        pass
    raise ParseError("a date of the query is none", code="query-malformed")


def _time(value: str) -> time:
    match = _TIME.fullmatch(value.strip())
    try:
        if match:
            hour, minute, second, fraction = (part or "0" for part in match.groups())
            return time(int(hour), int(minute), int(second), int(fraction.ljust(6, "0")))
    except ValueError:
        pass
    raise ParseError("a time of the query is none", code="query-malformed")
