"""What does a query ask, and of which kind is its answer? A query as it was understood, and what is known around it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from engine.answering.criteria import QueryError
from engine.answering.query_response import Response
from engine.codecs.er7 import Message, Segment
from engine.codecs.er7_header import Header
from engine.mapping import MappingSet
from engine.store.database import Connection

KINDS = {
    ("QBP", "Q21"): ("RSP", "K21", "RSP_K21"),
    ("QBP", "Q22"): ("RSP", "K22", "RSP_K21"),
    ("QBP", "Q23"): ("RSP", "K23", "RSP_K23"),
    ("QRY", "A19"): ("ADR", "A19", "ADR_A19"),
    ("SQM", "S25"): ("SQR", "S25", "SQR_S25"),
}
"""MSH-9 of each query that is answered, and MSH-9 of its response."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query as it was understood, and what is known around it.

    qpd  what it asks: QPD, in original mode QRD
    """

    header: Header
    message: Message
    qpd: Segment
    facilities: frozenset[str]
    facility: str
    at: datetime
    mappings: Callable[[], MappingSet]

    @property
    def kind(self) -> tuple[str, str, str]:
        return KINDS[self.header.component(9), self.header.component(9, 2)]

    def response(
        self, people: Sequence[str] = (), *, errors: Sequence[QueryError] = (), more: str = "", total: int | None = None
    ) -> Response:
        qpd = self.qpd
        if self.kind[0] == "RSP":
            return Response(self.kind, qpd.text, qpd.field(2), qpd.field(1), people, errors, more, total)
        filters = [each.text for each in self.message.named("QRF")[:1]]
        said = "\r".join([qpd.text, *filters]) if self.kind[0] == "ADR" else ""
        return Response(self.kind, said, qpd.field(4), "", people, errors, more, total)


Answer = tuple[Response, list[str]]
"""A response, and references to whom and what it tells of: golden Patients, appointments."""

Answering = Callable[[Connection, Query], Awaitable[Answer]]
"""Raises QueryError for what cannot be answered as it was asked."""
