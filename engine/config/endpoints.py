"""Whom do we call? The systems that messages and studies are sent to, or asked of."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator

from engine.config.alerts import HttpAddress
from engine.config.model import Model
from engine.config.secret import SecretReference
from engine.config.transport import EndpointTls
from engine.config.values import AeTitle, Charset, HdText, MllpAddress, Name, Secs, Text
from engine.config.windows import Window

_MOST_DOUBLINGS = 64
"""Beyond it a float would overflow, and every pause is the longest by then."""


class Retry(Model):
    """How long to wait before the next attempt: first, then times factor, up to max."""

    first_secs: Secs = 1.0
    factor: Annotated[float, Field(ge=1, le=10)] = 2.0
    max_secs: Secs = 300.0

    @model_validator(mode="after")
    def _grows(self) -> Retry:
        if self.max_secs < self.first_secs:
            raise ValueError("expected max_secs to be at least first_secs")
        return self

    def pause(self, attempts: int) -> timedelta:
        """How long to wait after an attempt; `attempts` were made before it."""
        return timedelta(seconds=min(self.max_secs, self.first_secs * self.factor ** min(attempts, _MOST_DOUBLINGS)))


class MllpEndpoint(Model):
    """A system we send HL7 v2 to, and what it wants to read in MSH-2 to MSH-18."""

    type: Literal["mllp"]
    name: Name
    facility: Name
    address: MllpAddress
    charset: Charset = "utf-8"
    version: Literal["2.3", "2.3.1", "2.4", "2.5", "2.5.1"] = "2.5.1"
    sending_application: HdText = "HUTONG"
    sending_facility: HdText = "HUTONG"
    receiving_application: HdText = ""
    receiving_facility: HdText = ""
    connect_timeout_secs: Secs = 5.0
    answer_timeout_secs: Secs = 30.0
    retry: Retry = Retry()
    tls: EndpointTls | None = None


class SendAs(StrEnum):
    """In which encoding pictures are sent that are stored without compression."""

    AS_STORED = "as-stored"
    JPEG_LS = "jpeg-ls"
    JPEG_2000 = "jpeg2000"
    HTJ2K = "htj2k"
    RLE = "rle"


class Priors(Model):
    """How earlier studies are fetched from an archive, and how many.

    most           of one patient for one order
    patient_ids_of facilities whose patient numbers it knows; none named is the archive's own facility
    """

    retrieve: Literal["move", "get"] = "move"
    most: Annotated[int, Field(ge=1, le=100)] = 5
    within_days: Annotated[int, Field(ge=1, le=36_500)] = 1825
    patient_ids_of: tuple[Name, ...] = ()


class DicomEndpoint(Model):
    """An imaging system that we call: studies are sent to it, and earlier ones asked of it."""

    type: Literal["dicom"]
    name: Name
    facility: Name
    host: Text
    port: Annotated[int, Field(ge=1, le=65535)]
    ae_title: AeTitle
    calling_ae_title: AeTitle = "HUTONG"
    """What we call ourselves; it must know us by this title, and move objects to it (C-MOVE)."""
    max_associations: Annotated[int, Field(ge=1, le=16)] = 1
    """Studies that are sent to it at once, each over an association of its own."""
    windows: tuple[Window, ...] = ()
    """When it may be sent to, on a clock in China; none named is always. Urgent studies do not wait for them."""
    max_bytes_per_sec: Annotated[int, Field(ge=1024, le=10_000_000_000)] | None = None
    """What its line may be filled with, over all associations; None does not limit it."""
    transfer_syntax: SendAs = SendAs.AS_STORED
    priors: Priors = Priors()
    performed_steps_of: tuple[Name, ...] = ()
    """Facilities whose performed procedure steps (MPPS) it is told of, as their modalities tell us."""
    availability_of: tuple[Name, ...] = ()
    """Facilities of whose studies it is told that they are available here (instance availability notification)."""
    commits: bool = False
    """True: it is asked to keep for good what was sent to it (storage commitment), and the answer is kept."""
    connect_timeout_secs: Secs = 10.0
    answer_timeout_secs: Secs = 60.0
    retry: Retry = Retry()
    tls: EndpointTls | None = None


class HutongEndpoint(Model):
    """Another hub that studies are sent to, over a line that may be thin and may break."""

    type: Literal["hutong"]
    name: Name
    facility: Name
    """Of this community: studies of its own are not sent back to it."""
    url: HttpAddress
    token: SecretReference
    """Issued by that hub, for a user with the role sender: the studies are kept as those of that user's facility."""
    windows: tuple[Window, ...] = ()
    """When it may be sent to, on a clock in China; none named is always. Urgent studies do not wait for them."""
    max_bytes_per_sec: Annotated[int, Field(ge=1024, le=10_000_000_000)] | None = None
    """What its line may be filled with; None does not limit it."""
    answer_timeout_secs: Secs = 60.0
    retry: Retry = Retry()
    tls: EndpointTls | None = None


Endpoint = MllpEndpoint | DicomEndpoint | HutongEndpoint
