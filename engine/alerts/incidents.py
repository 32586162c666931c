"""What becomes of each cause? Opened when it shows itself, told again at growing intervals, closed when it is gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from engine.alerts.causes import Cause
from engine.config.alerts import Alerts
from engine.store.incidents import Incident


class Happened(StrEnum):
    """What a notice tells of an incident."""

    OPENED = "opened"
    REMINDER = "reminder"
    CLOSED = "closed"


def judge(
    open_incidents: Sequence[Incident],
    causes: Sequence[Cause],
    alerts: Alerts,
    at: datetime,
    new_id: Callable[[datetime], UUID],
) -> list[tuple[Incident, Happened | None]]:
    """Every incident that is or was open, as it stands now, and what is to be told of it.

    An incident whose cause is gone stays open for `settle_secs`: what comes and goes is one incident.
    """
    known = {incident.cause: incident for incident in open_incidents}
    present = {cause.key: cause for cause in causes}
    return [
        *(_opened(cause, alerts, at, new_id) for key, cause in present.items() if key not in known),
        *(_still(incident, present[key], alerts, at) for key, incident in known.items() if key in present),
        *(_gone(incident, alerts, at) for key, incident in known.items() if key not in present),
    ]


def _opened(
    cause: Cause, alerts: Alerts, at: datetime, new_id: Callable[[datetime], UUID]
) -> tuple[Incident, Happened | None]:
    incident = Incident(
        id=new_id(at),
        cause=cause.key,
        kind=cause.kind,
        subject=cause.subject,
        code=cause.code,
        severity=cause.severity,
        since=cause.since,
        opened_at=at,
        last_seen_at=at,
        closed_at=None,
        amount=cause.amount,
        most=cause.amount,
        reminders=0,
        next_reminder_at=at + timedelta(seconds=alerts.remind_after_secs[0]),
        acknowledged_at=None,
        acknowledged_by=None,
        acknowledgment=None,
        details=cause.details,
    )
    return incident, Happened.OPENED


def _still(incident: Incident, cause: Cause, alerts: Alerts, at: datetime) -> tuple[Incident, Happened | None]:
    seen = replace(
        incident,
        last_seen_at=at,
        amount=cause.amount,
        most=max(incident.most, cause.amount),
        code=cause.code,
        details=cause.details,
    )
    if seen.next_reminder_at is None or at < seen.next_reminder_at:
        return seen, None
    reminders = seen.reminders + 1
    pause = alerts.remind_after_secs[min(reminders, len(alerts.remind_after_secs) - 1)]
    return replace(seen, reminders=reminders, next_reminder_at=at + timedelta(seconds=pause)), Happened.REMINDER


def _gone(incident: Incident, alerts: Alerts, at: datetime) -> tuple[Incident, Happened | None]:
    if at - incident.last_seen_at < timedelta(seconds=alerts.settle_secs):
        return incident, None
    return replace(incident, closed_at=at, amount=0, next_reminder_at=None), Happened.CLOSED
