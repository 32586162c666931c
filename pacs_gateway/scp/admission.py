"""Who is let in, and to what? The decision about one A-ASSOCIATE-RQ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pacs_gateway.scp.callers import Caller, Callers, Hears, Unknown
from pacs_gateway.scp.negotiation import answer_to, refusal_of
from pacs_gateway.scp.service import Services
from pacs_gateway.upper_layer.pdus import (
    CALLING_AE_TITLE_NOT_RECOGNIZED,
    LOCAL_LIMIT_EXCEEDED,
    AAssociateAC,
    AAssociateRJ,
    AAssociateRQ,
)


@dataclass(frozen=True, slots=True)
class Admitted:
    caller: Caller
    answer: AAssociateAC


@dataclass(frozen=True, slots=True)
class Rejected:
    """why  as the log says it after the peer's name"""

    answer: AAssociateRJ
    why: str


@dataclass(frozen=True, slots=True)
class Calling:
    """How a connection came in.

    host          where the peer calls from
    certificate   what it has shown; None without TLS
    one_too_many  whether there is no place for it
    """

    host: str
    certificate: dict[str, Any] | None
    one_too_many: bool


async def decide(
    request: AAssociateRQ, calling: Calling, callers: Callers, services: Services, hears: Hears
) -> Admitted | Rejected:
    """Looks up host names where an entry has one, which may take its time."""
    if calling.one_too_many:
        return Rejected(LOCAL_LIMIT_EXCEEDED, "one too many")
    refusal = refusal_of(request)
    if refusal is not None:
        return Rejected(refusal, "of another protocol")
    ae_title = request.calling_ae_title
    caller = await callers.admit(ae_title, calling.host, calling.certificate)
    if isinstance(caller, Caller):
        hears.admitted(ae_title, calling.host)
        return Admitted(caller, answer_to(request, caller, services))
    if isinstance(caller, Unknown):
        hears.refused(ae_title, calling.host, caller)
    return Rejected(CALLING_AE_TITLE_NOT_RECOGNIZED, caller)
