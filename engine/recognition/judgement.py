"""Does one earlier result pass the rules of this community, and for which reasons?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Verdict(StrEnum):
    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Rules:
    """How long results stay recognisable. `days_of_item` is by recognition code, `default_days` for the others."""

    default_days: int
    days_of_item: Mapping[str, int]

    def days(self, codes: frozenset[str]) -> int:
        """The days of an item; where several codes of it have a rule, the strictest."""
        return min((self.days_of_item[code] for code in codes if code in self.days_of_item), default=self.default_days)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a doctor is about to order. `codes` are all that name the item: local, regional and recognition codes."""

    codes: frozenset[str]
    facility: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Earlier:
    """A report that exists, as far as the rules look at it.

    facility     where the data were made, not where they were read
    observed_at  when the patient was examined
    data         references to what can be recognised: studies, result lines
    """

    report: str
    codes: frozenset[str]
    facility: str
    observed_at: datetime
    final: bool
    data: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that spoke for or against."""

    code: str
    text: str
    against: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    verdict: Verdict
    age_days: int
    valid_days: int
    reasons: tuple[Reason, ...]


def judge(asked: Asked, earlier: Earlier, rules: Rules) -> Judgement:
    """Every reason is given, not only the first against it. One reason against is enough to deny."""
    age = (asked.at - earlier.observed_at) // timedelta(days=1)
    valid_days = rules.days(earlier.codes)
    reasons = (
        _item(asked, earlier),
        _age(age, valid_days),
        _facility(asked, earlier),
        _signature(earlier),
        _data(earlier),
    )
    verdict = Verdict.DENY if any(reason.against for reason in reasons) else Verdict.ALLOW
    return Judgement(verdict, age, valid_days, reasons)


def _item(asked: Asked, earlier: Earlier) -> Reason:
    if asked.codes & earlier.codes:
        return Reason("same-item", "同一互认项目")
    return Reason("other-item", "不是同一互认项目", against=True)


def _age(age: int, valid_days: int) -> Reason:
    if age < 0:
        return Reason("in-the-future", "检查时间晚于当前时间，请核对设备时钟", against=True)
    if age > valid_days:
        return Reason("expired", f"已过 {age} 天，超过互认时限 {valid_days} 天", against=True)
    return Reason("within-validity", f"{age} 天前检查，互认时限 {valid_days} 天内")


def _facility(asked: Asked, earlier: Earlier) -> Reason:
    if earlier.facility == asked.facility:
        return Reason("same-facility", "本机构的检查，直接调阅即可，不属于互认", against=True)
    return Reason("within-community", "医共体内机构的检查，全部项目互认")


def _signature(earlier: Earlier) -> Reason:
    if earlier.final:
        return Reason("signed", "报告已签发")
    return Reason("not-signed", "报告尚未签发", against=True)


def _data(earlier: Earlier) -> Reason:
    if earlier.data:
        return Reason("data-available", "原始影像或数据可调阅；互认的是检查数据，不含诊断意见")
    return Reason("no-data", "没有可调阅的原始影像或数据", against=True)
