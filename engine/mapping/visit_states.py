"""Which states of a visit does a message only assume? Those that neither its event nor its fields state."""

from __future__ import annotations

from enum import StrEnum


class Assumed(StrEnum):
    """Encounter.status of a message that does not say how the visit stands: FHIR asks for one all the same.

    It holds until the record knows better: it opens no visit that has ended.
    """

    PLANNED = "planned"
    ARRIVED = "arrived"
    IN_PROGRESS = "in-progress"
    ONLEAVE = "onleave"
    UNKNOWN = "unknown"


ASSUMED = {each.value: each for each in Assumed}
"""By code; a visit that has ended or was called off is never so by assumption."""
