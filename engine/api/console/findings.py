"""Findings: what waits for a person, who settled what and how, and settling one or many."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from engine.api.caller import Caller, needs
from engine.api.console.acts import Code, CodeQuery, Name, NameQuery, Operator, Rule, RuleQuery
from engine.api.console.paging import Cursor, Limit
from engine.api.services import Hub
from engine.config.community import Role
from engine.errors import ParseError
from engine.finding import Severity
from engine.store import audit, finding_list
from engine.store.finding_list import Cause, Choice, FindingLine

router = APIRouter(prefix="/api/findings", tags=["console"])
SettlementText = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000, pattern=r"^[^\x00]*$")
]
Settler = Annotated[Caller, Depends(needs(Role.ADMIN, Role.INTEGRATOR, Role.READER, Role.REVIEWER))]


class FindingPage(BaseModel):
    """Findings, the newest first; `next` is null on the last page.

    open             how many open ones there are of each code
    open_severities  the same by severity, then by code
    """

    findings: list[FindingLine]
    open: dict[str, int]
    open_severities: dict[Severity, dict[str, int]]
    next: str | None


class Settlement(BaseModel):
    """What was done about it, in words for whoever asks later."""

    settlement: SettlementText


class SettlementOfMany(BaseModel):
    """Which open findings: every key that is given must fit, and one must be."""

    model_config = ConfigDict(extra="forbid")

    settlement: SettlementText
    findings: Annotated[list[UUID], Field(max_length=10_000)] | None = None
    code: Code | None = None
    channel: Name | None = None
    severity: Severity | None = None
    rule: Rule | None = None
    envelope: UUID | None = None
    dry_run: bool = False


class Settled(BaseModel):
    """How many were settled, or would be with `dry_run`.

    holding  how many were left open because each holds an envelope: that one must be released, skipped or corrected
    """

    count: int
    holding: int
    dry_run: bool


@router.get("")
async def list_findings(
    hub: Hub,
    _: Settler,
    state: Literal["open", "settled"] = "open",
    code: CodeQuery = None,
    channel: NameQuery = None,
    severity: Severity | None = None,
    rule: RuleQuery = None,
    envelope: UUID | None = None,
    about: Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")] = None,
    since: AwareDatetime | None = None,
    before: AwareDatetime | None = None,
    after: Cursor = None,
    limit: Limit = 100,
) -> FindingPage:
    choice = Choice(None, state == "settled", code, channel, severity, rule, envelope, about, since, before)
    async with hub.pool.acquire() as connection:
        found = await finding_list.listed(connection, choice, after=_place(after), limit=limit)
        counts = await finding_list.count_open(connection)
    following = f"{found[-1].found_at.isoformat()}~{found[-1].id}" if len(found) == limit else None
    by_severity: dict[Severity, dict[str, int]] = {}
    for (of, named), number in counts.items():
        by_severity.setdefault(Severity(of), {})[named] = number
    by_code = {named: sum(n for (_, other), n in counts.items() if other == named) for _, named in counts}
    return FindingPage(findings=found, open=by_code, open_severities=by_severity, next=following)


@router.get("/causes")
async def list_causes(
    hub: Hub,
    _: Settler,
    state: Literal["open", "settled"] = "open",
    code: CodeQuery = None,
    channel: NameQuery = None,
    severity: Severity | None = None,
    rule: RuleQuery = None,
    envelope: UUID | None = None,
    limit: Limit = 100,
) -> list[Cause]:
    """What led to these findings, instead of each of them."""
    choice = Choice(None, state == "settled", code, channel, severity, rule, envelope)
    async with hub.pool.acquire() as connection:
        return await finding_list.causes(connection, choice, limit)


@router.post("/settle")
async def settle_findings(body: SettlementOfMany, hub: Hub, caller: Operator) -> Settled:
    """All of them or none. What holds an envelope stays open: it is settled with the envelope."""
    choice = Choice(body.findings, None, body.code, body.channel, body.severity, body.rule, body.envelope)
    if choice == Choice():
        raise ParseError("say which: give a filter", code="no-filter")
    async with hub.pool.acquire() as connection, connection.transaction():
        count, holding = await finding_list.count_settleable(connection, choice)
        if not body.dry_run:
            count = await finding_list.settle_many(connection, choice, caller.name, body.settlement, hub.clock())
    return Settled(count=count, holding=holding, dry_run=body.dry_run)


@router.post("/{finding}/settle")
async def settle_finding(finding: UUID, body: Settlement, hub: Hub, caller: Settler) -> FindingLine:
    """404 when there is none; 409 when somebody settled it before, or when it holds an envelope."""
    at = hub.clock()
    async with hub.pool.acquire() as connection, connection.transaction():
        line = await finding_list.settle(connection, finding, caller.name, body.settlement, at)
        subject = f"Envelope/{line.envelope}" if line.envelope else (line.about or f"Finding/{line.id}")
        act = audit.Audited(caller.name, "settle-finding", subject, {"finding": str(line.id), "code": line.code})
        await audit.write(connection, [act], at)
    return line


def _place(cursor: str | None) -> tuple[datetime, UUID] | None:
    if cursor is None:
        return None
    try:
        moment, _, finding = cursor.partition("~")
        at = datetime.fromisoformat(moment.replace(" ", "+"))
        if at.tzinfo is None:
            raise ValueError
        return at, UUID(finding)
    except ValueError:
        raise ParseError("expected the `next` of the page before", location="after", code="bad-parameter") from None
