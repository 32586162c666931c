"""What can a client do here? The Retrieve Capabilities transaction of PS3.18 §8.9: a WADL document (annex H)."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from starlette.responses import Response

from engine.errors import ParseError
from pacs_gateway.dicomweb.accepting import accepted

WADL = "application/vnd.sun.wadl+xml"
_JSON = "application/dicom+json"
_DICOM = 'multipart/related; type="application/dicom"'
_OBJECTS = (_DICOM, "application/dicom")
_OCTETS = 'multipart/related; type="application/octet-stream"'
_PICTURES = ("image/png", "image/jpeg", "image/svg+xml")


@dataclass(frozen=True, slots=True)
class Transaction:
    """`takes` and `answers` are media types; `takes` is empty for a request without a body."""

    method: str
    path: str
    name: str
    clause: str
    answers: tuple[str, ...]
    takes: tuple[str, ...] = ()


def _fetched() -> list[Transaction]:
    studies, series = "/studies/{study}", "/studies/{study}/series/{series}"
    instance = f"{series}/instances/{{instance}}"
    told = []
    for level, path in (("Study", studies), ("Series", series), ("Instance", instance)):
        told += [
            Transaction("GET", path, f"Retrieve {level}", "10.4", _OBJECTS if level == "Instance" else (_DICOM,)),
            Transaction("GET", f"{path}/metadata", f"Retrieve {level} Metadata", "10.4", (_JSON,)),
            Transaction("GET", f"{path}/thumbnail", f"Retrieve {level} Thumbnail", "10.4", ("image/jpeg",)),
        ]
    frames = f"{instance}/frames/{{frames}}"
    return [
        *told,
        Transaction("GET", f"{instance}/rendered", "Retrieve Rendered Instance", "10.4", _PICTURES),
        Transaction("GET", frames, "Retrieve Frames", "10.4", (_OCTETS, "application/octet-stream")),
        Transaction("GET", f"{frames}/rendered", "Retrieve Rendered Frames", "10.4", _PICTURES),
        Transaction("GET", f"{frames}/thumbnail", "Retrieve Frame Thumbnail", "10.4", ("image/jpeg",)),
        Transaction("GET", f"{instance}/bulkdata/{{path}}", "Retrieve Bulkdata", "10.4", (_OCTETS,)),
    ]


TRANSACTIONS: tuple[Transaction, ...] = (
    Transaction("GET", "/studies", "Search for Studies", "10.6", (_JSON,)),
    Transaction("GET", "/series", "Search for Series", "10.6", (_JSON,)),
    Transaction("GET", "/instances", "Search for Instances", "10.6", (_JSON,)),
    Transaction("GET", "/studies/{study}/series", "Search for Study's Series", "10.6", (_JSON,)),
    Transaction("GET", "/studies/{study}/instances", "Search for Study's Instances", "10.6", (_JSON,)),
    Transaction(
        "GET", "/studies/{study}/series/{series}/instances", "Search for Study's Series' Instances", "10.6", (_JSON,)
    ),
    *_fetched(),
    Transaction("POST", "/studies", "Store Instances", "10.5", (_JSON,), _OBJECTS),
    Transaction("POST", "/studies/{study}", "Store Study Instances", "10.5", (_JSON,), _OBJECTS),
    Transaction("GET", "/workitems", "Search for Workitems", "11.9", (_JSON,)),
    Transaction("GET", "/workitems/{workitem}", "Retrieve Workitem", "11.5", (_JSON,)),
    Transaction("PUT", "/workitems/{workitem}/state", "Change Workitem State", "11.7", (), (_JSON,)),
)
"""Everything below the base address but this transaction itself."""


def capabilities(base: str, accept: str | None) -> Response:
    """Raises ParseError for a client that takes no WADL."""
    media_type = accepted(accept).best((WADL, "application/xml", "text/xml"))
    if media_type is None:
        raise ParseError(f"capabilities are told as {WADL}", code="not-acceptable")
    resources = "".join(_resource(path) for path in dict.fromkeys(one.path for one in TRANSACTIONS))
    document = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<application xmlns="http://wadl.dev.java.net/2009/02">'
        f'<resources base="{escape(base)}">{resources}</resources></application>'
    )
    allow = "GET, HEAD, POST, PUT, OPTIONS"
    return Response(document, media_type=media_type, headers={"Allow": allow, "Cache-Control": "private, no-cache"})


def _resource(path: str) -> str:
    methods = "".join(_method(one) for one in TRANSACTIONS if one.path == path)
    return f'<resource path="{escape(path.lstrip("/"))}">{methods}</resource>'


def _method(one: Transaction) -> str:
    takes = "".join(_representation(media_type) for media_type in one.takes)
    answers = "".join(_representation(media_type) for media_type in one.answers)
    return (
        f'<method name="{one.method}" id="{escape(one.name).replace(" ", "").replace("&#x27;", "")}At{_id(one.path)}">'
        f"<request>{takes}</request><response>{answers}</response></method>"
    )


def _representation(media_type: str) -> str:
    return f'<representation mediaType="{escape(media_type)}"/>'


def _id(path: str) -> str:
    return "".join(word.strip("{}").capitalize() for word in path.split("/"))
