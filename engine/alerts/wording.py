"""How is an incident told to people? In Chinese first, then in English; by names and numbers, never by a patient's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from engine.alerts.causes import Kind
from engine.alerts.incidents import Happened
from engine.clock import CHINA
from engine.store.incidents import Event, Incident
from engine.store.watching import COUNTED_TO

_TITLES: dict[str, tuple[str, str]] = {
    Kind.CHANNEL_QUIET: ("通道 {subject} 没有消息", "channel {subject} is quiet"),
    Kind.BACKLOG: ("待处理消息积压", "messages wait to be processed"),
    Kind.ENDPOINT_AWAY: ("端点 {subject} 送不到（{code}）", "endpoint {subject} cannot be reached ({code})"),
    Kind.DEAD_LETTERS: ("端点 {subject} 拒收", "endpoint {subject} refused deliveries"),
    Kind.HELD: ("通道 {subject} 有报文滞留（{code}）", "messages of channel {subject} are held ({code})"),
    Kind.ERROR: ("错误待处理（{code}）{subject}", "errors to be settled ({code}) {subject}"),
    Kind.DISK: ("数据盘空间不足", "the data disk is nearly full"),
    Kind.STUDY_SHORT: ("{subject} 的检查 {code} 影像不完整", "study {code} of {subject} is short"),
    Kind.STUDIES_SHORT: ("还有许多检查影像不完整", "many more studies are short"),
}
_AMOUNTS: dict[str, tuple[str, str]] = {
    Kind.BACKLOG: ("{amount} 条在等", "waiting: {amount}"),
    Kind.ENDPOINT_AWAY: ("{amount} 份待送", "owed: {amount}"),
    Kind.DEAD_LETTERS: ("{amount} 份", "deliveries: {amount}"),
    Kind.HELD: ("{amount} 条", "messages: {amount}"),
    Kind.ERROR: ("{amount} 项", "findings: {amount}"),
    Kind.DISK: ("已用 {amount}%", "used: {amount}%"),
    Kind.STUDY_SHORT: ("缺 {amount} 幅", "instances missing: {amount}"),
    Kind.STUDIES_SHORT: ("缺 {amount} 幅", "instances missing: {amount}"),
}
_NAMED = ("：{details}", ": {details}")
_HAPPENED: dict[str, tuple[str, str]] = {
    Happened.OPENED: ("新告警", "opened"),
    Happened.REMINDER: ("仍未恢复", "still open"),
    Happened.CLOSED: ("已恢复", "closed"),
}
_HOW_LONG = ((86_400, "天", "d"), (3600, "小时", "h"), (60, "分钟", "min"))


def event(incident: Incident, happened: Happened, at: datetime) -> Event:
    """What a notice says of an incident."""
    chinese, english = told(incident, at)
    return {
        "event": str(happened),
        "incident": str(incident.id),
        "kind": incident.kind,
        "subject": incident.subject,
        "code": incident.code,
        "severity": incident.severity,
        "since": incident.since.isoformat(timespec="seconds"),
        "opened_at": incident.opened_at.isoformat(timespec="seconds"),
        "closed_at": incident.closed_at.isoformat(timespec="seconds") if incident.closed_at else None,
        "amount": incident.amount,
        "most": incident.most,
        "details": incident.details,
        "text_zh": f"{_HAPPENED[happened][0]}：{chinese}",
        "text_en": f"{_HAPPENED[happened][1]}: {english}",
    }


def told(incident: Incident, at: datetime) -> tuple[str, str]:
    """An incident in Chinese and in English."""
    amount = incident.amount if incident.closed_at is None else incident.most
    number = f"{amount}+" if amount >= COUNTED_TO else str(amount)
    lasted = (incident.closed_at or at) - incident.since
    begun = incident.since.astimezone(CHINA).strftime("%m-%d %H:%M")
    texts = []
    for language, (words, since) in enumerate(
        (("，", "自 {begun} 起，持续 {lasted}"), (", ", "since {begun}, for {lasted}"))
    ):
        parts = [_TITLES[incident.kind][language].format(subject=incident.subject, code=incident.code or "?").strip()]
        if incident.kind in _AMOUNTS:
            parts.append(_AMOUNTS[incident.kind][language].format(amount=number))
        parts.append(since.format(begun=begun, lasted=_duration(lasted, language)))
        named = _NAMED[language].format(details=incident.details) if incident.details else ""
        texts.append(words.join(parts) + named)
    return texts[0], texts[1]


def subject_line(community: str, events: Sequence[Event]) -> str:
    """One line for a mail: the first event, and how many more there are."""
    more = f"（另有 {len(events) - 1} 项）" if len(events) > 1 else ""
    return f"[互通] {community}：{events[0]['text_zh']}{more}"


def body(community: str, events: Sequence[Event]) -> str:
    """Every event in both languages."""
    chinese = "\n".join(f"· {event['text_zh']}" for event in events)
    english = "\n".join(f"- {event['text_en']}" for event in events)
    return f"{community}\n\n{chinese}\n\n{english}\n"


def _duration(lasted: timedelta, language: int) -> str:
    secs = max(0, int(lasted.total_seconds()))
    for size, chinese, english in _HOW_LONG:
        if secs >= size:
            return f"{secs // size} {(chinese, english)[language]}"
    return ("不到 1 分钟", "less than a minute")[language]
