"""A notice arrives at a real mail server and a real web server, or it is said why not."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiosmtpd.smtp import SMTP

from engine.alerts.receivers import EmailReceiver, WebhookReceiver
from engine.config.alerts import Email, Webhook
from engine.errors import ConfigurationError, DeliveryError
from engine.store.incidents import Notice

AT = datetime(2026, 11, 20, 4, tzinfo=UTC)
NOTICE = Notice(
    UUID(int=7),
    "x",
    AT,
    0,
    [
        {
            "event": "opened",
            "text_zh": "新告警：通道 qingxi-his 没有消息",
            "text_en": "opened: channel qingxi-his is quiet",
        },
        {"event": "closed", "text_zh": "已恢复：数据盘空间不足", "text_en": "closed: the data disk is nearly full"},
    ],
)


class Web:
    """An HTTP server that keeps what it got and answers `status`."""

    def __init__(self) -> None:
        self.status = 204
        self.port = 0
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.silent = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = {line.split(": ")[0].lower(): line.split(": ", 1)[1] for line in head.split("\r\n")[1:] if line}
        self.got.append((headers, await reader.readexactly(int(headers["content-length"]))))
        location = "Location: http://127.0.0.1:1/\r\n" if self.status == 302 else ""
        writer.write(f"HTTP/1.1 {self.status} X\r\n{location}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    web = Web()
    server = await asyncio.start_server(web.serve, "127.0.0.1", 0)
    web.port = server.sockets[0].getsockname()[1]
    yield web
    server.close()
    await server.wait_closed()


class Post:
    """What a mail server took."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], bytes]] = []
        self.refuses = False
        self.port = 0

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        if self.refuses:
            return "554 no"
        self.mails.append((envelope.rcpt_tos, envelope.content))
        return "250 OK"

    def email(self, **more: Any) -> Email:
        values = {"name": "it", "host": "127.0.0.1", "port": self.port, "security": "none", "sender": "hub@x.cn"}
        return Email.model_validate({**values, "to": ("a@x.cn", "b@x.cn"), **more})


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    post = Post()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(post), "127.0.0.1", 0)
    post.port = server.sockets[0].getsockname()[1]
    yield post
    server.close()
    await server.wait_closed()


async def test_a_webhook_gets_signed_json(web: Web, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("geheim\n")
    receiver = WebhookReceiver(
        Webhook(name="it", url=f"http://127.0.0.1:{web.port}/in", secret="file:key"), "青溪县", tmp_path
    )
    await receiver.send(NOTICE, AT)
    headers, content = web.got[0]
    body = json.loads(content)
    assert (body["hub"], body["notice"], len(body["events"])) == ("青溪县", str(NOTICE.id), 2)
    expected = hmac.new(b"geheim", headers["x-hutong-timestamp"].encode() + b"." + content, sha256).hexdigest()
    assert headers["x-hutong-signature"] == f"sha256={expected}"
    assert headers["x-hutong-notice"] == str(NOTICE.id)


async def test_a_webhook_without_a_secret_is_not_signed(web: Web, tmp_path: Path) -> None:
    await WebhookReceiver(Webhook(name="it", url=f"http://127.0.0.1:{web.port}"), "x", tmp_path).send(NOTICE, AT)
    assert "x-hutong-signature" not in web.got[0][0]


@pytest.mark.parametrize("status", [302, 400, 404, 500])
async def test_an_answer_that_is_no_receipt(web: Web, tmp_path: Path, status: int) -> None:
    web.status = status
    with pytest.raises(DeliveryError) as refused:
        await WebhookReceiver(Webhook(name="it", url=f"http://127.0.0.1:{web.port}"), "x", tmp_path).send(NOTICE, AT)
    assert refused.value.code == f"http-{status}"
    assert len(web.got) == 1


async def test_a_webhook_that_is_away(free_port: int, tmp_path: Path) -> None:
    with pytest.raises(DeliveryError):
        await WebhookReceiver(Webhook(name="it", url=f"http://127.0.0.1:{free_port}"), "x", tmp_path).send(NOTICE, AT)


@pytest.mark.parametrize("reference", ["env:HUTONG_NOT_THERE", "file:not-there", "file:empty"])
async def test_a_secret_that_is_not_there_sends_nothing(web: Web, tmp_path: Path, reference: str) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(ConfigurationError, match=reference):
        await WebhookReceiver(
            Webhook(name="it", url=f"http://127.0.0.1:{web.port}", secret=reference), "x", tmp_path
        ).send(NOTICE, AT)
    assert web.got == []


async def test_a_mail_has_a_chinese_subject_and_both_languages(post: Post, tmp_path: Path) -> None:
    await EmailReceiver(post.email(), "青溪县", tmp_path).send(NOTICE, AT)
    recipients, content = post.mails[0]
    mail = message_from_bytes(content, policy=policy.default)
    assert recipients == ["a@x.cn", "b@x.cn"]
    assert mail["Subject"] == "[互通] 青溪县：新告警：通道 qingxi-his 没有消息（另有 1 项）"
    assert b"Subject: =?utf-8?" in content
    assert mail.get_content_charset() == "utf-8"
    assert "已恢复：数据盘空间不足" in mail.get_content()
    assert "closed: the data disk is nearly full" in mail.get_content()


async def test_a_name_with_a_line_end_adds_no_header(post: Post, tmp_path: Path) -> None:
    await EmailReceiver(post.email(), "青溪\r\nBcc: c@x.cn", tmp_path).send(NOTICE, AT)
    assert post.mails[0][0] == ["a@x.cn", "b@x.cn"]
    assert message_from_bytes(post.mails[0][1])["Bcc"] is None


async def test_a_mail_server_that_refuses_or_is_away(post: Post, free_port: int, tmp_path: Path) -> None:
    post.refuses = True
    with pytest.raises(DeliveryError):
        await EmailReceiver(post.email(), "x", tmp_path).send(NOTICE, AT)
    away = post.email(port=free_port)
    with pytest.raises(DeliveryError):
        await EmailReceiver(away, "x", tmp_path).send(NOTICE, AT)


async def test_a_server_without_tls_gets_no_mail_that_asks_for_it(post: Post, tmp_path: Path) -> None:
    asked = post.email(security="starttls")
    with pytest.raises(DeliveryError):
        await EmailReceiver(asked, "x", tmp_path).send(NOTICE, AT)
    assert post.mails == []
