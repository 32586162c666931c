"""What does the Conformance Statement say of a configuration? The chapters that PS3.2 asks for, as blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.config import AeEntry, Community, DicomChannel
from pacs_gateway.dicomweb.anew import TARGETS
from pacs_gateway.dicomweb.asked import MOST_RESULTS, SEARCHED
from pacs_gateway.dicomweb.capabilities import TRANSACTIONS
from pacs_gateway.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from pacs_gateway.statement.behaviour import behaviour, limits
from pacs_gateway.statement.calling import calling
from pacs_gateway.statement.document import Block, Heading, Paragraph, Table, table
from pacs_gateway.statement.keys import query_keys, worklist_keys
from pacs_gateway.statement.provided import SERVICES, STORAGE, Class
from pacs_gateway.statement.statuses import statuses
from pacs_gateway.transfer_syntaxes import TRANSFER_SYNTAXES, UNCOMPRESSED
from pacs_gateway.upper_layer.association import MAXIMUM_LENGTH

CLASS_HEADINGS = ("SOP class", "UID", "Role", "Requests", "Transfer syntaxes")
SYNTAX_HEADINGS = ("Transfer syntax", "UID", "Set")
ALL, PLAIN = "all", "uncompressed"
_ANEW = "; ".join(TRANSFER_SYNTAXES[uid] for uid in TARGETS)


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
        *calling(community),
        *_web(),
        *_characters(),
        *_security(community),
    ]


def _overview(community: Community) -> Iterator[Block]:
    endpoints = list(community.dicom_endpoints.values())
    asked = [entry for channel in community.dicom_channels for entry in channel.ae_entries if entry.queryable]
    moved_to = [entry for channel in community.dicom_channels for entry in channel.ae_entries if entry.port]
    used: dict[str, Sequence[object]] = {
        "Verification": endpoints,
        "Storage": [*endpoints, *moved_to],
        "Query/Retrieve": [*endpoints, *asked],
        "Modality Performed Procedure Step": [one for one in endpoints if one.performed_steps_of],
        "Basic Worklist Management": endpoints,
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
                _from(entry),
                entry.facility,
                f"{entry.address}:{entry.port}" if entry.port else "no",
                "yes" if entry.private_classes else "no",
            )
            for entry in channel.ae_entries
        ]
        + ([("any other", "any address", channel.default_facility, "no", "no")] if channel.default_facility else []),
    )
    yield Paragraph(
        "Of entries with one AE title the first counts whose address and certificate are the caller's. Whoever has the "
        "AE title of an entry and fits none is refused."
    )
    if channel.default_facility is None:
        yield Paragraph("Every other calling AE title is refused (calling AE title not recognised).")
    yield Heading(3, "2.3 Accepted presentation contexts")
    yield Paragraph(
        "Of the transfer syntaxes of a context the first that is accepted is chosen, in the order of the proposer. "
        "Where a class is proposed with the requestor as its only provider (C-GET), one of its contexts is accepted "
        "uncompressed if any of them names such an encoding, but for video. A class that is not here is refused: "
        "abstract syntax not supported."
    )
    yield _classes((*SERVICES, *STORAGE))
    if any(entry.private_classes for entry in channel.ae_entries):
        yield Paragraph("Callers with private storage classes (2.2) may store objects of any class of their maker.")
    yield from behaviour("2.4")
    yield from query_keys("2.5")
    yield from worklist_keys("2.6")
    yield from statuses("2.7")
    yield from limits("2.8")


def _from(entry: AeEntry) -> str:
    certificate = f", with a certificate of {' or '.join(entry.client_names)}" if entry.client_names else ""
    return f"{entry.address or 'any address'}{certificate}"


def _classes(classes: Sequence[Class]) -> Table:
    return table(
        CLASS_HEADINGS,
        [(one.name, one.uid, "SCP", one.requests, PLAIN if one.syntaxes == UNCOMPRESSED else ALL) for one in classes],
    )


def _syntaxes() -> Iterator[Block]:
    yield Heading(2, "3 Transfer syntaxes")
    yield table(
        SYNTAX_HEADINGS,
        [(name, uid, f"{ALL}, {PLAIN}" if uid in UNCOMPRESSED else ALL) for uid, name in TRANSFER_SYNTAXES.items()],
    )


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
                f"as stored; also in {_ANEW}, without loss, what is not taken as stored; else 206, with a Warning of "
                "how many instances are left out, or 406",
            ),
            (
                "Frames",
                "as stored, as images; as application/octet-stream decoded (Explicit VR Little Endian), unless their "
                "transfer syntax or * is named",
            ),
            ("Metadata", "ISO_IR 192 whatever the object's label says; gzip"),
            ("Caching", "private, no-cache; ETag of what is served, 304 when it has not changed"),
            ("Rendered", "image/png unless image/jpeg is asked for; an ECG as image/svg+xml"),
            ("Search keys", ", ".join(one.keyword for one in SEARCHED)),
            ("Results of one answer", str(MOST_RESULTS)),
            (
                "Workitems",
                "the reading requests of the caller's centres, 500 in an answer, the next by offset. Search keys are "
                "what they tell, dates and times by ranges; others are ignored, with a Warning. They are opened "
                "by orders and completed by signed reports: Create and Request Cancellation are refused, CANCELED puts "
                "a request back. Subscriptions, and events of them, are not supported",
            ),
        ],
    )


def _characters() -> Iterator[Block]:
    yield Heading(2, "6 Character sets")
    yield Paragraph(
        "Taken: the default repertoire, ISO_IR 100, 101, 109, 110, 144, 127, 126, 138, 148, 13, 166 and 192, GB18030, "
        "GBK, and the ISO 2022 code extensions. A label that is missing, wrong or malformed is repaired by what the "
        "bytes bear out: in the index, in metadata, and in the object itself as it goes out by C-GET, C-MOVE, C-STORE "
        "and WADO-RS, which is then in ISO_IR 192. Text that may be read in two ways keeps its label. What lies in the "
        "store are the bytes that came, and WADO-RS gives these with ?as-sent=true."
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
