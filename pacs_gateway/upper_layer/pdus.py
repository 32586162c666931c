"""How do two applications greet and part? The PDUs of an association other than P-DATA-TF, as values (PS3.8 §9.3).

`decode` of each takes what follows the header of 6 bytes, `encode` gives the whole PDU.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from pacs_gateway.upper_layer.errors import UpperLayerError
from pacs_gateway.upper_layer.items import (
    APPLICATION_CONTEXT,
    PRESENTATION_CONTEXT_AC,
    PRESENTATION_CONTEXT_RQ,
    USER_INFORMATION,
    PresentationContextAC,
    PresentationContextRQ,
    UserInformation,
    items,
    text,
    text_item,
)

DICOM_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
PROTOCOL_VERSION = 0x0001

HEADER = struct.Struct(">BxI")
"""PDU-type, reserved, PDU-length."""

_FIXED = struct.Struct(">HH16s16s32s")
_TITLE_BYTES = 16


class PduType(IntEnum):
    A_ASSOCIATE_RQ = 0x01
    A_ASSOCIATE_AC = 0x02
    A_ASSOCIATE_RJ = 0x03
    P_DATA_TF = 0x04
    A_RELEASE_RQ = 0x05
    A_RELEASE_RP = 0x06
    A_ABORT = 0x07


class RejectResult(IntEnum):
    PERMANENT = 1
    TRANSIENT = 2


class RejectSource(IntEnum):
    SERVICE_USER = 1
    SERVICE_PROVIDER_ACSE = 2
    SERVICE_PROVIDER_PRESENTATION = 3


class AbortSource(IntEnum):
    SERVICE_USER = 0
    SERVICE_PROVIDER = 2


@dataclass(frozen=True, slots=True)
class AAssociateRQ:
    """§9.3.2. `protocol_version` is a set of bits, of which the lowest means version 1, the only one there is."""

    called_ae_title: str
    calling_ae_title: str
    presentation_contexts: tuple[PresentationContextRQ, ...]
    user_information: UserInformation
    application_context_name: str = DICOM_APPLICATION_CONTEXT
    protocol_version: int = PROTOCOL_VERSION

    def encode(self) -> bytes:
        return _associate(PduType.A_ASSOCIATE_RQ, self)

    @classmethod
    def decode(cls, body: bytes) -> AAssociateRQ:
        version, called, calling, rest = _fixed(body)
        name, contexts, information = "", [], None
        for kind, value in items(rest, "an A-ASSOCIATE-RQ"):
            if kind == APPLICATION_CONTEXT:
                name = text(value)
            elif kind == PRESENTATION_CONTEXT_RQ:
                contexts.append(PresentationContextRQ.decode(value))
            elif kind == USER_INFORMATION:
                information = UserInformation.decode(value)
        _numbered_once([context.context_id for context in contexts])
        if not contexts:
            raise UpperLayerError("an A-ASSOCIATE-RQ proposes no presentation context")
        if information is None:
            raise UpperLayerError("an A-ASSOCIATE-RQ has no user information item")
        return cls(called, calling, tuple(contexts), information, name, version)


@dataclass(frozen=True, slots=True)
class AAssociateAC:
    """§9.3.3. The titles are the request's, echoed; they mean nothing here."""

    called_ae_title: str
    calling_ae_title: str
    presentation_contexts: tuple[PresentationContextAC, ...]
    user_information: UserInformation
    application_context_name: str = DICOM_APPLICATION_CONTEXT
    protocol_version: int = PROTOCOL_VERSION

    def encode(self) -> bytes:
        return _associate(PduType.A_ASSOCIATE_AC, self)

    @classmethod
    def decode(cls, body: bytes) -> AAssociateAC:
        version, called, calling, rest = _fixed(body)
        name, contexts, information = "", [], None
        for kind, value in items(rest, "an A-ASSOCIATE-AC"):
            if kind == APPLICATION_CONTEXT:
                name = text(value)
            elif kind == PRESENTATION_CONTEXT_AC:
                contexts.append(PresentationContextAC.decode(value))
            elif kind == USER_INFORMATION:
                information = UserInformation.decode(value)
        _numbered_once([context.context_id for context in contexts])
        if information is None:
            raise UpperLayerError("an A-ASSOCIATE-AC has no user information item")
        return cls(called, calling, tuple(contexts), information, name, version)


@dataclass(frozen=True, slots=True)
class AAssociateRJ:
    """§9.3.4. What `reason` means depends on `source`; the ones we send are named below."""

    result: int
    source: int
    reason: int

    def encode(self) -> bytes:
        return HEADER.pack(PduType.A_ASSOCIATE_RJ, 4) + bytes((0, self.result, self.source, self.reason))

    @classmethod
    def decode(cls, body: bytes) -> AAssociateRJ:
        return cls(body[1], body[2], body[3])


APPLICATION_CONTEXT_NOT_SUPPORTED = AAssociateRJ(RejectResult.PERMANENT, RejectSource.SERVICE_USER, 2)
CALLING_AE_TITLE_NOT_RECOGNIZED = AAssociateRJ(RejectResult.PERMANENT, RejectSource.SERVICE_USER, 3)
PROTOCOL_VERSION_NOT_SUPPORTED = AAssociateRJ(RejectResult.PERMANENT, RejectSource.SERVICE_PROVIDER_ACSE, 2)
LOCAL_LIMIT_EXCEEDED = AAssociateRJ(RejectResult.TRANSIENT, RejectSource.SERVICE_PROVIDER_PRESENTATION, 2)


@dataclass(frozen=True, slots=True)
class AReleaseRQ:
    """Asks to part: the sender has nothing more to ask."""

    def encode(self) -> bytes:
        return HEADER.pack(PduType.A_RELEASE_RQ, 4) + bytes(4)


@dataclass(frozen=True, slots=True)
class AReleaseRP:
    """Agrees to part; whoever asked closes the connection."""

    def encode(self) -> bytes:
        return HEADER.pack(PduType.A_RELEASE_RP, 4) + bytes(4)


@dataclass(frozen=True, slots=True)
class AAbort:
    """§9.3.8. `reason` is an `AbortReason` when the source is the service-provider, else it means nothing."""

    source: int
    reason: int

    def encode(self) -> bytes:
        return HEADER.pack(PduType.A_ABORT, 4) + bytes((0, 0, self.source, self.reason))

    @classmethod
    def decode(cls, body: bytes) -> AAbort:
        return cls(body[2], body[3])


def _associate(kind: PduType, pdu: AAssociateRQ | AAssociateAC) -> bytes:
    titles = (_title(pdu.called_ae_title), _title(pdu.calling_ae_title))
    body = (
        _FIXED.pack(pdu.protocol_version, 0, *titles, bytes(32))
        + text_item(APPLICATION_CONTEXT, pdu.application_context_name)
        + b"".join(context.encode() for context in pdu.presentation_contexts)
        + pdu.user_information.encode()
    )
    return HEADER.pack(kind, len(body)) + body


def _fixed(body: bytes) -> tuple[int, str, str, bytes]:
    """Protocol version, called and calling AE title, and the items."""
    if len(body) < _FIXED.size:
        raise UpperLayerError("an A-ASSOCIATE PDU is shorter than its fixed fields")
    version, _, called, calling, _ = _FIXED.unpack_from(body)
    return version, text(called), text(calling), body[_FIXED.size :]


def _numbered_once(numbers: list[int]) -> None:
    """Odd numbers up to 255, each once, are also what bounds an association to 128 contexts."""
    if len(set(numbers)) != len(numbers):
        raise UpperLayerError("two presentation contexts have the same number")


def _title(value: str) -> bytes:
    return value.encode("latin-1").ljust(_TITLE_BYTES)[:_TITLE_BYTES]
