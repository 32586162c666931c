"""MPPS data sets say what they say, and later ones change what may change."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydicom.dataset import Dataset

from engine.errors import ParseError
from engine.steps import Code, Scheduled, linked, numbers_of
from engine.store.worklist import Step
from pacs_gateway.performed import changed, created
from pacs_gateway.query.identifier import decoded, encoded
from pacs_gateway.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from tests.integration.gateway.performing import begun, code, ended, scheduled


def wire(dataset: Dataset, transfer_syntax: str = IMPLICIT_VR_LITTLE_ENDIAN) -> Dataset:
    return decoded(encoded(dataset, transfer_syntax), transfer_syntax)


def order(number: int = 1, **changes: Any) -> Step:
    values: dict[str, Any] = dict.fromkeys(Step.__dataclass_fields__, "")
    values |= {"service_request": f"sr{number}", "facility": "baishi", "accession": f"A000{number}",
               "study_uid": f"1.2.3.{number}", "patient_id": "P0001", "birth_on": None,
               "scheduled_at": datetime(2026, 1, 2, tzinfo=UTC), "state": "scheduled"}  # fmt: skip
    return Step(**(values | changes))


@pytest.mark.parametrize("transfer_syntax", [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN])
def test_a_creation_says_who_what_and_when(transfer_syntax: str) -> None:
    step = created(wire(begun(), transfer_syntax), "1.2.3.5", "baishi").step
    assert (step.uid, step.facility, step.state) == ("1.2.3.5", "baishi", "IN PROGRESS")
    assert step.scheduled == [Scheduled("1.2.3.1", "A0001", "A0001", "A0001")]
    assert (step.patient_id, step.patient_name, step.sex) == ("P0001", "ZHANG^ZHIHONG=张智宏", "M")
    assert (step.modality, step.description) == ("DX", "胸部正位")
    assert step.started == "2026-01-02T10:15:00+08:00"
    assert step.findings == []


def test_what_may_not_be_set_again_stays_and_another_patient_is_told() -> None:
    step = created(wire(begun()), "1.2.3.5", "baishi").step
    later = ended(PatientID="P0007", Modality="CT", PerformedProcedureStepID="X", PatientName="LI^SI")
    told = changed(step, wire(later)).step
    assert (told.patient_id, told.modality, told.step_id) == ("P0001", "DX", "PPS1")
    assert told.started == step.started
    assert told.ended == "2026-01-02T10:19:00+08:00"
    assert [found.code for found in told.findings] == ["step-patient-changed"]


def test_what_a_change_leaves_out_stays() -> None:
    step = changed(created(wire(begun()), "1.2.3.5", "baishi").step, wire(ended("IN PROGRESS"))).step
    end = Dataset()
    end.PerformedProcedureStepStatus = "COMPLETED"
    told = changed(step, wire(end))
    assert told.referenced is None
    assert (told.step.state, told.step.instances, told.step.description) == ("COMPLETED", 2, "胸部正位")


def test_objects_are_named_once_whatever_sequence_names_them() -> None:
    step = created(wire(begun()), "1.2.3.5", "baishi").step
    last = ended(objects=("1.2.3.9.1", "1.2.3.9.1", "1.2.3.9.2"))
    series = last.PerformedSeriesSequence[0]
    series.ReferencedNonImageCompositeSOPInstanceSequence = (
        ended(objects=("1.2.3.9.3",)).PerformedSeriesSequence[0].ReferencedImageSequence
    )
    told = changed(step, wire(last))
    assert told.referenced is not None
    assert [one.sop_uid for one in told.referenced] == ["1.2.3.9.1", "1.2.3.9.2", "1.2.3.9.3"]
    assert [(one.uid, one.protocol, one.instances) for one in told.step.series] == [("1.2.3.9", "CHEST PA", 3)]


def test_a_step_that_is_completed_without_objects_or_of_the_wrong_entry_is_told() -> None:
    step = created(wire(begun()), "1.2.3.5", "baishi").step
    assert [f.code for f in changed(step, wire(ended(objects=()))).step.findings] == ["step-without-objects"]
    wrong = ended("DISCONTINUED", (), PerformedProcedureStepDiscontinuationReasonCodeSequence=code("110514", "Wrong"))
    told = changed(step, wire(wrong)).step
    assert told.reason == Code("110514", "DCM", "Wrong")
    assert [found.code for found in told.findings] == ["step-of-wrong-entry"]


LINKED: list[tuple[str, list[Dataset], dict[str, Any], list[str], list[str]]] = [
    ("accession and study", [scheduled()], {}, ["sr1"], []),
    ("accession alone", [scheduled("A0001", "1.9.9")], {}, ["sr1"], []),
    ("study alone", [scheduled("", "1.2.3.2")], {}, ["sr2"], []),
    ("two orders", [scheduled(), scheduled("A0002", "1.2.3.2")], {}, ["sr1", "sr2"], []),
    ("one order twice", [scheduled(), scheduled()], {}, ["sr1"], []),
    ("another patient", [scheduled()], {"PatientID": "P0007"}, [], ["step-patient-conflict"]),
    ("no patient", [scheduled()], {"PatientID": ""}, [], ["step-patient-conflict"]),
    ("another issuer", [scheduled()], {"IssuerOfPatientID": "OTHER"}, ["sr1"], []),
    ("numbers of two orders", [scheduled("A0001", "1.2.3.2")], {}, [], ["step-numbers-disagree"]),
    ("numbers of nobody", [scheduled("A0404", "1.9.9")], {}, [], ["step-without-order"]),
]


@pytest.mark.parametrize(
    ("items", "changes", "orders", "found"), [row[1:] for row in LINKED], ids=[r[0] for r in LINKED]
)
def test_a_step_performs_the_orders_that_its_numbers_and_its_patient_name(
    items: list[Dataset], changes: dict[str, Any], orders: list[str], found: list[str]
) -> None:
    step = linked(created(wire(begun(*items, **changes)), "1.2.3.5", "baishi").step, [order(1), order(2)])
    assert step.orders == orders
    assert [one.code for one in step.findings] == found


def test_its_numbers_are_looked_for_where_the_worklist_put_them() -> None:
    item = scheduled("", "1.2.3.1")
    item.ScheduledProcedureStepID = "A0001"
    assert numbers_of(created(wire(begun(item)), "1.2.3.5", "baishi").step) == (["A0001"], ["1.2.3.1"])


def test_a_sequence_that_is_text_is_refused() -> None:
    broken = begun()
    del broken.PerformedSeriesSequence
    broken.add_new(0x00400340, "LO", "no sequence")
    with pytest.raises(ParseError) as raised:
        created(wire(broken, EXPLICIT_VR_LITTLE_ENDIAN), "1.2.3.5", "baishi")
    assert raised.value.code == "attribute-invalid"
