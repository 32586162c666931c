"""Which associations are asked for, of whom, with which contexts? Toward endpoints, and entities of a channel."""

from __future__ import annotations

from collections.abc import Iterator

from engine.config import Community, DicomChannel, DicomEndpoint, Retry
from engine.config.entries import AeEntry
from pacs_gateway.committing import COMMITMENT
from pacs_gateway.query.models import PATIENT_ROOT, STUDY_ROOT
from pacs_gateway.scp.availability import AVAILABILITY
from pacs_gateway.scp.echo import VERIFICATION
from pacs_gateway.scp.mpps import PERFORMED_STEP
from pacs_gateway.scp.worklist import MODALITY_WORKLIST_FIND
from pacs_gateway.scu.peer import PLAIN
from pacs_gateway.statement.document import Block, Heading, Paragraph, table
from pacs_gateway.transfer_syntaxes import TRANSFER_SYNTAXES

CALLED_HEADINGS = ("To", "AE title", "Address", "We are", "Services (SCU)", "Pictures are sent", "Security")
PROPOSED_HEADINGS = ("Service", "SOP class", "Requests", "Transfer syntaxes", "Role")
STORAGE = "Storage"
RESULTS = "Storage Commitment Push Model (results)"
_FIND, _MOVE, _GET = "Study Root FIND", "Study Root MOVE", "Study Root GET"
_PATIENTS = "Patient Root FIND"
_STEPS, _AVAILABLE = "Modality Performed Procedure Step", "Instance Availability Notification"
_ECHO, _WORKLIST = "Verification", "Modality Worklist FIND"
_COMMITS = "Storage Commitment Push Model"
_AS_STORED = "as-stored"
_PLAIN = " and ".join(TRANSFER_SYNTAXES[uid] for uid in PLAIN)


def calling(community: Community) -> Iterator[Block]:
    yield Heading(2, "4 Associations that are initiated")
    yield table(CALLED_HEADINGS, [*_endpoints(community), *_entities(community)])
    yield Paragraph(
        "The entries of 2.2 with a port are called for the sub-operations of a C-MOVE that names them, and for results "
        "of storage commitment that cannot be told over the association of the request; where Study Root FIND stands, "
        "also to ask what they have of a study that they sent. What fails within a C-MOVE is counted and named "
        f"there. Results and notices are tried again, after {Retry().first_secs:g} to {Retry().max_secs:g} s to "
        "entries, and to others as is configured for each."
    )
    yield table(
        PROPOSED_HEADINGS,
        [
            (STORAGE, "of the object", "C-STORE", f"as stored, alone; beside it {_PLAIN}", "SCU"),
            (_ECHO, VERIFICATION, "C-ECHO", _PLAIN, "SCU"),
            (_FIND, STUDY_ROOT.find, "C-FIND", _PLAIN, "SCU"),
            (_PATIENTS, PATIENT_ROOT.find, "C-FIND", _PLAIN, "SCU"),
            (_WORKLIST, MODALITY_WORKLIST_FIND, "C-FIND", _PLAIN, "SCU"),
            (_MOVE, STUDY_ROOT.move, "C-MOVE", _PLAIN, "SCU"),
            (_GET, STUDY_ROOT.get, "C-GET", f"{_PLAIN}; of storage classes also the compressed", "SCU; SCP of storage"),
            (_STEPS, PERFORMED_STEP, "N-CREATE, N-SET", f"as it came; {_PLAIN}", "SCU"),
            (_AVAILABLE, AVAILABILITY, "N-CREATE", _PLAIN, "SCU"),
            (_COMMITS, COMMITMENT, "N-ACTION", _PLAIN, "SCU"),
            (RESULTS, COMMITMENT, "N-EVENT-REPORT", _PLAIN, "SCP"),
        ],
    )
    yield Paragraph(
        "Objects are proposed with the class and transfer syntax that they have and with the uncompressed ones; where "
        "an endpoint is sent pictures in another encoding, with that, too. Verification, Patient Root FIND and the "
        "worklist are asked by a person at the command line alone (`hutong dicom`)."
    )


def _endpoints(community: Community) -> Iterator[tuple[str, ...]]:
    for endpoint in community.dicom_endpoints.values():
        yield (
            endpoint.name,
            endpoint.ae_title,
            f"{endpoint.host}:{endpoint.port}",
            endpoint.calling_ae_title,
            ", ".join(_used(endpoint)),
            str(endpoint.transfer_syntax),
            _security(protected=endpoint.tls is not None),
        )


def _entities(community: Community) -> Iterator[tuple[str, ...]]:
    for channel in community.dicom_channels:
        for entry in channel.ae_entries:
            if entry.port is not None:
                yield _entity(channel, entry)


def _entity(channel: DicomChannel, entry: AeEntry) -> tuple[str, ...]:
    return (
        f"entry of channel {channel.name}",
        entry.ae_title,
        f"{entry.address}:{entry.port}",
        channel.ae_title,
        ", ".join([STORAGE, RESULTS, *([_FIND] if entry.queryable else [])]),
        _AS_STORED,
        _security(protected=entry.tls is not None),
    )


def _used(endpoint: DicomEndpoint) -> Iterator[str]:
    yield _ECHO
    yield STORAGE
    yield _FIND
    yield _WORKLIST
    yield _GET if endpoint.priors.retrieve == "get" else _MOVE
    if endpoint.performed_steps_of:
        yield _STEPS
    if endpoint.availability_of:
        yield _AVAILABLE
    if endpoint.commits:
        yield _COMMITS


def _security(*, protected: bool) -> str:
    return "TLS 1.2 or newer" if protected else "none"
