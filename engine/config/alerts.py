"""What is worth an alert, and who is told? `alerts.yaml`; without it incidents stand in the console alone."""

from __future__ import annotations

import re
from datetime import time
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from engine.config.model import Model
from engine.config.secret import SecretReference

LookSecs = Annotated[float, Field(ge=1, le=3600)]
LongSecs = Annotated[float, Field(gt=0, le=90 * 86_400)]
"""Up to a quarter of a year."""


class Weekday(StrEnum):
    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


def _clock_time(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        raise ValueError("expected a time of day such as 07:30")
    return value


def _http_address(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", value):
        raise ValueError("expected an address such as https://alerts.example.cn/hutong, without a password in it")
    return value


def _mail_address(value: str) -> str:
    if not re.fullmatch(r"[^\s@<>\",;:]+@[^\s@<>\",;:]+", value):
        raise ValueError("expected a mail address such as it@hospital.example.cn")
    return value


TimeOfDay = Annotated[time, BeforeValidator(_clock_time)]
HttpAddress = Annotated[str, StringConstraints(max_length=500), AfterValidator(_http_address)]
MailAddress = Annotated[str, StringConstraints(max_length=254), AfterValidator(_mail_address)]


class WorkingHours(Model):
    """When messages are to be expected, in China's time. Silence outside these hours does not count."""

    days: Annotated[tuple[Weekday, ...], Field(min_length=1)] = tuple(Weekday)
    start: TimeOfDay
    end: TimeOfDay

    @model_validator(mode="after")
    def _ends_later(self) -> WorkingHours:
        if self.end <= self.start:
            raise ValueError("expected end to be later than start, on the same day")
        return self


class Quiet(Model):
    """When one channel counts as quiet.

    quiet_after_secs  None learns it from what the channel usually does
    expected          false: this channel may be quiet for ever
    """

    name: str
    quiet_after_secs: LongSecs | None = None
    working_hours: WorkingHours | None = None
    expected: bool = True


class Backlog(Model):
    """When the messages that wait to be processed are too many, or wait for too long."""

    older_than_secs: LongSecs = 300.0
    growing_for_secs: LongSecs = 900.0
    growing_from: Annotated[int, Field(ge=1)] = 1000
    """Fewer than this may grow as they like."""


class Webhook(Model):
    """A system that takes alerts as JSON by HTTP POST."""

    name: str
    url: HttpAddress
    secret: SecretReference | None = None
    """Signs what is sent: HMAC-SHA256 over time and body."""


class Email(Model):
    """People who take alerts by mail."""

    name: str
    host: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=253)]
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str | None = None
    password: SecretReference | None = None
    sender: MailAddress
    to: Annotated[tuple[MailAddress, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _password_stays_secret(self) -> Email:
        if (self.user is None) != (self.password is None):
            raise ValueError("expected user and password together")
        if self.user is not None and self.security == "none":
            raise ValueError("expected security: starttls or tls, because a password would be sent in the clear")
        return self


class Alerts(Model):
    """How incidents are found, kept and told.

    look_every_secs   between two looks at the whole hub
    settle_secs       how long a trouble must be gone before its incident closes: what flaps is one incident
    gather_secs       between two notices to one receiver: a burst is one notice
    remind_after_secs after how long an open incident is told again; the last one repeats
    endpoint_away_secs  how long an endpoint may refuse or be away
    study_short_secs  how long a study may be short before somebody is told
    disk_free_min_percent  of the disk that holds the data folder
    learn_quiet       whether a channel without quiet_after_secs is watched by what it usually does
    """

    look_every_secs: LookSecs = 15.0
    settle_secs: Annotated[float, Field(ge=0, le=86_400)] = 120.0
    gather_secs: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    remind_after_secs: Annotated[tuple[LongSecs, ...], Field(min_length=1)] = (3600.0, 14_400.0, 86_400.0)
    endpoint_away_secs: LongSecs = 120.0
    study_short_secs: LongSecs = 300.0
    disk_free_min_percent: Annotated[float, Field(ge=0, le=90)] = 10.0
    learn_quiet: bool = True
    backlog: Backlog = Backlog()
    channels: dict[str, Quiet] = Field(default_factory=dict)
    webhooks: dict[str, Webhook] = Field(default_factory=dict)
    emails: dict[str, Email] = Field(default_factory=dict)
