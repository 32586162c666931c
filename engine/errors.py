"""Which errors hutong raises, and what is to be done about each.

    HutongError
    ├── ConfigurationError     the folder of YAML is wrong: file, line, expected, nearest name
    ├── FramingError           bytes that are no frame: the connection closes
    ├── ParseError             a message that cannot be split into segments and fields
    ├── MappingError           a rule that could not be applied: names rule and field
    ├── RecordError            a resource that may not be recorded as asked
    ├── RequestStateError      an action that a centre's request does not allow now
    ├── NotFoundError          nothing by that name
    ├── AccessError            no token, a wrong one, or one that may not do this
    ├── StorageError           the spool, the database or the disk said no
    └── DeliveryError          the other side refused, answered something else or not at all

An error never holds patient data: it names places (file, field, rule, id), not values.
"""

from __future__ import annotations

from enum import StrEnum


class Disposition(StrEnum):
    """What is to be done about an error."""

    RETRY = "retry"
    """The same bytes may succeed later: try again with back-off."""
    HOLD = "hold"
    """A person must settle it: keep it, raise a finding, hold what depends on it."""
    REJECT = "reject"
    """The sender must change something: refuse it and say what."""


class HutongError(Exception):
    """Base of every error hutong raises on purpose.

    `code` is a stable, lower-case, hyphenated name; `location` says where (a field such as
    `PID-3[2].4`, a file and line, a tag); `rule` names the mapping rule where there is one.
    """

    disposition = Disposition.HOLD
    code = "error"

    def __init__(
        self, message: str, *, location: str | None = None, rule: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.location = location
        self.rule = rule
        if code is not None:
            self.code = code


class ConfigurationError(HutongError):
    disposition = Disposition.REJECT
    code = "configuration"


class FramingError(HutongError):
    disposition = Disposition.REJECT
    code = "framing"


class ParseError(HutongError):
    disposition = Disposition.HOLD
    code = "unparsable"


class MappingError(HutongError):
    disposition = Disposition.HOLD
    code = "mapping-failed"


class RecordError(HutongError):
    disposition = Disposition.HOLD
    code = "record-refused"


class RequestStateError(HutongError):
    disposition = Disposition.REJECT
    code = "request-state"


class NotFoundError(HutongError):
    disposition = Disposition.REJECT
    code = "not-found"


class AccessError(HutongError):
    disposition = Disposition.REJECT
    code = "access-denied"


class StorageError(HutongError):
    disposition = Disposition.RETRY
    code = "storage"


class DeliveryError(HutongError):
    disposition = Disposition.RETRY
    code = "delivery"

    def __init__(
        self,
        message: str,
        *,
        disposition: Disposition = Disposition.RETRY,
        code: str | None = None,
        location: str | None = None,
    ) -> None:
        super().__init__(message, code=code, location=location)
        self.disposition = disposition
