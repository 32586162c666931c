"""What does a channel do with what it is asked, and how much of it at once? Sentences and limits of the services."""

from __future__ import annotations

from collections.abc import Iterator

from pacs_gateway import indexing
from pacs_gateway.query.identifier import IDENTIFIER_LIMIT
from pacs_gateway.query.values import VALUE_LIMIT
from pacs_gateway.scp import find, worklist
from pacs_gateway.scp.normalized import DATA_SET_LIMIT
from pacs_gateway.scp.retrieving import RETRIEVE_LIMIT
from pacs_gateway.statement.document import Block, Heading, table

BEHAVIOUR_HEADINGS = ("Service", "Behaviour")
LIMIT_HEADINGS = ("Limit", "Value")


def behaviour(number: str) -> Iterator[Block]:
    yield Heading(3, f"{number} Behaviour")
    yield table(BEHAVIOUR_HEADINGS, _sentences())


def limits(number: str) -> Iterator[Block]:
    yield Heading(3, f"{number} Limits")
    yield table(
        LIMIT_HEADINGS,
        [
            ("Matches of one query (Query/Retrieve)", str(find.MATCH_LIMIT)),
            ("Objects looked into for keys that the index does not have", str(find.SEARCH_LIMIT)),
            ("Scheduled steps of one worklist query", str(worklist.MATCH_LIMIT)),
            ("Objects of one C-GET or C-MOVE", str(RETRIEVE_LIMIT)),
            ("Bytes of an identifier", str(IDENTIFIER_LIMIT)),
            ("Characters of a key", str(VALUE_LIMIT)),
            ("Bytes of the data set of an N-service", str(DATA_SET_LIMIT)),
        ],
    )


def _sentences() -> Iterator[tuple[str, str]]:
    yield (
        "Storage",
        "Level 2 (full): every element is kept, as it was sent, in the transfer syntax it came in. 0000 is answered "
        "when the object has been flushed to disk. Queries find it soon after: its row follows when senders pause, and "
        f"while they go on after {indexing.SENDERS_FIRST_SECS:g} s or "
        f"{indexing.SENDERS_FIRST_BYTES // 1024 // 1024} MiB. The same bytes again are a repeat; other bytes under a "
        "used SOP Instance UID are kept apart and answered 0000.",
    )
    yield (
        "Query",
        "Hierarchical, without relational queries. Keys of the index and, where others are asked for, of the objects "
        "themselves, sequences included. Wildcards, lists of UIDs, ranges; names also by pinyin and initials. The "
        "newest matches first. Answers are in ISO_IR 192.",
    )
    yield (
        "Retrieve",
        "Only the unique keys of a level count. An object goes out with the bytes that came, but for two things: text "
        "whose label is repaired (6) goes out in ISO_IR 192, and what people have decided since of its patient, study "
        "or numbers goes out as decided. It goes in the transfer syntax in which it is stored and, to whoever does not "
        "take that, without compression; what cannot be decoded then is counted as failed. C-MOVE goes to the AE "
        "titles of 2.2 with a port alone; a caller is given what its facility stored.",
    )
    yield (
        "Worklist",
        "Scheduled steps of the caller's facility that nobody performs or has performed. Answered in ISO_IR 192 or "
        "GB18030 where it is asked for, else names are in pinyin.",
    )
    yield (
        "Performed steps",
        "N-CREATE begins a step, IN PROGRESS; N-SET goes on with it until it is COMPLETED or DISCONTINUED, and what it "
        "leaves out stays. Of which patient and since when a step is, N-SET does not change. Each is durable before it "
        "is answered, takes the step off the worklist, says which objects a study is to have, and is passed on to the "
        "systems of chapter 4 that are to hear of it. N-GET answers with everything that was said of a step of the "
        "caller's facility, in ISO_IR 192. Modality Performed Procedure Step Notification is not supported.",
    )
    yield (
        "Storage Commitment",
        "Push model. The request is durable before it is answered. It waits for the index, and each object is read "
        "back and its hash compared before it counts as kept. The result (N-EVENT-REPORT) comes over the association "
        "of the request while that stands, else over one of our own to the AE title of 2.2 if it has a port, tried "
        "again until it is accepted. The same request again has the same result.",
    )
    yield (
        "Instance Availability",
        "N-CREATE says what is available elsewhere; it is kept by facility and AE title, the last word counts. At "
        "least one instance is named, each ONLINE, NEARLINE, OFFLINE or UNAVAILABLE.",
    )
