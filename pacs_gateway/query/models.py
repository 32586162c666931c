"""Which information models are there? The roots of PS3.4 C.6, their levels and what each service calls them."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset

from engine.store.imaging_query import LEVELS, Level
from pacs_gateway.query.identifier import malformed
from pacs_gateway.query.values import text_of


@dataclass(frozen=True, slots=True)
class Root:
    """The levels of an information model, the highest first."""

    levels: tuple[Level, ...]
    find: str
    move: str
    get: str


PATIENT_ROOT = Root(LEVELS, "1.2.840.10008.5.1.4.1.2.1.1", "1.2.840.10008.5.1.4.1.2.1.2", "1.2.840.10008.5.1.4.1.2.1.3")
STUDY_ROOT = Root(
    LEVELS[1:], "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.2", "1.2.840.10008.5.1.4.1.2.2.3"
)
ROOTS = (PATIENT_ROOT, STUDY_ROOT)

FIND = {root.find: root for root in ROOTS}
MOVE = {root.move: root for root in ROOTS}
GET = {root.get: root for root in ROOTS}
"""By SOP class."""

UNIQUE_KEYS = {
    Level.PATIENT: "PatientID",
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.IMAGE: "SOPInstanceUID",
}


def level_of(identifier: Dataset, root: Root) -> Level:
    """Raises ParseError `query-malformed` for a level that the model does not have."""
    written = text_of(identifier, "QueryRetrieveLevel").upper()
    level = next((level for level in root.levels if level == written), None)
    if level is None:
        raise malformed("Query/Retrieve Level is none of the model's")
    return level


def check_unique_keys(identifier: Dataset, root: Root, level: Level) -> None:
    """Each level above has its unique key, with one value and no wildcard (PS3.4 C.4.1.2.2.1).

    Raises ParseError `query-malformed`.
    """
    for above in root.levels[: root.levels.index(level)]:
        value = text_of(identifier, UNIQUE_KEYS[above])
        if not value or "\\" in value or (above is not Level.PATIENT and set("*?") & set(value)) or value == "*":
            raise malformed(f"{UNIQUE_KEYS[above]} is needed, with one value")
