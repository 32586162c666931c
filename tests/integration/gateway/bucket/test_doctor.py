"""Doctor tries the bucket, and says what is wrong with it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.cli.doctor import State, object_store
from engine.config import load
from engine.config.objects import S3Objects
from tests.integration.gateway.bucket.service import ACCESS_KEY, BUCKET, SECRET_KEY, Service

EXAMPLE = Path(__file__).parents[4] / "docker" / "example"


async def test_doctor_tries_the_bucket_and_says_what_is_wrong_with_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUTONG_TEST_RIGHT", SECRET_KEY)
    monkeypatch.setenv("HUTONG_TEST_WRONG", "another-secret-key")
    monkeypatch.setenv("HUTONG_TEST_ACCESS_KEY", ACCESS_KEY)
    monkeypatch.delenv("HUTONG_TEST_ABSENT", raising=False)
    at = f"http://127.0.0.1:{service.line.port}"

    async def told(secret: str = "RIGHT", bucket: str = BUCKET) -> tuple[bool, str]:
        keys = {"access_key": "env:HUTONG_TEST_ACCESS_KEY", "secret_key": f"env:HUTONG_TEST_{secret}"}
        place = S3Objects.model_validate({"type": "s3", "address": at, "bucket": bucket, **keys})
        (check,) = await asyncio.to_thread(object_store, load(EXAMPLE).model_copy(update={"objects": place}))
        return check.state is State.GOOD, f"{check.found} {check.mend}"

    assert (await told())[0]
    for wrong, said in (
        ({"secret": "WRONG"}, "SignatureDoesNotMatch"),
        ({"secret": "ABSENT"}, "env:HUTONG_TEST_ABSENT is empty"),
        ({"bucket": "elsewhere"}, "no such bucket"),
    ):
        good, text = await told(**wrong)
        assert not good
        assert said in text
        assert "another-secret-key" not in text
    service.line.down = True
    assert "cannot be reached" in (await told())[1]
