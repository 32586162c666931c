"""What does the Conformance Statement say of a configuration? The chapters that PS3.2 asks for, as blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.config import Community, DicomChannel, DicomEndpoint
from pacs_gateway.dicomweb.asked import ATTRIBUTES_TOLD, MOST_RESULTS
from pacs_gateway.dicomweb.capabilities import TRANSACTIONS
from pacs_gateway.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from pacs_gateway.query.models import STUDY_ROOT
from pacs_gateway.scp.find import MATCH_LIMIT
from pacs_gateway.statement.document import Block, Heading, Paragraph, Table, table
from pacs_gateway.statement.provided import SERVICES, STORAGE, Class
from pacs_gateway.transfer_syntaxes import TRANSFER_SYNTAXES, UNCOMPRESSED
from pacs_gateway.upper_layer.association import MAXIMUM_LENGTH

CLASS_HEADINGS = ("SOP class", "UID", "Role", "Requests", "Transfer syntaxes")
SYNTAX_HEADINGS = ("Transfer syntax", "UID", "Set")
ALL, PLAIN = "all", "uncompressed"


def statement(community: Community) -> list[Block]:
    """Of the whole hub. A channel that is not configured is not in it."""
    return [
        Heading(1, f"DICOM Conformance Statement: hutong, {community.name}"),
        Paragraph(
            "Generated from the configuration by `hutong conformance statement`. It states what this installation "
            "offers and asks for; it does not promise that two systems work together, which only a test shows."
        ),
        *_overview(community),
        *(block for channel in community.dicom_channels for block in _listener(channel)),
        *_syntaxes(),
        *_callers(community),
        *_web(),
        *_characters(),
        *_security(community),
    ]


def _overview(community: Community) -> Iterator[Block]:
    endpoints = list(community.dicom_endpoints.values())
    asked = [entry for channel in community.dicom_channels for entry in channel.ae_entries if entry.queryable]
    moved_to = [entry for channel in community.dicom_channels for entry in channel.ae_entries if entry.port]
    used: dict[str, Sequence[object]] = {
        "Storage": [*endpoints, *moved_to],
        "Query/Retrieve": [*endpoints, *asked],
        "Modality Performed Procedure Step": [one for one in endpoints if one.performed_steps_of],
        "Storage Commitment": [one for one in endpoints if one.commits],
        "Instance Availability": [one for one in endpoints if one.availability_of],
    }
    yield Heading(2, "1 Overview: network services")
    yield table(
        ("Service", "As user (SCU)", "As provider (SCP)"),
        [
            (service, _yes(used.get(service, ())), _yes(community.dicom_channels))
            for service in dict.fromkeys(one.service for one in (*SERVICES, *STORAGE))
        ],
    )
    yield Paragraph("Media interchange is not supported. DICOMweb services are in chapter 5.")


def _listener(channel: DicomChannel) -> Iterator[Block]:
    yield Heading(2, f"2 Application entity {channel.ae_title} (channel {channel.name})")
    yield Heading(3, "2.1 Associations")
    certificate = channel.tls is not None and channel.tls.client_ca is not None
    security = "none" if channel.tls is None else "TLS 1.2 or newer"
    yield table(
        ("Property", "Value"),
        [
            ("AE title", channel.ae_title),
            ("Called AE title", "any; it is not checked"),
            ("Address", f"{channel.host}:{channel.port or 'any free port'}"),
            ("Application context", "1.2.840.10008.3.1.1.1"),
            ("Associations at once", str(channel.max_associations)),
            ("Maximum PDU size received", f"{MAXIMUM_LENGTH} bytes"),
            ("Asynchronous operations", "none: a window of operations is answered with 1/1"),
            ("Extended negotiation, user identity", "not answered"),
            ("Role selection", "SCU; SCP of storage classes beside a C-GET class, and of Storage Commitment"),
            ("Implementation class UID", IMPLEMENTATION_CLASS_UID),
            ("Implementation version name", IMPLEMENTATION_VERSION_NAME),
            ("Aborted when silent between requests for", f"{channel.idle_timeout_secs:g} s"),
            ("Aborted when silent within a request for", f"{channel.stall_timeout_secs:g} s"),
            ("Security", f"{security}{', the caller shows a certificate' if certificate else ''}"),
        ],
    )
    yield Heading(3, "2.2 Who may call")
    yield table(
        ("Calling AE title", "From", "Facility", "C-MOVE destination", "Private storage classes"),
        [
            (
                entry.ae_title,
                entry.address or "any address",
                entry.facility,
                f"{entry.address}:{entry.port}" if entry.port else "no",
                "yes" if entry.private_classes else "no",
            )
            for entry in channel.ae_entries
        ]
        + ([("any other", "any address", channel.default_facility, "no", "no")] if channel.default_facility else []),
    )
    if channel.default_facility is None:
        yield Paragraph("Every other calling AE title is refused (calling AE title not recognised).")
    yield Heading(3, "2.3 Accepted presentation contexts")
    yield Paragraph(
        "Of the transfer syntaxes of a context the first that is accepted is chosen, in the order of the proposer. "
        "Where a class is proposed with the requestor as its only provider (C-GET), one of its contexts is accepted "
        "uncompressed if any of them names such an encoding. A class that is not here is refused: abstract syntax not "
        "supported."
    )
    yield _classes((*SERVICES, *STORAGE))
    if any(entry.private_classes for entry in channel.ae_entries):
        yield Paragraph("Callers with private storage classes (2.2) may store objects of any class of their maker.")
    yield from _behaviour()


def _classes(classes: Sequence[Class]) -> Table:
    return table(
        CLASS_HEADINGS,
        [(one.name, one.uid, "SCP", one.requests, PLAIN if one.syntaxes == UNCOMPRESSED else ALL) for one in classes],
    )


def _behaviour() -> Iterator[Block]:
    yield Heading(3, "2.4 Behaviour")
    yield table(
        ("Service", "Behaviour"),
        [
            (
                "Storage",
                "Level 2 (full): every element is kept, as it was sent, in the transfer syntax it came in. 0000 is "
                "answered when the object has been flushed to disk. The same bytes again are a repeat; other bytes "
                "under a used SOP Instance UID are kept apart and answered 0000. A700: no room. A900: the data set "
                "is not the announced one. Cxxx: it cannot be understood.",
            ),
            (
                "Query",
                "Hierarchical, without relational queries. Keys of the index and, where others are asked for, of the "
                "objects themselves, sequences included. Wildcards, lists of UIDs, ranges; names also by pinyin and "
                f"initials. At most {MATCH_LIMIT} matches, then A700. Answers are in ISO_IR 192.",
            ),
            (
                "Retrieve",
                "Only the unique keys of a level count. Objects go out as they are stored to whoever takes them so, "
                "else in Explicit or Implicit VR Little Endian. C-MOVE goes to the AE "
                "titles of 2.2 alone; a caller is given what its facility stored.",
            ),
            (
                "Performed steps",
                "N-GET answers with everything that was said of a step of the caller's facility, in ISO_IR 192: of the "
                "last N-SET, but of whom and when it was created. 0001: it has not all that was asked for; 0107: "
                "something asked for is no attribute, named in the answer; 0112: the facility has no such step. "
                "Modality Performed Procedure Step Notification is not supported.",
            ),
            (
                "Worklist",
                "Scheduled steps of the caller's facility. Answered in ISO_IR 192 or GB18030 where it is asked for, "
                "else names are in pinyin.",
            ),
        ],
    )


def _syntaxes() -> Iterator[Block]:
    yield Heading(2, "3 Transfer syntaxes")
    yield table(
        SYNTAX_HEADINGS,
        [(name, uid, f"{ALL}, {PLAIN}" if uid in UNCOMPRESSED else ALL) for uid, name in TRANSFER_SYNTAXES.items()],
    )


def _callers(community: Community) -> Iterator[Block]:
    yield Heading(2, "4 Associations that are initiated")
    yield table(
        ("To", "AE title", "Address", "We are", "Services (SCU)", "Pictures are sent", "Security"),
        [
            (
                endpoint.name,
                endpoint.ae_title,
                f"{endpoint.host}:{endpoint.port}",
                endpoint.calling_ae_title,
                ", ".join(_used(endpoint)),
                str(endpoint.transfer_syntax),
                "TLS 1.2 or newer" if endpoint.tls is not None else "none",
            )
            for endpoint in community.dicom_endpoints.values()
        ],
    )
    yield Paragraph(
        "Objects are proposed with the class and transfer syntax that they have and with the uncompressed ones; "
        "queries and notices in Explicit and Implicit VR Little Endian."
    )


def _used(endpoint: DicomEndpoint) -> Iterator[str]:
    retrieval = STUDY_ROOT.get if endpoint.priors.retrieve == "get" else STUDY_ROOT.move
    yield "Storage"
    yield f"Study Root FIND ({STUDY_ROOT.find})"
    yield f"Study Root {endpoint.priors.retrieve.upper()} ({retrieval})"
    if endpoint.performed_steps_of:
        yield "Modality Performed Procedure Step"
    if endpoint.availability_of:
        yield "Instance Availability Notification"
    if endpoint.commits:
        yield "Storage Commitment Push Model"


def _web() -> Iterator[Block]:
    yield Heading(2, "5 DICOMweb (PS3.18)")
    yield Paragraph("Origin server below /dicomweb. It is no user agent, and offers neither WADO-URI nor WADO-WS.")
    yield table(
        ("Transaction", "Clause", "Method", "Resource", "Answers", "Takes"),
        [
            (one.name, one.clause, one.method, one.path, ", ".join(one.answers), ", ".join(one.takes) or "-")
            for one in TRANSACTIONS
        ]
        + [("Retrieve Capabilities", "8.9", "OPTIONS", "/", "application/vnd.sun.wadl+xml", "-")],
    )
    yield table(
        ("Property", "Value"),
        [
            (
                "Transfer syntaxes",
                "as stored; one instance also in Explicit VR Little Endian, JPEG-LS, JPEG 2000 or RLE, without loss, "
                "where it is not taken as stored; else 206 or 406",
            ),
            ("Metadata", "ISO_IR 192 whatever the object's label says; gzip; ETag"),
            ("Rendered", "image/png unless image/jpeg is asked for; an ECG as image/svg+xml"),
            ("Search keys", ", ".join(one.keyword for one in ATTRIBUTES_TOLD)),
            ("Results of one answer", str(MOST_RESULTS)),
            (
                "Workitems",
                "the reading requests of the caller's centres, 500 in an answer, the next by offset. They are opened "
                "by orders and completed by signed reports: Create and Request Cancellation are refused, CANCELED puts "
                "a request back. Subscriptions, and events of them, are not supported",
            ),
        ],
    )


def _characters() -> Iterator[Block]:
    yield Heading(2, "6 Character sets")
    yield Paragraph(
        "Taken: the default repertoire, ISO_IR 100, 101, 109, 110, 144, 127, 126, 138, 148, 13, 166 and 192, GB18030, "
        "GBK, and the ISO 2022 code extensions. A label that is missing, wrong or malformed is repaired in the index "
        "and in metadata, by what the bytes bear out; the object itself keeps its bytes."
    )


def _security(community: Community) -> Iterator[Block]:
    yield Heading(2, "7 Security")
    encrypted = [channel.ae_title for channel in community.dicom_channels if channel.tls is not None]
    yield table(
        ("Property", "Value"),
        [
            ("TLS on DICOM listeners", ", ".join(encrypted) or "none"),
            ("Authorization over HTTP", "bearer token (RFC 6750) of a configured user"),
            ("Audit", "each person's look at a study or series, once a minute, in the hub's own audit trail"),
        ],
    )


def _yes(some: Sequence[object]) -> str:
    return "yes" if some else "no"
