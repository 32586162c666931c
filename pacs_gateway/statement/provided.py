"""Which SOP classes does a channel provide, and in which role does it hear of them? A test holds it to the gateway."""

from __future__ import annotations

from dataclasses import dataclass

from pacs_gateway.committing import COMMITMENT
from pacs_gateway.query.models import PATIENT_ROOT, STUDY_ROOT
from pacs_gateway.scp.availability import AVAILABILITY
from pacs_gateway.scp.echo import VERIFICATION
from pacs_gateway.scp.mpps import PERFORMED_STEP
from pacs_gateway.scp.mpps_get import PERFORMED_STEP_RETRIEVE
from pacs_gateway.scp.worklist import MODALITY_WORKLIST_FIND
from pacs_gateway.storage_classes import STORAGE_CLASSES
from pacs_gateway.transfer_syntaxes import TRANSFER_SYNTAXES, UNCOMPRESSED


@dataclass(frozen=True, slots=True)
class Class:
    """`syntaxes` are transfer syntaxes by UID; `requests` what is answered."""

    service: str
    name: str
    uid: str
    requests: str
    syntaxes: tuple[str, ...]


def _query(name: str, uid: str, request: str) -> Class:
    return Class("Query/Retrieve", f"{name} - {request.removeprefix('C-')}", uid, request, UNCOMPRESSED)


SERVICES: tuple[Class, ...] = (
    Class("Verification", "Verification", VERIFICATION, "C-ECHO", UNCOMPRESSED),
    *(
        _query(f"{name} Root Query/Retrieve Information Model", uid, request)
        for name, root in (("Patient", PATIENT_ROOT), ("Study", STUDY_ROOT))
        for uid, request in ((root.find, "C-FIND"), (root.move, "C-MOVE"), (root.get, "C-GET"))
    ),
    Class(
        "Basic Worklist Management",
        "Modality Worklist Information Model - FIND",
        MODALITY_WORKLIST_FIND,
        "C-FIND",
        UNCOMPRESSED,
    ),
    Class(
        "Modality Performed Procedure Step",
        "Modality Performed Procedure Step",
        PERFORMED_STEP,
        "N-CREATE, N-SET",
        UNCOMPRESSED,
    ),
    Class(
        "Modality Performed Procedure Step",
        "Modality Performed Procedure Step Retrieve",
        PERFORMED_STEP_RETRIEVE,
        "N-GET",
        UNCOMPRESSED,
    ),
    Class("Storage Commitment", "Storage Commitment Push Model", COMMITMENT, "N-ACTION, N-EVENT-REPORT", UNCOMPRESSED),
    Class("Instance Availability", "Instance Availability Notification", AVAILABILITY, "N-CREATE", UNCOMPRESSED),
)
STORAGE: tuple[Class, ...] = tuple(
    Class("Storage", f"{name} Storage", uid, "C-STORE", tuple(TRANSFER_SYNTAXES))
    for uid, name in STORAGE_CLASSES.items()
)
