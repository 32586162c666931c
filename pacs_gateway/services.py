"""What does the gateway offer to a modality? Its storage classes, transfer syntaxes and other services."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pydicom.uid import (
    UID,
    AllTransferSyntaxes,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import AllStoragePresentationContexts
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import ModalityWorklistInformationFind, Verification  # type: ignore[attr-defined]  # made at import

_UNCOMPRESSED = frozenset(
    {ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian}
)
_TRANSFER_SYNTAXES = frozenset(AllTransferSyntaxes)
_SERVICES = frozenset({Verification, ModalityWorklistInformationFind})

_RETIRED_STORAGE_CLASSES = (
    "1.2.840.10008.5.1.1.29",  # Hardcopy Grayscale Image
    "1.2.840.10008.5.1.1.30",  # Hardcopy Color Image
    "1.2.840.10008.5.1.4.1.1.3",  # Ultrasound Multi-frame Image
    "1.2.840.10008.5.1.4.1.1.5",  # Nuclear Medicine Image
    "1.2.840.10008.5.1.4.1.1.6",  # Ultrasound Image
    "1.2.840.10008.5.1.4.1.1.8",  # Standalone Overlay
    "1.2.840.10008.5.1.4.1.1.9",  # Standalone Curve
    "1.2.840.10008.5.1.4.1.1.9.1",  # Waveform, trial
    "1.2.840.10008.5.1.4.1.1.10",  # Standalone Modality LUT
    "1.2.840.10008.5.1.4.1.1.11",  # Standalone VOI LUT
    "1.2.840.10008.5.1.4.1.1.12.3",  # X-Ray Angiographic Bi-plane Image
    "1.2.840.10008.5.1.4.1.1.77.1",  # VL Image, trial
    "1.2.840.10008.5.1.4.1.1.77.2",  # VL Multi-frame Image, trial
    "1.2.840.10008.5.1.4.1.1.88.1",  # Text SR, trial
    "1.2.840.10008.5.1.4.1.1.88.2",  # Audio SR, trial
    "1.2.840.10008.5.1.4.1.1.88.3",  # Detail SR, trial
    "1.2.840.10008.5.1.4.1.1.88.4",  # Comprehensive SR, trial
    "1.2.840.10008.5.1.4.1.1.129",  # Standalone PET Curve
)
"""Retired classes that old devices still send."""

STORAGE_CLASSES = frozenset(
    [str(context.abstract_syntax) for context in AllStoragePresentationContexts] + list(_RETIRED_STORAGE_CLASSES)
)


def offered() -> list[PresentationContext]:
    """Everything the gateway accepts, always as the provider: every storage class in every standard transfer syntax."""
    return [_context(uid, _syntaxes_of(uid)) for uid in sorted(_SERVICES | STORAGE_CLASSES)]


def offered_to(proposed: Sequence[PresentationContext]) -> list[PresentationContext]:
    """What is accepted of a proposal, with transfer syntaxes in the proposer's order.

    Objects are kept as sent, so the proposer knows best: what it names first it can send without re-coding. Choosing
    by an order of ours makes some senders fail (they cannot decompress) and others lose (they compress).
    """
    accepted: dict[str, dict[UID, None]] = {}
    for context in proposed:
        uid = str(context.abstract_syntax)
        if uid in _SERVICES or uid in STORAGE_CLASSES:
            syntaxes = (syntax for syntax in context.transfer_syntax if syntax in _syntaxes_of(uid))
            accepted.setdefault(uid, {}).update(dict.fromkeys(syntaxes))
    return [_context(uid, syntaxes) for uid, syntaxes in accepted.items() if syntaxes]


def _syntaxes_of(uid: str) -> Collection[UID]:
    return _UNCOMPRESSED if uid in _SERVICES else _TRANSFER_SYNTAXES


def _context(uid: str, syntaxes: Collection[UID]) -> PresentationContext:
    return build_context(uid, list(syntaxes))
