"""What is wrong now? From one look at the hub to its causes. Pure: the same look gives the same causes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from engine.alerts.working_time import working_secs
from engine.config.alerts import Alerts, Backlog, Quiet
from engine.store.study_states import ShortSeen
from engine.store.watching import BacklogSeen, ChannelSeen, EndpointSeen, TroubleSeen

LEARNED_FROM_DAYS = 14
LEARNED_AT_LEAST_DAYS = 5
"""Days with messages that must be known before a channel's silence says anything."""
LEARNED_FACTOR = 1.5
LEARNED_AT_LEAST_SECS = 3600.0
"""The longest silence of the last fortnight and half as much again, and never less than an hour: an alert that is often
wrong is soon read by nobody."""


MOST_SHORT = 100
"""Studies that have an incident each; of more a system is to blame, not a lost image."""
SHORT_SEEN = 1000
"""Studies that one look counts."""
INSTANCES_NAMED = 20


class Kind(StrEnum):
    CHANNEL_QUIET = "channel-quiet"
    BACKLOG = "backlog"
    ENDPOINT_AWAY = "endpoint-away"
    DEAD_LETTERS = "dead-letters"
    HELD = "held"
    ERROR = "error"
    DISK = "disk"
    STUDY_SHORT = "study-short"
    STUDIES_SHORT = "studies-short"
    """More of them than have an incident each."""


BY_CODE = frozenset({Kind.HELD, Kind.ERROR, Kind.STUDY_SHORT})
"""Kinds whose codes are troubles of their own."""
WARNINGS = frozenset({Kind.CHANNEL_QUIET})
"""Kinds that may turn out to be nothing."""


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk of the data folder."""

    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Look:
    """The hub at one moment.

    growth  how many messages waited at each earlier look, oldest first
    short   studies that have been short for long, the longest first
    """

    channels: Sequence[ChannelSeen]
    backlog: BacklogSeen
    growth: Sequence[tuple[datetime, int]]
    endpoints: Sequence[EndpointSeen]
    refused: Sequence[TroubleSeen]
    held: Sequence[TroubleSeen]
    errors: Sequence[TroubleSeen]
    disk: Disk | None
    short: Sequence[ShortSeen] = ()


@dataclass(frozen=True, slots=True)
class Cause:
    """One trouble. `amount` counts what suffers from it: messages, deliveries, findings; of a disk the percent used.

    details  what a name and a number do not say: instances that are missing
    """

    kind: Kind
    subject: str
    code: str
    since: datetime
    amount: int
    details: str = ""

    @property
    def key(self) -> str:
        """What makes it one trouble: an endpoint that refuses first and is away then is one."""
        return "/".join((self.kind, self.subject, *([self.code] if self.kind in BY_CODE else [])))

    @property
    def severity(self) -> str:
        return "warning" if self.kind in WARNINGS else "error"


def causes(look: Look, alerts: Alerts, channels: Sequence[str], at: datetime) -> list[Cause]:
    """Every cause there is, each once. `channels` are those of the configuration: others have been taken away."""
    found = [
        *_quiet(look, alerts, channels, at),
        *_backlog(look, alerts.backlog, at),
        *_away(look, alerts.endpoint_away_secs, at),
        *(_of(Kind.DEAD_LETTERS, trouble) for trouble in look.refused),
        *(_of(Kind.HELD, trouble) for trouble in look.held),
        *(_of(Kind.ERROR, trouble) for trouble in look.errors),
        *_short(look.short),
    ]
    if look.disk is not None and look.disk.total_bytes:
        free = 100 * look.disk.free_bytes / look.disk.total_bytes
        if free < alerts.disk_free_min_percent:
            found.append(Cause(Kind.DISK, "data", "", at, round(100 - free)))
    return found


def _of(kind: Kind, trouble: TroubleSeen) -> Cause:
    return Cause(kind, trouble.subject, trouble.code, trouble.oldest_at, trouble.amount)


def _short(studies: Sequence[ShortSeen]) -> list[Cause]:
    """One for each study; of a flood the longest, and one for all the others."""
    found = [
        Cause(Kind.STUDY_SHORT, one.facility, one.uid, one.since, one.missing, _missing(one))
        for one in studies[:MOST_SHORT]
    ]
    if others := studies[MOST_SHORT:]:
        missing = sum(one.missing for one in others)
        found.append(Cause(Kind.STUDIES_SHORT, "", "", others[0].since, missing))
    return found


def _missing(study: ShortSeen) -> str:
    """The first of the missing instances, by name."""
    return " ".join(study.missing_uids[:INSTANCES_NAMED])


def _quiet(look: Look, alerts: Alerts, channels: Sequence[str], at: datetime) -> list[Cause]:
    found = []
    for seen in look.channels:
        if seen.channel not in channels:
            continue
        rule = alerts.channels.get(seen.channel) or Quiet(name=seen.channel)
        limit = quiet_after_secs(rule, seen, alerts.learn_quiet)
        if limit is not None and working_secs(seen.last_at, at, rule.working_hours) >= limit:
            found.append(Cause(Kind.CHANNEL_QUIET, seen.channel, "", seen.last_at, 0))
    return found


def quiet_after_secs(rule: Quiet, seen: ChannelSeen, learn: bool) -> float | None:
    """How long a channel may be silent: what is configured, or what was learned; None where nothing is known yet."""
    if not rule.expected:
        return None
    if rule.quiet_after_secs is not None:
        return rule.quiet_after_secs
    if not learn or len(seen.longest_gaps) < LEARNED_AT_LEAST_DAYS:
        return None
    return max(LEARNED_AT_LEAST_SECS, LEARNED_FACTOR * max(seen.longest_gaps.values()))


def _backlog(look: Look, rule: Backlog, at: datetime) -> list[Cause]:
    oldest, waiting = look.backlog.oldest_at, look.backlog.waiting
    if oldest is not None and (at - oldest).total_seconds() >= rule.older_than_secs:
        return [Cause(Kind.BACKLOG, "inbox", "", oldest, waiting)]
    growing = _growing_since(look, waiting) if waiting >= rule.growing_from else None
    if growing is not None and at - growing >= timedelta(seconds=rule.growing_for_secs):
        return [Cause(Kind.BACKLOG, "inbox", "", growing, waiting)]
    return []


def _growing_since(look: Look, waiting: int) -> datetime | None:
    """Since when there were never fewer than at the look before; None when there are fewer now."""
    since: datetime | None = None
    later = waiting
    for moment, number in reversed(look.growth):
        if number > later:
            break
        since, later = moment, number
    return since


def _away(look: Look, limit_secs: float, at: datetime) -> list[Cause]:
    """Refused for now, out of reach, or not even tried: what is owed first does not arrive."""
    found = []
    for seen in look.endpoints:
        since = seen.failing_since or seen.oldest_at
        if (at - since).total_seconds() >= limit_secs:
            code = seen.last_error if seen.failing_since else "not-tried"
            found.append(Cause(Kind.ENDPOINT_AWAY, seen.endpoint, code, since, seen.owed))
    return found
