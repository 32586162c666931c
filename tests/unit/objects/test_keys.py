"""Keys of a bucket are spread by the hash and tell nothing of a patient; what a service refuses is said in words."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256

import pytest
from minio.error import InvalidResponseError, S3Error, ServerError
from urllib3 import HTTPResponse
from urllib3.exceptions import MaxRetryError, NewConnectionError

from adapters.objects.keys import key_of
from adapters.objects.refusals import as_ours
from engine.errors import NotFoundError, StorageError
from pacs_gateway.location import location

HASH = bytes.fromhex("abcd" + "0" * 60)


def test_a_key_begins_with_the_hash_and_holds_no_study() -> None:
    at = location("baishi", "1.2.3.19700101.4", HASH)
    assert key_of(at) == f"ab/cd/baishi/{HASH.hex()}.dcm"
    assert key_of(at, "qingxi/") == f"qingxi/ab/cd/baishi/{HASH.hex()}.dcm"


def test_the_objects_of_one_study_are_spread_over_all_beginnings() -> None:
    keys = [key_of(location("baishi", "1.2.3", sha256(str(n).encode()).digest())) for n in range(2000)]
    first = Counter(key[:2] for key in keys)
    assert len(set(keys)) == 2000
    assert len(first) > 250
    assert max(first.values()) < 40


@pytest.mark.parametrize(
    "at", ["", "x", "../../etc/passwd", f"a/b/../{HASH.hex()}.dcm", f"a/1.2/{HASH.hex()}", f"/1.2/{HASH.hex()}.dcm"]
)
def test_what_is_no_location_has_no_key(at: str) -> None:
    with pytest.raises(StorageError):
        key_of(at)


def refusal(code: str) -> S3Error:
    return S3Error(HTTPResponse(status=403), code, "in words", "/pictures/key-of-an-object", None, None)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (refusal("AccessDenied"), "refuses these keys"),
        (refusal("NoSuchBucket"), "no such bucket"),
        (refusal("QuotaExceeded"), "refuses: QuotaExceeded"),
        (
            InvalidResponseError(403, "text/xml", "<Error><Code>SignatureDoesNotMatch</Code></Error>"),
            "the secret key is not that",
        ),
        (InvalidResponseError(200, "text/html", "<html>a proxy's page</html>"), "what answers is no object store"),
        (ServerError("server failed", 503), "what answers is no object store"),
        (MaxRetryError(None, "/pictures/key", NewConnectionError(None, "no")), "cannot be reached: NewConnection"),  # type: ignore[arg-type]  # no pool is needed to tell
        (TimeoutError(), "cannot be reached: TimeoutError"),
    ],
)
def test_what_a_service_refuses_is_said_without_the_key(error: Exception, said: str) -> None:
    with pytest.raises(StorageError) as refused, as_ours():
        raise error
    assert said in refused.value.message
    assert "key-of-an-object" not in refused.value.message


@pytest.mark.parametrize(
    "error", [refusal("NoSuchKey"), InvalidResponseError(404, "text/xml", "<Error><Code>NoSuchKey</Code></Error>")]
)
def test_an_object_that_is_not_there_is_none_of_the_services_faults(error: Exception) -> None:
    with pytest.raises(NotFoundError), as_ours():
        raise error
