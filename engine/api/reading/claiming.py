"""How does a reader take a request, whether in the reading room or as a DICOM worklist's workitem?"""

from __future__ import annotations

from datetime import datetime

from engine.api.reading.desk import Docket
from engine.api.reading.lines import modality_of
from engine.centres import case as cases
from engine.centres import report as reports
from engine.centres.case import Case
from engine.centres.people import Person
from engine.config import Centre
from engine.errors import NotFoundError


def claimed(docket: Docket, person: Person, centre: Centre, at: datetime) -> Case:
    """The case with its reader and a report to write. Raises as `case.claim` does."""
    if not docket.order:
        raise NotFoundError("the order of this request is not recorded")
    study = docket.studies[0] if docket.studies else None
    modality = modality_of(docket.order, docket.studies)
    blank = reports.begin(docket.task.body, docket.order, study, modality, centre)
    return cases.claim(docket.case, blank, person, centre, at)
