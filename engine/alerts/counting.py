"""What does each channel usually do? Arrivals are counted after the fact, in small steps behind the present."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from engine.alerts.working_time import working_secs
from engine.clock import CHINA
from engine.config.alerts import Quiet
from engine.store import watching
from engine.store.database import Connection

LATE_SECS = 5.0
"""An id is made before its commit: what is younger than this may still appear."""
STEP = timedelta(minutes=5)
STEPS_A_LOOK = 12
FIRST_COUNTED = timedelta(days=1)
"""How far back a hub counts that was never watched."""


async def count_arrivals(connection: Connection, rules: Mapping[str, Quiet], at: datetime) -> bool:
    """Counts what came since the last look, one transaction a step; True once it has caught up with the present."""
    until = at - timedelta(seconds=LATE_SECS)
    since = await watching.counted_to(connection) or until - FIRST_COUNTED
    for _ in range(STEPS_A_LOOK):
        if since >= until:
            return True
        # Where nothing came there is nothing to count: a quiet night is one step.
        first = await watching.first_arrival(connection, since, until)
        step = min((first or until) + STEP, until)
        async with connection.transaction():
            await _count(connection, rules, since, step)
        since = step
    return since >= until


async def _count(connection: Connection, rules: Mapping[str, Quiet], since: datetime, until: datetime) -> None:
    came = await watching.arrivals(connection, since, until)
    last = await watching.last_times(connection)
    gaps = {
        each.channel: working_secs(
            last.get(each.channel, each.first_at),
            each.first_at,
            rules[each.channel].working_hours if each.channel in rules else None,
        )
        for each in came
    }
    days = {each.channel: each.last_at.astimezone(CHINA).date() for each in came}
    await watching.count(connection, came, gaps, days, until)
