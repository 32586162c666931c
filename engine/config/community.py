"""What does a community's configuration look like? The models of every YAML file, frozen and valid once built.

Scalars arrive as the text that was written (`engine.config.document`), and these models decide their type:
`version: 2.4` is the text 2.4 and `port: 2575` a number, quoted or not.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from engine.config.alerts import Alerts
from engine.config.endpoints import DicomEndpoint, Endpoint, HutongEndpoint, MllpEndpoint
from engine.config.entries import AeEntry
from engine.config.model import Model
from engine.config.objects import DiskObjects, ObjectsPlace
from engine.config.transport import Allowed, HttpTls, ListenerTls
from engine.config.values import AeTitle, Charset, MessageType, Modality, Name, Port, Secs, Text
from engine.config.windows import Window
from engine.identifiers import ae_destination

DICOM_PORT = 11112
MLLP_LIMIT_BYTES = 16 * 1024 * 1024
"""A report with an embedded PDF is a few megabytes; a message larger than this is a mistake or an attack."""
FILE_LIMIT_BYTES = 64 * 1024 * 1024
"""A day of a busy laboratory. A file is read whole, so this is also what it costs in memory, twice."""


class Level(StrEnum):
    """Where in the county a facility stands."""

    VILLAGE = "village"
    TOWNSHIP = "township"
    COUNTY = "county"


class Acknowledge(StrEnum):
    """When the sender of a message is answered."""

    WHEN_PERSISTED = "when_persisted"
    WHEN_PROCESSED = "when_processed"


class Event(StrEnum):
    """What a route waits for."""

    MESSAGE = "message"
    ORDER = "order"
    REPORT_SIGNED = "report-signed"
    STUDY = "study"


class Role(StrEnum):
    ADMIN = "admin"
    READER = "reader"
    REVIEWER = "reviewer"
    CLINICIAN = "clinician"
    INTEGRATOR = "integrator"
    SENDER = "sender"


class Http(Model):
    """Where the browser, the API and DICOMweb are served; `tls` makes their addresses begin with https."""

    host: Text = "127.0.0.1"
    port: Port = 8080
    tls: HttpTls | None = None

    @property
    def scheme(self) -> str:
        return "https" if self.tls is not None else "http"


class ImagingGateway(Model):
    """How the DICOM channels are served: the `gateway` part of community.yaml.

    processes  that take associations from one port; each has its share of a channel's max_associations
    """

    processes: Annotated[int, Field(ge=1, le=8)] = 1


class Facility(Model):
    """A member of the community, an Organization. `msh4` lists the names its systems send in MSH-4."""

    code: Name
    name: Text
    level: Level
    msh4: tuple[Text, ...] = ()
    organization_code: Text | None = None
    has_ris: bool = False
    """True where a RIS fills orders; otherwise hutong issues the accession number and the Study Instance UID."""


class Hl7Channel(Model):
    """HL7 v2, inbound, however it arrives."""

    name: Name
    facility: Name
    charset: Charset | None = None
    """Used where MSH-18 says nothing; None leaves it to detection."""
    acknowledge: Acknowledge = Acknowledge.WHEN_PERSISTED
    application_ack_to: Name | None = None
    """The endpoint that is owed the application acknowledgments of enhanced mode; None answers on the connection."""
    order_responses: bool = False
    """True: an order is answered with its order response (ORR, ORL, ORG, ORI) once it is processed."""
    sequence_numbers: bool = False
    """True: the sender numbers its messages in MSH-13, and one out of turn is refused."""


class MllpChannel(Hl7Channel):
    """HL7 v2 over MLLP, inbound."""

    type: Literal["mllp"]
    port: Port
    host: Text = "127.0.0.1"
    max_message_bytes: Annotated[int, Field(ge=1024, le=256 * 1024 * 1024)] = MLLP_LIMIT_BYTES
    max_connections: Annotated[int, Field(ge=1, le=10_000)] = 500
    idle_timeout_secs: Secs = 3600.0
    allow_from: tuple[Allowed, ...] = ()
    """Addresses and networks that may connect; none named lets everybody."""
    tls: ListenerTls | None = None


class FolderChannel(Hl7Channel):
    """HL7 v2 in files that a system writes into a folder."""

    type: Literal["folder"]
    folder: Text
    """A relative path counts from the configuration folder."""
    pattern: Annotated[str, StringConstraints(pattern=r"^[^/\\\x00]+$", max_length=100)] = "*.hl7"
    settle_secs: Secs = 2.0
    """A file whose size and time have not changed for so long is whole: others copy slowly."""
    max_file_bytes: Annotated[int, Field(ge=1024, le=1024 * 1024 * 1024)] = FILE_LIMIT_BYTES


class DicomChannel(Model):
    """DICOM, inbound: storage, verification, the modality worklist, query and retrieve."""

    type: Literal["dicom"]
    name: Name
    ae_title: AeTitle
    port: Port = DICOM_PORT
    host: Text = "127.0.0.1"
    max_associations: Annotated[int, Field(ge=1, le=1000)] = 200
    idle_timeout_secs: Secs = 300.0
    """Between requests; an association silent for longer is aborted."""
    stall_timeout_secs: Secs = 60.0
    """Within a request, such as an object half sent."""
    quiet_secs: Secs = 1.0
    """A study with no new object for this long goes on its way."""
    short_after_secs: Secs = 60.0
    """A study that has been quiet for so long while something announced of it is missing counts as short."""
    whole_after_secs: Secs = 300.0
    """A study that has been quiet for so long counts as whole without anybody having said that it has ended."""
    ae_entries: tuple[AeEntry, ...] = ()
    default_facility: Name | None = None
    """Where an AE title that stands in no entry is counted; None refuses it."""
    tls: ListenerTls | None = None

    @model_validator(mode="after")
    def _names_need_an_authority(self) -> DicomChannel:
        named = any(entry.client_names for entry in self.ae_entries)
        if named and (self.tls is None or self.tls.client_ca is None):
            raise ValueError(
                "expected tls.client_ca, because client_names can only be read from a verified certificate"
            )
        return self

    def destination_of(self, entry: AeEntry) -> str:
        """What is owed to one of its entities is owed to this.

        Of several with one title the one with a port is called by it; what is owed to another waits apart.
        """
        alone = sum(one.ae_title == entry.ae_title for one in self.ae_entries) == 1
        return ae_destination(self.name, entry.ae_title, "" if alone or entry.port is not None else entry.facility)


Channel = MllpChannel | FolderChannel | DicomChannel


class StudyTag(StrEnum):
    """The attributes of a study that a route may look at, by their DICOM keywords."""

    ISSUER = "IssuerOfPatientID"
    SEX = "PatientSex"
    AGE = "PatientAge"
    DESCRIPTION = "StudyDescription"
    SERIES_DESCRIPTION = "SeriesDescription"
    REFERRING = "ReferringPhysicianName"
    INSTITUTION = "InstitutionName"
    STATION = "StationName"
    MANUFACTURER = "Manufacturer"
    MODEL = "ManufacturerModelName"
    SOURCE = "SourceApplicationEntityTitle"
    SOP_CLASS = "SOPClassUID"


class When(Model):
    """What a route applies to: the event, narrowed by what else is given; an empty list narrows nothing."""

    event: Event
    message_types: tuple[MessageType, ...] = ()
    from_facilities: tuple[Name, ...] = ()
    modalities: tuple[Modality, ...] = ()
    categories: tuple[Text, ...] = ()
    body_parts: tuple[Text, ...] = ()
    between: tuple[Window, ...] = ()
    """When on a day a study came, on a clock in China."""
    tags: dict[StudyTag, Annotated[tuple[Text, ...], Field(min_length=1)]] = Field(default_factory=dict)
    """By DICOM keyword, the values one of which a study must have."""


class To(Model):
    """Where a route leads: to the requester's own endpoint, to named endpoints, to a centre, or to the archives that
    are asked for earlier studies of the patient. One of the four."""

    requester: bool = False
    endpoints: tuple[Name, ...] = ()
    centre: Name | None = None
    priors_from: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _leads_to_one_place(self) -> To:
        places = [self.requester, bool(self.endpoints), self.centre is not None, bool(self.priors_from)]
        if places.count(True) != 1:
            raise ValueError(
                "expected exactly one of: requester: true, endpoints: [...], centre: NAME, priors_from: [...]"
            )
        return self


class Route(Model):
    id: Name
    when: When
    to: To

    @model_validator(mode="after")
    def _event_fits_destination(self) -> Route:
        if self.to.requester and self.when.event is not Event.REPORT_SIGNED:
            raise ValueError("expected event: report-signed, because only a report has a requester to go back to")
        if self.to.centre is not None and self.when.event is not Event.ORDER:
            raise ValueError("expected event: order, because a centre takes orders")
        if self.to.priors_from and self.when.event is not Event.ORDER:
            raise ValueError("expected event: order, because earlier studies are asked for when one is ordered")
        if self.when.event is Event.ORDER and self.to.centre is None and not self.to.priors_from:
            raise ValueError("expected centre: NAME; event: message with message_types passes the order's message on")
        if self.when.event is Event.MESSAGE and (self.when.modalities or self.when.categories):
            raise ValueError("expected no modalities and no categories, because only orders and reports have them")
        if self.when.event is Event.STUDY and self.when.categories:
            raise ValueError("expected no categories, because only orders and reports have them")
        if self.when.event is not Event.STUDY and (self.when.body_parts or self.when.between or self.when.tags):
            raise ValueError("expected no body_parts, between and tags, because only event: study has them")
        if self.when.event is not Event.MESSAGE and self.when.message_types:
            raise ValueError("expected no message_types, because only event: message has them")
        return self


class Centre(Model):
    """A shared diagnostic centre: which facility runs it, what it reads, and who reads there."""

    name: Name
    display: Text
    facility: Name
    modalities: Annotated[tuple[Modality, ...], Field(min_length=1)]
    readers: Annotated[tuple[Name, ...], Field(min_length=1)]
    reviewers: tuple[Name, ...] = ()
    two_person: bool = True
    """True: whoever wrote a report may not review it."""

    @model_validator(mode="after")
    def _somebody_can_review(self) -> Centre:
        if self.two_person and (not self.reviewers or len({*self.readers, *self.reviewers}) < 2):
            raise ValueError("expected a second person in reviewers, because two_person is true")
        return self


class RecognitionItem(Model):
    """How long the result of one examination, by its recognition code, may stand for a new order."""

    code: Text
    days: Annotated[int, Field(ge=1, le=3650)]


class Recognition(Model):
    """Mutual recognition of results (互认)."""

    default_days: Annotated[int, Field(ge=1, le=3650)] = 30
    within_community: Literal["allow_all"] = "allow_all"
    items: tuple[RecognitionItem, ...] = ()


class User(Model):
    """A person or a system that may use the API. Tokens are issued by the running hub and stand in no file here."""

    name: Name
    display: Text
    facility: Name
    roles: Annotated[tuple[Role, ...], Field(min_length=1)]


class Community(Model):
    """The whole configuration of one community hub."""

    name: Text
    http: Http
    facilities: dict[str, Facility]
    channels: dict[str, Channel]
    endpoints: dict[str, Endpoint]
    routes: tuple[Route, ...]
    centres: dict[str, Centre]
    recognition: Recognition
    users: dict[str, User]
    folder: Path
    alerts: Alerts = Alerts()
    objects: ObjectsPlace = DiskObjects()
    gateway: ImagingGateway = ImagingGateway()

    @property
    def mllp_endpoints(self) -> dict[str, MllpEndpoint]:
        return {name: one for name, one in self.endpoints.items() if isinstance(one, MllpEndpoint)}

    @property
    def dicom_endpoints(self) -> dict[str, DicomEndpoint]:
        return {name: one for name, one in self.endpoints.items() if isinstance(one, DicomEndpoint)}

    @property
    def hutong_endpoints(self) -> dict[str, HutongEndpoint]:
        return {name: one for name, one in self.endpoints.items() if isinstance(one, HutongEndpoint)}

    @property
    def destinations(self) -> list[str]:
        """Everybody whom something may be owed: endpoints, and whoever calls an imaging channel under a known title."""
        entries = [channel.destination_of(entry) for channel in self.dicom_channels for entry in channel.ae_entries]
        return list(dict.fromkeys([*self.endpoints, *entries]))

    @property
    def mllp_channels(self) -> tuple[MllpChannel, ...]:
        return tuple(channel for channel in self.channels.values() if isinstance(channel, MllpChannel))

    @property
    def folder_channels(self) -> tuple[FolderChannel, ...]:
        return tuple(channel for channel in self.channels.values() if isinstance(channel, FolderChannel))

    @property
    def hl7_channels(self) -> tuple[MllpChannel | FolderChannel, ...]:
        """Every channel that brings HL7 v2."""
        return tuple(channel for channel in self.channels.values() if not isinstance(channel, DicomChannel))

    @property
    def dicom_channels(self) -> tuple[DicomChannel, ...]:
        return tuple(channel for channel in self.channels.values() if isinstance(channel, DicomChannel))
