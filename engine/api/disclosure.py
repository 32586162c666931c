"""Who was told about whom? The audit rows of reading, committed before the answer leaves."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from engine.api.caller import Caller
from engine.store import audit
from engine.store.database import Connection
from engine.store.reading import Text

Detail = dict[str, str | int | bool | None]
"""What an audit row tells besides who, what and whose: names and numbers, never values of a patient."""

PERSONAL = frozenset(
    {"Patient", "ServiceRequest", "ImagingStudy", "DiagnosticReport", "Observation", "Task", "Encounter", "Specimen"}
)
"""Types that tell about a patient; an Organization or a Practitioner does not."""


async def of_resources(
    connection: Connection,
    caller: Caller,
    action: str,
    resource_type: str,
    told: Iterable[Text],
    at: datetime,
    detail: Detail,
) -> None:
    """One row for each person in the answer, or one for the type when it tells of nobody."""
    if resource_type not in PERSONAL:
        return
    people = dict.fromkeys(text.person or text.reference for text in told) or {resource_type: None}
    await audit.write(
        connection,
        [audit.Audited(caller.name, action, subject, {"type": resource_type, **detail}) for subject in people],
        at,
    )
