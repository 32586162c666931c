"""Where do finished objects live? In the data folder, or in a bucket of an S3 service: `objects` of community.yaml."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from engine.config.model import Model
from engine.config.secret import SecretReference
from engine.config.transport import EndpointTls


def _address(value: str) -> str:
    if not re.fullmatch(r"https?://(?:\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]@?#]+)(:\d{1,5})?/?", value):
        raise ValueError("expected an address such as https://s3.example.cn:9000, without a path and without a key")
    try:
        urlsplit(value).port  # noqa: B018 - it is read to see whether it is one
    except ValueError:
        raise ValueError("expected a port up to 65535") from None
    return value.rstrip("/")


class DiskObjects(Model):
    """In the data folder."""

    type: Literal["disk"] = "disk"


class S3Objects(Model):
    """In a bucket of a service that speaks S3.

    prefix        stands before every key: several hubs may share a bucket
    timeout_secs  for connecting and for each answer to begin
    """

    type: Literal["s3"]
    address: Annotated[str, AfterValidator(_address)]
    bucket: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    prefix: Annotated[str, StringConstraints(pattern=r"^([0-9A-Za-z][0-9A-Za-z._-]*/)*$", max_length=200)] = ""
    region: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z-]+$", max_length=64)] = "us-east-1"
    access_key: SecretReference
    secret_key: SecretReference
    timeout_secs: Annotated[float, Field(gt=0, le=600)] = 30.0
    tls: EndpointTls | None = None

    @property
    def is_protected(self) -> bool:
        """Whether it is spoken to over TLS."""
        return self.address.startswith("https:")

    @model_validator(mode="after")
    def _tls_needs_https(self) -> S3Objects:
        if self.tls is not None and not self.is_protected:
            raise ValueError("expected an address that begins with https, because of tls")
        return self


ObjectsPlace = DiskObjects | S3Objects
