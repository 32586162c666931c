"""What does a signature owe, and to whom? The report as ORU^R01, to every endpoint that a route names."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any
from uuid import UUID

from engine import routing
from engine.api.reading.lines import modality_of
from engine.api.services import Services
from engine.centres.case import Case
from engine.centres.request import facility_of
from engine.envelope import EnvelopeIds
from engine.finding import Finding, Severity
from engine.mapping import outbound
from engine.orders import categories_of
from engine.store import findings, outbox
from engine.store.database import Connection
from engine.store.findings import Raised
from engine.store.outbox import Owed

Resource = dict[str, Any]

_ids = EnvelopeIds(secrets.randbits)


async def owe_report(
    connection: Connection,
    hub: Services,
    order: Resource,
    patient: Resource,
    studies: list[Resource],
    case: Case,
    at: datetime,
) -> None:
    """Adds the deliveries of a signed report in the caller's transaction; where no route leads, a finding says so.

    Raises MappingError when the report cannot be written as a message: then nothing is signed.
    """
    assert case.report is not None
    assert case.observation is not None
    about = f"Task/{case.task['id']}"
    facility = facility_of(case.task)
    targets = routing.report_signed(
        hub.config,
        requester_facility=facility,
        modality=modality_of(order, studies),
        categories=categories_of(order),
    )
    if not targets:
        text = f"No route returns signed reports to {facility}: add one, or tell the requester in another way."
        finding = Finding("report-not-owed", text, Severity.WARNING)
        await findings.raise_many(connection, [Raised(finding, about=about)], at)
        return
    owed: list[Owed] = []
    for target in targets:
        delivery = _ids.next(at)
        control_id = _control_id(delivery)
        endpoint = hub.config.mllp_endpoints[target.endpoint]
        payload = outbound.build_oru(
            case.report, order, patient, [case.observation], endpoint=endpoint, control_id=control_id, at=at
        )
        owed.append(Owed(delivery, target.endpoint, control_id, payload, target.route, about=about))
    await outbox.owe(connection, owed, at)


def _control_id(delivery: UUID) -> str:
    """MSH-10 of a delivery: 20 characters, which every version of HL7 v2 can hold. Its moment and 32 random bits."""
    return delivery.hex[:12] + delivery.hex[-8:]
