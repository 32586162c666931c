"""How does a notice reach its receiver? A webhook by HTTP POST, people by SMTP; foreign errors become ours here."""

from __future__ import annotations

import hmac
import json
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import aiosmtplib
import httpx

from engine.alerts import wording
from engine.config import Community
from engine.config.alerts import Email, Webhook
from engine.config.secret import secret
from engine.errors import DeliveryError
from engine.store.incidents import Notice

TIMEOUT_SECS = 10.0
SIGNATURE = "X-Hutong-Signature"
NOTICE = "X-Hutong-Notice"
TIMESTAMP = "X-Hutong-Timestamp"


class Receiver(Protocol):
    """Raises DeliveryError, or ConfigurationError for a secret that is not there."""

    async def send(self, notice: Notice, at: datetime) -> None: ...


class WebhookReceiver:
    """POSTs JSON. Any 2xx answer is a receipt; a redirection is not followed, because it could lead anywhere."""

    def __init__(self, webhook: Webhook, community: str, folder: Path) -> None:
        self._webhook = webhook
        self._community = community
        self._folder = folder

    async def send(self, notice: Notice, at: datetime) -> None:
        content = json.dumps(
            {
                "hub": self._community,
                "notice": str(notice.id),
                "sent_at": at.isoformat(timespec="seconds"),
                "events": notice.events,
            },
            ensure_ascii=False,
        ).encode()
        moment = str(int(at.timestamp()))
        headers = {"Content-Type": "application/json; charset=utf-8", NOTICE: str(notice.id), TIMESTAMP: moment}
        if self._webhook.secret is not None:
            headers[SIGNATURE] = signature(secret(self._webhook.secret, self._folder), moment, content)
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_SECS, trust_env=False, follow_redirects=False) as client:
                answer = await client.post(self._webhook.url, content=content, headers=headers)
        except httpx.HTTPError as error:
            raise DeliveryError("the webhook cannot be reached", code=type(error).__name__) from error
        if not answer.is_success:
            raise DeliveryError("the webhook did not take the notice", code=f"http-{answer.status_code}")


def signature(key: str, moment: str, content: bytes) -> str:
    """`sha256=` and the HMAC over time, a point and the body: neither can be changed or sent again later unnoticed."""
    return "sha256=" + hmac.new(key.encode(), moment.encode() + b"." + content, sha256).hexdigest()


class EmailReceiver:
    """Hands one mail for all addresses to the mail server."""

    def __init__(self, email: Email, community: str, folder: Path) -> None:
        self._email = email
        self._community = community
        self._folder = folder

    async def send(self, notice: Notice, at: datetime) -> None:
        email = self._email
        password = secret(email.password, self._folder) if email.password is not None else None
        try:
            await aiosmtplib.send(
                self._message(notice, at),
                hostname=email.host,
                port=email.port,
                use_tls=email.security == "tls",
                start_tls=email.security == "starttls",
                username=email.user,
                password=password,
                timeout=TIMEOUT_SECS,
            )
        except (aiosmtplib.SMTPException, OSError) as error:
            raise DeliveryError("the mail server did not take the notice", code=type(error).__name__) from error

    def _message(self, notice: Notice, at: datetime) -> EmailMessage:
        message = EmailMessage()
        message["Subject"] = " ".join(wording.subject_line(self._community, notice.events).split())
        message["From"] = self._email.sender
        message["To"] = ", ".join(self._email.to)
        message["Date"] = format_datetime(at)
        message["Message-ID"] = f"<{notice.id}@hutong>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5: nobody's holiday answers it
        message.set_content(wording.body(self._community, notice.events), charset="utf-8")
        return message


def receivers_of(community: Community) -> dict[str, Receiver]:
    """By the name under which notices are kept."""
    where = (community.name, community.folder)
    webhooks: dict[str, Receiver] = {
        f"webhook/{name}": WebhookReceiver(webhook, *where) for name, webhook in community.alerts.webhooks.items()
    }
    return webhooks | {f"email/{name}": EmailReceiver(email, *where) for name, email in community.alerts.emails.items()}
