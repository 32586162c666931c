"""What did the filler answer to an order that we passed on? ORR, ORL, ORG and ORI, whichever way they come.

Such a response is the answer on the connection that the order went out on, or a message of its own later. MSA-2 names
the message that carried the order, ORC-2 the order in it. Its state and the filler's number go into the order's record;
what the filler could not do becomes a finding about it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from engine.answering.order_response import numbers_of
from engine.codecs import er7
from engine.finding import Finding, Severity
from engine.identifiers import facility_system
from engine.orders import following
from engine.store import audit, records, sent_orders, worklist
from engine.store.database import Connection
from engine.store.findings import Raised
from engine.store.records import Change
from engine.understanding import ORDER_ANSWER

Resource = dict[str, Any]

_CONTROLLED = {
    "CR": "revoked",
    "DR": "revoked",
    "OC": "revoked",
    "OD": "revoked",
    "HR": "on-hold",
    "OH": "on-hold",
    "OR": "active",
    "OE": "active",
}
"""HL7 table 0119: what was done to the order."""
_STATED = {"CA": "revoked", "DC": "revoked", "CM": "completed", "HD": "on-hold"}
"""Table 0038 (ORC-5)."""
_UNABLE = frozenset({"UA", "UC", "UD", "UF", "UH", "UM", "UR", "UX", "DE", "DF"})
_OPEN = frozenset({"active", "on-hold", "draft", "unknown"})
"""Only an order that is not finished changes its state by an answer."""
_NUMBER_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"


async def apply(
    connection: Connection,
    message: er7.Message,
    *,
    endpoints: Collection[str],
    facility: str,
    envelope: UUID | None,
    channel: str | None,
    at: datetime,
) -> tuple[list[str], list[Raised]]:
    """Changes the orders that are answered; returns their references with versions, and what a person should see.

    endpoints  those of the system that answers
    facility   whose number ORC-3 is
    envelope   the response, where it came as a message of its own
    """
    msa = next(iter(message.named("MSA")), None)
    answered = msa.value(2).strip() if msa is not None else ""
    references = await sent_orders.orders_sent(connection, answered, endpoints) if answered else []
    stored = await records.read_many(connection, references, for_update=True)
    orders = {reference: one.body for reference, one in stored.items()}
    raised: list[Raised] = []
    changes: list[Change] = []
    for orc in message.named("ORC"):
        reference = _meant(orc, orders)
        if reference is None:
            raised.append(Raised(_unmatched(), envelope, channel=channel))
            continue
        if orc.value(1) in _UNABLE:
            raised.append(Raised(_not_accepted(orc.value(1)), envelope, about=reference, channel=channel))
            continue
        order = _answered(orders[reference], orc, facility)
        if order != orders[reference]:
            orders[reference] = order
            actor = None if envelope else audit.SYSTEM
            changes = [change for change in changes if change.resource["id"] != order["id"]]
            changes.append(Change(order, envelope, actor, ORDER_ANSWER))
    written = await records.put_many(connection, changes, at) if changes else []
    await _follow(connection, [change.resource for change in changes])
    return [f"{one.type}/{one.id}@{one.version}" for one in written], raised


async def _follow(connection: Connection, orders: Sequence[Resource]) -> None:
    """What the filler called off leaves the modality worklist."""
    steps = await worklist.by_order(connection, [order["id"] for order in orders]) if orders else {}
    followed = [following(steps[order["id"]], order) for order in orders if order["id"] in steps]
    await worklist.put(connection, [step for step in followed if step != steps[step.service_request]])


def _meant(orc: er7.Segment, orders: dict[str, Resource]) -> str | None:
    """By the placer's number; an answer without one means the only order there is."""
    placer = orc.value(2).strip()
    if not placer:
        return next(iter(orders)) if len(orders) == 1 else None
    return next((ref for ref, order in orders.items() if placer in numbers_of(order, "PLAC")), None)


def _answered(order: Resource, orc: er7.Segment, facility: str) -> Resource:
    changed = dict(order)
    becomes = _STATED.get(orc.value(5)) or _CONTROLLED.get(orc.value(1))
    if becomes and order.get("status", "unknown") in _OPEN:
        changed["status"] = becomes
    filler = orc.value(3).strip()
    if filler and filler not in (*numbers_of(order, "FILL"), *numbers_of(order, "ACSN")):
        number = {
            "type": {"coding": [{"system": _NUMBER_TYPES, "code": "FILL"}]},
            "system": facility_system(facility, "filler"),
            "value": filler,
        }
        changed["identifier"] = [*order.get("identifier", ()), number]
    return changed


def _not_accepted(control: str) -> Finding:
    return Finding(
        "order-not-accepted",
        f"The filler could not do what the order asks (ORC-1 {control}). Ask them, then order again or cancel it.",
        location="ORC-1",
    )


def _unmatched() -> Finding:
    return Finding(
        "order-answer-unmatched",
        "An order response answers nothing that was sent to that system: MSA-2 or ORC-2 is of no order of ours.",
        Severity.INFORMATION,
        "MSA-2",
    )
