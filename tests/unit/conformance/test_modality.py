"""A simulated modality finds its work and stores what it made, and believes no counterpart blindly."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydicom import dcmread
from pydicom.uid import UID, generate_uid

from conformance.errors import NoAnswerError, UnexpectedAnswerError
from conformance.objects import chest_radiograph, twelve_lead_ecg
from conformance.simulators.dicom_address import DicomAddress
from conformance.simulators.modality import Modality, content_sha256
from engine.clock import CHINA

if TYPE_CHECKING:
    from tests.unit.conformance.conftest import Counterpart

AT = datetime(2026, 3, 2, 9, 30, tzinfo=CHINA)


def modality(port: int, charset: str = "GB18030") -> Modality:
    hub = DicomAddress("127.0.0.1", port, "HUTONG")
    return Modality("DR_BAISHI", hub, station="白石乡卫生院", charset=charset, uids=lambda: UID(generate_uid()))


@pytest.mark.parametrize("charset", ["GB18030", "ISO_IR 192"])
def test_a_worklist_entry_is_read_in_the_charset_asked_for(counterpart: Counterpart, charset: str) -> None:
    (step,) = modality(counterpart.port, charset).worklist("DX", on_date="20260302", patient_id="B0001")
    assert (step.patient_name, step.charset) == ("周珅", charset)
    assert (step.patient_id, step.accession, step.study_uid) == ("B0001", "A1", "1.2.3")
    assert (step.procedure_text, step.modality, step.step_id) == ("胸部正位", "DX", "SP1")
    asked = counterpart.queries[0].ScheduledProcedureStepSequence[0]
    assert asked.ScheduledStationAETitle == "DR_BAISHI"
    assert asked.ScheduledProcedureStepStartDate == "20260302"


@pytest.mark.parametrize("source", [chest_radiograph(), twelve_lead_ecg()], ids=["radiograph", "ecg"])
def test_an_examination_puts_the_patient_on_a_real_object_and_keeps_what_was_recorded(
    counterpart: Counterpart, source: Path
) -> None:
    original = dcmread(source)
    machine = modality(counterpart.port)
    (step,) = machine.worklist("DX")
    stored = machine.store(machine.examine(step, source, AT))
    arrived = counterpart.stored[0]
    assert str(arrived.PatientName) == "周珅"
    assert (arrived.PatientID, arrived.AccessionNumber, arrived.StudyInstanceUID) == ("B0001", "A1", "1.2.3")
    assert arrived.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID
    assert content_sha256(arrived) == content_sha256(original) == stored.content_sha256
    assert arrived.SOPInstanceUID != original.SOPInstanceUID
    assert stored.status == 0


@pytest.mark.parametrize("sent", ["周珅", "周^珅", "Zhou^Shen=周^珅", "Zhou^Shen=周珅=zhou shen", "=周珅"])
def test_a_name_is_shown_as_it_is_written_in_chinese(counterpart: Counterpart, sent: str) -> None:
    counterpart.name = sent
    (step,) = modality(counterpart.port).worklist("DX")
    assert step.name_as_written == "周珅"


def test_nothing_of_the_first_patient_is_left_in_the_object(counterpart: Counterpart) -> None:
    machine = modality(counterpart.port)
    (step,) = machine.worklist("DX")
    made = machine.examine(step, twelve_lead_ecg(), AT)
    text = str(made)
    for word in ("642341", "Anonymous", "13002689", "Galliera", "19710123", "03028041970546", "2013"):
        assert word not in text, word


def test_a_refused_object_is_said_to_be_refused(counterpart: Counterpart) -> None:
    counterpart.status = 0xA700
    machine = modality(counterpart.port)
    (step,) = machine.worklist("DX")
    with pytest.raises(UnexpectedAnswerError, match="0xA700"):
        machine.store(machine.examine(step, twelve_lead_ecg(), AT))


def test_a_hub_that_is_not_there_is_said_not_to_be_there(free_port: int) -> None:
    with pytest.raises(NoAnswerError):
        modality(free_port).echo()
