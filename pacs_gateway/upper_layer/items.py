"""What do two applications agree on? The items within A-ASSOCIATE-RQ and -AC: contexts and user information.

Presentation contexts are those of PS3.8 §9.3.2 and §9.3.3, user information that of PS3.7 annex D.3.3. An item of a
type that is not known here is skipped. Text is ISO 646; a byte beyond it is kept as Latin-1, so that what is echoed is
what came.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from pacs_gateway.upper_layer.errors import UpperLayerError

APPLICATION_CONTEXT = 0x10
PRESENTATION_CONTEXT_RQ = 0x20
PRESENTATION_CONTEXT_AC = 0x21
ABSTRACT_SYNTAX = 0x30
TRANSFER_SYNTAX = 0x40
USER_INFORMATION = 0x50
MAXIMUM_LENGTH = 0x51
IMPLEMENTATION_CLASS_UID = 0x52
ASYNCHRONOUS_OPERATIONS_WINDOW = 0x53
ROLE_SELECTION = 0x54
IMPLEMENTATION_VERSION_NAME = 0x55
SOP_CLASS_EXTENDED_NEGOTIATION = 0x56
SOP_CLASS_COMMON_EXTENDED_NEGOTIATION = 0x57
USER_IDENTITY_RQ = 0x58
USER_IDENTITY_AC = 0x59

SMALLEST_MAXIMUM_LENGTH = 8
"""The header of a PDV and two bytes of it: with less nothing could ever be sent."""

_HEADER = struct.Struct(">BBH")
_LENGTH = struct.Struct(">H")


class ContextResult(IntEnum):
    """Result/Reason of a presentation context item (PS3.8 §9.3.3)."""

    ACCEPTANCE = 0
    USER_REJECTION = 1
    NO_REASON = 2
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


@dataclass(frozen=True, slots=True)
class PresentationContextRQ:
    """A proposal: one abstract syntax in any of these transfer syntaxes, the proposer's first choice first."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]

    def encode(self) -> bytes:
        syntaxes = (text_item(TRANSFER_SYNTAX, uid) for uid in self.transfer_syntaxes)
        abstract = text_item(ABSTRACT_SYNTAX, self.abstract_syntax)
        return item(PRESENTATION_CONTEXT_RQ, bytes((self.context_id, 0, 0, 0)) + abstract + b"".join(syntaxes))

    @classmethod
    def decode(cls, body: bytes) -> PresentationContextRQ:
        context_id = _context_id(body)
        abstract, syntaxes = "", []
        for kind, value in items(body[4:], "a presentation context item"):
            if kind == ABSTRACT_SYNTAX:
                abstract = text(value)
            elif kind == TRANSFER_SYNTAX:
                syntaxes.append(text(value))
        if not abstract or not syntaxes:
            raise UpperLayerError(f"presentation context {context_id} lacks its abstract or transfer syntax")
        return cls(context_id, abstract, tuple(syntaxes))


@dataclass(frozen=True, slots=True)
class PresentationContextAC:
    """The answer to a proposal; `transfer_syntax` says nothing unless it was accepted."""

    context_id: int
    result: int
    transfer_syntax: str

    def encode(self) -> bytes:
        head = bytes((self.context_id, 0, self.result, 0))
        return item(PRESENTATION_CONTEXT_AC, head + text_item(TRANSFER_SYNTAX, self.transfer_syntax))

    @classmethod
    def decode(cls, body: bytes) -> PresentationContextAC:
        context_id = _context_id(body)
        found = [text(value) for kind, value in items(body[4:], "a presentation context item")
                 if kind == TRANSFER_SYNTAX]  # fmt: skip
        if body[2] == ContextResult.ACCEPTANCE and not found:
            raise UpperLayerError(f"presentation context {context_id} is accepted without a transfer syntax")
        return cls(context_id, body[2], found[0] if found else "")


@dataclass(frozen=True, slots=True)
class AsynchronousOperationsWindow:
    """How many operations may be under way at once, invoked and performed by the requestor; 0 is any number."""

    invoked: int
    performed: int

    def encode(self) -> bytes:
        return item(ASYNCHRONOUS_OPERATIONS_WINDOW, struct.pack(">HH", self.invoked, self.performed))

    @classmethod
    def decode(cls, body: bytes) -> AsynchronousOperationsWindow:
        if len(body) != 4:
            raise UpperLayerError("the asynchronous operations window item is not 4 bytes long")
        return cls(*struct.unpack(">HH", body))


@dataclass(frozen=True, slots=True)
class RoleSelection:
    """Which roles the requestor proposes for itself, or which of them the acceptor accepts."""

    sop_class_uid: str
    scu: bool
    scp: bool

    def encode(self) -> bytes:
        return item(ROLE_SELECTION, _counted(self.sop_class_uid.encode("latin-1")) + bytes((self.scu, self.scp)))

    @classmethod
    def decode(cls, body: bytes) -> RoleSelection:
        uid, rest = _take(body, "a role selection item")
        if len(rest) != 2:
            raise UpperLayerError("a role selection item does not end with its two roles")
        return cls(text(uid), rest[0] == 1, rest[1] == 1)


@dataclass(frozen=True, slots=True)
class SopClassExtendedNegotiation:
    """`information` is what the service class of this SOP class makes of it."""

    sop_class_uid: str
    information: bytes

    def encode(self) -> bytes:
        uid = _counted(self.sop_class_uid.encode("latin-1"))
        return item(SOP_CLASS_EXTENDED_NEGOTIATION, uid + self.information)

    @classmethod
    def decode(cls, body: bytes) -> SopClassExtendedNegotiation:
        uid, rest = _take(body, "a SOP class extended negotiation item")
        return cls(text(uid), rest)


@dataclass(frozen=True, slots=True)
class SopClassCommonExtendedNegotiation:
    """Of which service class a SOP class is, and from which other classes it was made. Is never answered."""

    sop_class_uid: str
    service_class_uid: str
    related_general_sop_class_uids: tuple[str, ...]

    def encode(self) -> bytes:
        related = b"".join(_counted(uid.encode("latin-1")) for uid in self.related_general_sop_class_uids)
        uids = (self.sop_class_uid.encode("latin-1"), self.service_class_uid.encode("latin-1"), related)
        return item(SOP_CLASS_COMMON_EXTENDED_NEGOTIATION, b"".join(_counted(uid) for uid in uids))

    @classmethod
    def decode(cls, body: bytes) -> SopClassCommonExtendedNegotiation:
        where = "a SOP class common extended negotiation item"
        sop_class, rest = _take(body, where)
        service_class, rest = _take(rest, where)
        listed, _ = _take(rest, where)
        related = []
        while listed:
            uid, listed = _take(listed, where)
            related.append(text(uid))
        return cls(text(sop_class), text(service_class), tuple(related))


@dataclass(frozen=True, slots=True)
class UserIdentityRQ:
    """Who asks, beyond the AE title: a name, a name and a passcode, a Kerberos ticket, a SAML assertion or a token.

    Its fields may be secrets: they are for checking, not for logs.
    """

    identity_type: int
    positive_response_requested: bool
    primary: bytes
    secondary: bytes = b""

    def __repr__(self) -> str:
        return f"UserIdentityRQ(identity_type={self.identity_type})"

    def encode(self) -> bytes:
        head = bytes((self.identity_type, self.positive_response_requested))
        return item(USER_IDENTITY_RQ, head + _counted(self.primary) + _counted(self.secondary))

    @classmethod
    def decode(cls, body: bytes) -> UserIdentityRQ:
        where = "the user identity item"
        if len(body) < 2:
            raise UpperLayerError(f"{where} is cut off")
        primary, rest = _take(body[2:], where)
        secondary, _ = _take(rest, where)
        return cls(body[0], body[1] == 1, primary, secondary)


@dataclass(frozen=True, slots=True)
class UserIdentityAC:
    """Sent only when the requestor asked for a response and its identity was verified."""

    server_response: bytes

    def encode(self) -> bytes:
        return item(USER_IDENTITY_AC, _counted(self.server_response))

    @classmethod
    def decode(cls, body: bytes) -> UserIdentityAC:
        return cls(_take(body, "the user identity item")[0])


@dataclass(frozen=True, slots=True)
class UserInformation:
    """maximum_length  the longest P-DATA-TF this side takes, its header of 6 bytes not counted; 0 is no limit."""

    maximum_length: int = 0
    implementation_class_uid: str = ""
    implementation_version_name: str = ""
    asynchronous_operations_window: AsynchronousOperationsWindow | None = None
    role_selections: tuple[RoleSelection, ...] = ()
    extended: tuple[SopClassExtendedNegotiation, ...] = ()
    common_extended: tuple[SopClassCommonExtendedNegotiation, ...] = ()
    user_identity: UserIdentityRQ | None = None
    user_identity_response: UserIdentityAC | None = None

    def encode(self) -> bytes:
        parts = [
            item(MAXIMUM_LENGTH, struct.pack(">I", self.maximum_length)),
            text_item(IMPLEMENTATION_CLASS_UID, self.implementation_class_uid),
        ]
        if self.asynchronous_operations_window is not None:
            parts.append(self.asynchronous_operations_window.encode())
        parts += [role.encode() for role in self.role_selections]
        if self.implementation_version_name:
            parts.append(text_item(IMPLEMENTATION_VERSION_NAME, self.implementation_version_name))
        parts += [one.encode() for one in self.extended]
        parts += [one.encode() for one in self.common_extended]
        parts += [one.encode() for one in (self.user_identity, self.user_identity_response) if one is not None]
        return item(USER_INFORMATION, b"".join(parts))

    @classmethod
    def decode(cls, body: bytes) -> UserInformation:
        maximum_length, class_uid, version_name = 0, "", ""
        window, identity, response = None, None, None
        roles, extended, common = [], [], []
        for kind, value in items(body, "the user information item"):
            if kind == MAXIMUM_LENGTH:
                maximum_length = _maximum_length(value)
            elif kind == IMPLEMENTATION_CLASS_UID:
                class_uid = text(value)
            elif kind == IMPLEMENTATION_VERSION_NAME:
                version_name = text(value)
            elif kind == ASYNCHRONOUS_OPERATIONS_WINDOW:
                window = AsynchronousOperationsWindow.decode(value)
            elif kind == ROLE_SELECTION:
                roles.append(RoleSelection.decode(value))
            elif kind == SOP_CLASS_EXTENDED_NEGOTIATION:
                extended.append(SopClassExtendedNegotiation.decode(value))
            elif kind == SOP_CLASS_COMMON_EXTENDED_NEGOTIATION:
                common.append(SopClassCommonExtendedNegotiation.decode(value))
            elif kind == USER_IDENTITY_RQ:
                identity = UserIdentityRQ.decode(value)
            elif kind == USER_IDENTITY_AC:
                response = UserIdentityAC.decode(value)
        return cls(
            maximum_length,
            class_uid,
            version_name,
            window,
            tuple(roles),
            tuple(extended),
            tuple(common),
            identity,
            response,
        )


def item(kind: int, body: bytes) -> bytes:
    """One item. Raises ValueError for a body of more than 65535 bytes, which only we can cause."""
    if len(body) > 0xFFFF:
        raise ValueError(f"item {kind:02X}H would be {len(body)} bytes long")
    return _HEADER.pack(kind, 0, len(body)) + body


def text_item(kind: int, value: str) -> bytes:
    return item(kind, value.encode("latin-1"))


def items(body: bytes, where: str) -> Iterator[tuple[int, bytes]]:
    """Type and value of each item. Raises UpperLayerError when one says it is longer than what holds it."""
    at = 0
    while at < len(body):
        if len(body) - at < _HEADER.size:
            raise UpperLayerError(f"{where} ends within the header of an item")
        kind, _, length = _HEADER.unpack_from(body, at)
        at += _HEADER.size
        if length > len(body) - at:
            raise UpperLayerError(f"item {kind:02X}H in {where} says {length} bytes where {len(body) - at} are left")
        yield kind, body[at : at + length]
        at += length


def text(value: bytes) -> str:
    """A UID or a title without its padding."""
    return value.decode("latin-1").strip(" \0")


def _context_id(body: bytes) -> int:
    if len(body) < 4:
        raise UpperLayerError("a presentation context item is cut off")
    if body[0] % 2 == 0:
        raise UpperLayerError(f"a presentation context has the even number {body[0]}")
    return body[0]


def _maximum_length(value: bytes) -> int:
    if len(value) != 4:
        raise UpperLayerError("the maximum length item is not 4 bytes long")
    length = int.from_bytes(value, "big")
    if 0 < length < SMALLEST_MAXIMUM_LENGTH:
        raise UpperLayerError(f"a maximum length of {length} bytes leaves no room for a fragment")
    return length


def _counted(value: bytes) -> bytes:
    return _LENGTH.pack(len(value)) + value


def _take(body: bytes, where: str) -> tuple[bytes, bytes]:
    """What is counted by the first two bytes, and the rest."""
    if len(body) < _LENGTH.size:
        raise UpperLayerError(f"{where} is cut off")
    (length,) = _LENGTH.unpack_from(body)
    rest = body[_LENGTH.size :]
    if length > len(rest):
        raise UpperLayerError(f"{where} counts {length} bytes where {len(rest)} are left")
    return rest[:length], rest[length:]
