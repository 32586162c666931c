"""What is a performed step by now? Everything that was said of it, as one data set, for whoever asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from pacs_gateway.charset import UNICODE, decode
from pacs_gateway.normalized import raw
from pacs_gateway.query.identifier import UNREADABLE

_CHARACTER_SET = 0x00080005
_TEXTS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_SAID_ONCE = frozenset(
    tag_for_keyword(keyword)
    for keyword in (
        "ScheduledStepAttributesSequence", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate",
        "PatientSex", "PerformedProcedureStepID", "PerformedStationAETitle", "PerformedProcedureStepStartDate",
        "PerformedProcedureStepStartTime", "Modality",
    )
)  # fmt: skip
"""What an N-SET does not change: the step is of whom and when it was created."""
_ALWAYS = frozenset(
    tag_for_keyword(keyword)
    for keyword in (
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "ReferencedPatientSequence",
        "PerformedStationName", "PerformedLocation", "PerformedProcedureStepDescription",
        "PerformedProcedureTypeDescription", "ProcedureCodeSequence", "PerformedProcedureStepEndDate",
        "PerformedProcedureStepEndTime", "StudyID", "PerformedProtocolCodeSequence", "PerformedSeriesSequence",
    )
)  # fmt: skip
"""What a step has even where nobody has said it yet: empty."""


def recounted(known: Dataset | None, said: Dataset) -> Dataset:
    """The step after one more message; its text is in Unicode. What cannot be read is left out. Blocking."""
    step = Dataset() if known is None else known
    step.SpecificCharacterSet = UNICODE
    for element in _in_unicode(said, raw(said, "SpecificCharacterSet")):
        if known is None or element.tag not in _SAID_ONCE:
            step[element.tag] = element
    return step


def asked_for(step: Dataset, tags: Sequence[int]) -> tuple[Dataset, list[int], list[int]]:
    """What was asked for of a step: all of it without tags. Beside it the tags that the step has not, and those that
    are of no attribute at all.

    Only whole sequences can be asked for (PS3.4 F.8.2). Text beyond ASCII brings its label with it.
    """
    if not tags:
        return step, [], []
    answer = Dataset()
    missing: list[int] = []
    unknown: list[int] = []
    for tag in dict.fromkeys(tags):
        if tag in step:
            answer[tag] = step[tag]
        elif tag in _ALWAYS:
            answer[tag] = DataElement(tag, dictionary_VR(tag), Items() if dictionary_VR(tag) == "SQ" else "")
        elif dictionary_has_tag(tag) and tag >> 16 > 0x0002:
            missing.append(tag)
        else:
            unknown.append(tag)
    if _CHARACTER_SET not in answer and not all(_is_ascii(element) for element in answer):
        answer.SpecificCharacterSet = UNICODE
    return answer, missing, unknown


def _in_unicode(dataset: Dataset, label: bytes) -> Iterator[DataElement]:
    """Its readable elements; texts decoded together, because many betray a wrong label where one would not."""
    values = {f"{tag:08X}": value for tag, value in _texts(dataset)}
    texts = decode(label, values).texts if values else {}
    for tag in dataset.keys():  # noqa: SIM118 - to iterate over the data set itself would decode its texts
        if tag == _CHARACTER_SET or not tag & 0xFFFF:
            continue
        try:
            yield _read(dataset, int(tag), texts.get(f"{tag:08X}"), label)
        except UNREADABLE:
            continue  # the rest of the step is worth more than none of it


def _read(dataset: Dataset, tag: int, text: str | None, label: bytes) -> DataElement:
    if text is not None:
        return DataElement(tag, _vr(dataset, tag), text)
    element = dataset[tag]
    if element.VR == "SQ":
        return DataElement(tag, "SQ", Items(_item(item, label) for item in element.value))
    return element


def _item(item: Dataset, label: bytes) -> Dataset:
    written = Dataset()
    for element in _in_unicode(item, raw(item, "SpecificCharacterSet") or label):
        written[element.tag] = element
    return written


def _texts(dataset: Dataset) -> Iterable[tuple[int, bytes]]:
    for tag in dataset.keys():  # noqa: SIM118 - as above
        found = dataset.get_item(tag)
        if _vr(dataset, int(tag)) in _TEXTS and isinstance(found.value, bytes):
            yield int(tag), found.value


def _vr(dataset: Dataset, tag: int) -> str:
    return dataset.get_item(tag).VR or (dictionary_VR(tag) if dictionary_has_tag(tag) else "UN")


def _is_ascii(element: DataElement) -> bool:
    if element.VR == "SQ":
        return all(_is_ascii(one) for item in element.value for one in item)
    return str(element.value).isascii()
