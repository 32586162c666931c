"""What may be wrong with the bytes of a peer, and what is it told? Violations of the upper layer protocol."""

from __future__ import annotations

from enum import IntEnum

from engine.errors import FramingError


class AbortReason(IntEnum):
    """Reason/Diag. of an A-ABORT that the service-provider sends (PS3.8 §9.3.8)."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNIZED_PDU_PARAMETER = 4
    UNEXPECTED_PDU_PARAMETER = 5
    INVALID_PDU_PARAMETER_VALUE = 6


class UpperLayerError(FramingError):
    """A peer broke the protocol: the association is aborted with `reason`. Says where, never what stood there."""

    code = "upper-layer"

    def __init__(self, message: str, reason: AbortReason = AbortReason.INVALID_PDU_PARAMETER_VALUE) -> None:
        super().__init__(message)
        self.reason = reason
