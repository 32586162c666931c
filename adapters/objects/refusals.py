"""What did the S3 service say, or not say? Its errors, those of the line to it, and what each means to us."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree.ElementTree import ParseError as BrokenXml

from minio.error import MinioException, S3Error
from urllib3.exceptions import HTTPError

from engine.errors import HutongError, NotFoundError, StorageError

_MISSING = frozenset({"NoSuchKey", "NoSuchObject", "ResourceNotFound"})
_CODE = re.compile(r"<Error>.*?<Code>([A-Za-z0-9]{1,60})</Code>", re.DOTALL)
_REASONS = {
    "AccessDenied": "it refuses these keys (AccessDenied)",
    "InvalidAccessKeyId": "it does not know the access key (InvalidAccessKeyId)",
    "SignatureDoesNotMatch": "the secret key is not that of the access key (SignatureDoesNotMatch)",
    "RequestTimeTooSkewed": "its clock and this machine's differ too much (RequestTimeTooSkewed)",
    "NoSuchBucket": "it has no such bucket (NoSuchBucket)",
    "AuthorizationHeaderMalformed": "the bucket is of another region (AuthorizationHeaderMalformed)",
}
"""The codes that a wrong configuration is told by, and what they mean."""


@contextmanager
def as_ours() -> Iterator[None]:
    """Turns what minio and urllib3 raise into NotFoundError (no such object) and StorageError (all else)."""
    try:
        yield
    except HutongError:
        raise
    except (MinioException, BrokenXml) as error:
        if (code := _code(error)) in _MISSING:
            raise NotFoundError("the object is not in the store", code="object-missing") from None
        if code:
            raise StorageError(f"the object store refuses: {_REASONS.get(code, code)}") from None
        raise StorageError(f"what answers is no object store: {type(error).__name__}") from None
    except (HTTPError, OSError, ValueError) as error:
        raise StorageError(f"the object store cannot be reached: {_last(error)}") from None


def _code(error: Exception) -> str:
    """What the service calls its refusal; empty where it says nothing.

    minio reads it from answers of one media type only, and some services use the other one for XML.
    """
    if isinstance(error, S3Error):
        return str(error.code)[:60]
    match = _CODE.search(str(error))
    return match[1] if match else ""


def _last(error: BaseException) -> str:
    """The kind of what went wrong; urllib3 wraps it, and its text may hold keys of objects."""
    reason = getattr(error, "reason", None)
    return type(reason if isinstance(reason, BaseException) else error).__name__
