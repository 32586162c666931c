"""A note can be made of whatever a device has sent, and is read as it was made."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pydicom

from pacs_gateway.rejections.note import Note, Rejected, encoded, note_in

AT = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)


def test_values_that_the_standard_does_not_allow_are_told_as_they_are_known() -> None:
    note = Note("113038", (Rejected("1.2.abc", "1.2.abc.1", "01.02", "1.2.840.10008.5.1.4.1.1.9.1.1"),))
    attributes = {
        "birth_date": "born in spring",
        "study_time": "noon",
        "accession": "A" * 40,
        "patient_name": "石^秀英",
    }
    content = encoded(sop_uid="2.25.1", study_uid="1.2.abc", attributes=attributes, note=note, sender="HUB", at=AT)
    assert content == encoded(
        sop_uid="2.25.1", study_uid="1.2.abc", attributes=attributes, note=note, sender="HUB", at=AT
    )
    told = pydicom.dcmread(io.BytesIO(content), force=True)
    assert note_in(told) == note
    assert (str(told.PatientName), told.AccessionNumber) == ("石^秀英", "A" * 40)
    assert told.ContentSequence[0].ValueType == "WAVEFORM"
