"""Messages that nobody here wrote: every one is mapped or held with its reason, and what comes out is valid FHIR."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from engine.codecs import er7, fhir_json
from engine.errors import MappingError
from engine.mapping import Mapped, MappingSet
from engine.mapping.testing import fact_of
from tests.unit.mapping.conftest import CONTEXT

FIXTURES = Path(__file__).parents[2] / "fixtures"
MESSAGES = sorted(FIXTURES.glob("hl7v2/*.hl7")) + sorted(FIXTURES.glob("hl7v2_rules/*.hl7"))


def validate(resource: dict[str, Any]) -> None:
    """Raises when a resource is no FHIR R4B. None stands for a deletion, which no resource of the record holds."""
    said = {name: value for name, value in resource.items() if value is not None}
    get_fhir_model_class(resource["resourceType"]).model_validate(json.loads(fhir_json.dumps(said)))


def mapped(mappings: MappingSet, path: Path) -> Mapped | None:
    message = er7.parse(path.read_bytes())
    mapping = mappings.find(message.message_type, "baishi")
    return mapping.apply(message, CONTEXT) if mapping is not None else None


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_what_comes_out_is_valid_fhir_and_hangs_together(mappings: MappingSet, path: Path) -> None:
    try:
        result = mapped(mappings, path)
    except MappingError as error:
        _say_where(error)
        return
    if result is None:
        return
    made = {f"{resource['resourceType']}/{resource['id']}" for resource in result.resources}
    assert len(made) == len(result.resources)
    for resource in result.resources:
        validate(resource)
    for reference in _references(result.resources):
        # The sender itself is an Organization that its configuration makes.
        assert reference in made or reference.startswith("Organization/")


def _say_where(error: MappingError) -> None:
    assert (bool(error.rule), bool(error.location)) == (True, True)


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        found = {value["reference"]} if isinstance(value.get("reference"), str) else set()
        return found.union(*(_references(each) for each in value.values()))
    if isinstance(value, list):
        return set().union(*(_references(each) for each in value))
    return set()


def test_most_of_these_messages_are_mapped(mappings: MappingSet) -> None:
    held = set()
    for path in MESSAGES:
        try:
            mapped(mappings, path)
        except MappingError as error:
            held.add((path.stem, error.location))
    # An order without any number, and results that nothing names.
    assert held <= {
        ("OML-O21-03", "OBR[1]-2"),
        ("OUL-R22-01", "OBX[3]-3"),
        ("OUL-R22-02", "OBX[3]-3"),
        ("OUL-R23-01", "OBX[3]-3"),
        ("OUL-R24-02", "OBX[2]-3"),
        ("OBX-to-Observation-data-absent-n-value", "OBX-3"),
    }


@pytest.mark.parametrize(
    ("file", "path", "expected"),
    [
        ("ADT-A01-01", "Patient.identifier[0].value", "PATID1234"),
        ("ADT-A01-01", "Patient.name[0].family", "EVERYMAN"),
        ("ADT-A01-01", "Patient.birthDate", "1988-08-18"),
        ("ADT-A01-01", "Patient.address[0].postalCode", "99999"),
        ("ADT04-23", "Patient.name[0].family", "BROS"),
        ("ADT04-23", "Patient.name[0].given[0]", "MARIO"),
        ("ADT04-23", "Patient.gender", "male"),
        ("ADT04-23", "Encounter.class.code", "AMB"),
        ("ADT-A13-01", "Encounter.status", "in-progress"),
        ("LAB-ORU-2", "DiagnosticReport", "2"),
        ("LAB-ORU-2", "Observation", "10"),
        ("LAB-ORU-2", "Observation[5].code.coding[0].code", "20509-6"),
        ("LAB-ORU-2", "Observation[5].valueQuantity.value", "13.4"),
        ("LAB-ORU-2", "Observation[5].valueQuantity.unit", "g/l-1"),
        ("LAB-ORU-2", "Specimen.collection.collectedDateTime", "2014-10-06T05:35:00+07:00"),
        ("ORM-O01-03", "ServiceRequest", "2"),
        ("ORM-O01-03", "ServiceRequest[1].identifier[0].value", "2203"),
        ("ORM-O01-03", "ServiceRequest.code.coding[0].code", "24725-4"),
        ("ORM-O01-03", "ServiceRequest.category[0].coding[0].code", "CT"),
        ("ORM-O01-03", "ServiceRequest[1].category[0].coding[0].code", "MR"),
        ("ORM-O01-02", "ServiceRequest.note[0].text", "CT Scan to be done urgent"),
        ("ORM-O01-02", "ServiceRequest.requester.display", "JONES A ORDPROVIDER"),
        ("SIU-S13-01", "Appointment.status", "booked"),
        ("SIU-S13-01", "Appointment.start", "2021-09-24T09:30:00+02:15"),
        ("SIU-S13-01", "Appointment.identifier[1].value", "36996"),
        ("SIU-S13-01", "Device.deviceName[0].name", "EVIS X12 Video Colonoscope"),
        ("SIU-S16-02", "Appointment.status", "cancelled"),
        ("MDM-T02-01", "DocumentReference.masterIdentifier.value", "1.2.840.317.5947431.51.20080131160038"),
        ("MDM-T02-01", "DocumentReference.type.coding[0].code", "DI"),
        ("REF-I12-01", "ServiceRequest.identifier[0].value", "226839"),
        ("REF-I12-01", "ServiceRequest.occurrencePeriod.end", "2022-02-10"),
        ("REF-I12-01", "Condition.code.coding[0].code", "K63.3"),
        ("RDE-O11-01", "MedicationRequest", "2"),
        ("RDE-O11-01", "MedicationRequest.dispenseRequest.quantity.value", "10"),
        ("RDE-O11-01", "MedicationRequest[1].dosageInstruction[0].timing.repeat.offset", "6"),
        ("RDE-O11-02", "MedicationRequest", "4"),
        ("RDS-O13-01", "MedicationDispense.whenHandedOver", "2020-12-12"),
        ("RDS-O13-01", "MedicationDispense.quantity.value", "10"),
        ("RDS-O13-02", "MedicationDispense", "2"),
        ("DFT-P11-02", "ChargeItem.priceOverride.value", "100"),
        ("VXU", "Immunization", "3"),
        ("VXU", "Immunization.lotNumber", "315841"),
    ],
)
def test_facts_of_the_converter_hold(mappings: MappingSet, file: str, path: str, expected: str) -> None:
    result = mapped(mappings, FIXTURES / "hl7v2" / f"{file}.hl7")
    assert result is not None
    if path == "ServiceRequest.requester.display":
        assert set(fact_of(result.resources, path).split()) == set(expected.split())
    else:
        assert fact_of(result.resources, path) == expected


@pytest.mark.parametrize(
    ("file", "path", "expected"),
    [
        ("dtm-hour-precision-to-date", "Patient.birthDate", "1970-10-31"),
        ("dtm-month-precision-to-date", "Patient.birthDate", "1970-10"),
        ("dtm-day-precision-to-dateTime", "Patient.deceasedDateTime", "2023-11-02"),
        ("dtm-month-precision-to-dateTime", "Patient.deceasedDateTime", "2023-11"),
        ("dtm-hour-precision-to-dateTime", "Patient.deceasedDateTime", "2023-11-02T11:00:00+08:00"),
        ("dtm-mmsec-precision-to-dateTime", "Patient.deceasedDateTime", "2023-11-02T11:04:05.6789+08:00"),
        ("dtm-second-precision-to-instant", "DiagnosticReport.issued", "2023-08-15T03:04:05+08:00"),
        ("dtm-day-precision-to-instant", "DiagnosticReport.issued", "(nothing)"),
        ("dtm-zero-year-to-instant", "DiagnosticReport.issued", "(nothing)"),
        ("OBX-to-Observation-dr-value", "Observation.valuePeriod.start", "2023-05-01T10:25:31-04:00"),
        ("OBX-to-Observation-dt-value", "Observation.valueDateTime", "2023-05-01T10:00:00+08:00"),
        ("OBX-to-Observation-is-value", "Observation.valueCodeableConcept.coding[0].code", "Value"),
        ("OBX-to-Observation-nr-value", "Observation.valueRange.high.value", "10"),
        ("OBX-to-Observation-st-value", "Observation.effectiveDateTime", "2023-05-01T10:25:31-04:00"),
        ("oru_r01-full", "DiagnosticReport", "2"),
        ("oru_r01-full", "Observation", "5"),
    ],
)
def test_facts_of_the_rules_hold(mappings: MappingSet, file: str, path: str, expected: str) -> None:
    result = mapped(mappings, FIXTURES / "hl7v2_rules" / f"{file}.hl7")
    assert result is not None
    assert fact_of(result.resources, path) == expected
