"""A manifest tells everything stored of a study, the same whatever the order of arrival."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from itertools import permutations
from typing import Any

from engine.store.imaging import Instance
from pacs_gateway.manifest import manifest, patient_ids

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CHARSET = {
    "declared": "ISO_IR 100",
    "used": "gb18030",
    "doubtful": False,
    "findings": {"charset-mislabelled": "not what it claims"},
}


def instance(number: int, *, series: str = "1.2.3.1", conflict: bool = False, **tags: str) -> Instance:
    described = {"patient_id": "P1", "patient_name": "张智宏", "accession": "A1", "series_number": "7", **tags}
    return Instance(
        sop_uid=f"1.2.3.{number}.0",
        facility="baishi",
        sha256=sha256(f"{number}{conflict}".encode()).digest(),
        study_uid="1.2.3",
        series_uid=series,
        sop_class="1.2.840.10008.5.1.4.1.1.1",
        transfer_syntax="1.2.840.10008.1.2.1",
        modality="CR",
        number=number,
        bytes=100,
        location=f"baishi/1.2.3/{number}.dcm",
        tags=json.dumps({name: value for name, value in described.items() if value}),
        charset=json.dumps(CHARSET),
        peer="DR_BAISHI@10.0.0.7:1234",
        stored_at=AT,
        conflict=conflict,
    )


def read(instances: list[Instance]) -> dict[str, Any]:
    return json.loads(manifest(instances[0].study_uid, instances[0].facility, instances))  # type: ignore[no-any-return]


def codes(instances: list[Instance]) -> set[str]:
    return {finding["code"] for finding in read(instances)["findings"]}


def test_a_manifest_lists_every_instance_of_every_series() -> None:
    told = read([instance(1), instance(2), instance(3, series="1.2.3.9")])
    assert (told["study_uid"], told["facility"], told["patient_name"], told["accession"]) == (
        "1.2.3",
        "baishi",
        "张智宏",
        "A1",
    )
    assert told["modalities"] == ["CR"]
    assert told["ae_title"] == "DR_BAISHI"
    assert [(series["uid"], len(series["instances"])) for series in told["series"]] == [("1.2.3.1", 2), ("1.2.3.9", 1)]
    assert told["series"][0]["number"] == 7
    first = told["series"][0]["instances"][0]
    assert first["sha256"] == instance(1).sha256.hex()
    assert (first["sop_uid"], first["bytes"], first["frames"]) == ("1.2.3.1.0", 100, 1)


def test_instances_that_agree_give_one_manifest_in_any_order_of_the_study_fields() -> None:
    instances = [instance(1), instance(2), instance(3, description="Chest")]
    told = [read(list(order)) for order in permutations(instances)]
    assert all({**one, "series": 0} == {**told[0], "series": 0} for one in told)


def test_a_repaired_charset_is_told_with_its_evidence() -> None:
    told = read([instance(1)])
    assert told["charset"] == {"declared": "ISO_IR 100", "used": "gb18030", "doubtful": False}
    assert codes([instance(1)]) == {"charset-mislabelled"}


def test_instances_of_two_patients_belong_to_nobody_until_a_person_decides() -> None:
    told = read([instance(1), instance(2), instance(3, patient_id="P2")])
    assert told["patient_id"] == ""
    assert "patient-id-differs" in codes([instance(1), instance(3, patient_id="P2")])
    assert patient_ids([instance(1), instance(3, patient_id="P2")]) == ["P1", "P2"]


def test_instances_of_two_accession_numbers_belong_to_no_order() -> None:
    instances = [instance(1), instance(2, accession="A2")]
    assert read(instances)["accession"] == ""
    assert "accession-differs" in codes(instances)


def test_an_instance_without_a_patient_identifier_does_not_contradict() -> None:
    instances = [instance(1), instance(2, patient_id="")]
    assert read(instances)["patient_id"] == "P1"
    assert "patient-id-differs" not in codes(instances)


def test_conflicting_content_is_found_and_not_listed() -> None:
    told = read([instance(1), instance(1, conflict=True)])
    assert [len(series["instances"]) for series in told["series"]] == [1]
    conflicts = [finding for finding in told["findings"] if finding["code"] == "sop-uid-conflict"]
    assert [finding["location"] for finding in conflicts] == ["Instance/1.2.3.1.0"]


def test_a_finding_names_no_patient() -> None:
    told = read([replace(instance(1), modality=""), instance(2, patient_id="P2", patient_name="李四")])
    assert told["modalities"] == ["CR"]
    for finding in told["findings"]:
        assert "P2" not in finding["text"] + str(finding["location"])
        assert "李四" not in finding["text"]
