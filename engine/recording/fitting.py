"""Does a value fit the attribute of DICOM that a decision puts it into? What does not is refused, never cut."""

from __future__ import annotations

import re
from collections.abc import Mapping

from engine.errors import RequestStateError
from engine.orders import LIMIT_ACCESSION, LIMIT_TEXT

_CHARACTERS = {
    "accession": (LIMIT_ACCESSION, "accession number"),
    "patient_id": (LIMIT_TEXT, "patient number"),
    "issuer": (LIMIT_TEXT, "issuer of the patient number"),
    "patient_name": (LIMIT_TEXT, "patient's name"),
}
"""How long a value may be (PS3.5 §6.2; of a name each of its groups), and what it is called."""
_SEPARATING = re.compile(r"[\\\x00-\x1f\x7f]")
"""What would make several values of one, or no text."""


def check_fits(attributes: Mapping[str, str]) -> None:
    """Raises RequestStateError `value-unfit`, by the name of the value and not by what it is."""
    for name, (most, called) in _CHARACTERS.items():
        value = attributes.get(name, "")
        if any(len(part) > most for part in (value.split("=") if name == "patient_name" else [value])):
            raise RequestStateError(
                f"the {called} is longer than the {most} characters that DICOM allows: correct it where it comes from",
                code="value-unfit",
            )
        if _SEPARATING.search(value):
            raise RequestStateError(
                f"the {called} holds a character that DICOM does not allow: correct it where it comes from",
                code="value-unfit",
            )
