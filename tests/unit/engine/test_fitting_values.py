"""A value that its DICOM attribute cannot hold is refused at the decision."""

from __future__ import annotations

import pytest

from engine.errors import RequestStateError
from engine.recording.fitting import check_fits

FITTING = {
    "accession": "A" * 16,
    "patient_id": "P" * 64,
    "issuer": "",
    "patient_name": f"{'Z' * 64}={'张' * 64}",
    "age": "",
}


def test_what_fits_is_let_through() -> None:
    check_fits(FITTING)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("accession", "A" * 17),
        ("accession", "A1\\A2"),
        ("patient_id", "P" * 65),
        ("patient_id", "P\x1b1"),
        ("issuer", "I" * 65),
        ("patient_name", f"Zhang={'张' * 65}"),
        ("patient_name", "Zhang\\Li"),
    ],
)
def test_what_does_not_is_refused_by_its_name_alone(name: str, value: str) -> None:
    with pytest.raises(RequestStateError) as refused:
        check_fits({**FITTING, name: value})
    assert refused.value.code == "value-unfit"
    assert value not in refused.value.message
