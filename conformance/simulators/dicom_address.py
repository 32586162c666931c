"""Where is a DICOM application entity, and what is its word for success?"""

from __future__ import annotations

from dataclasses import dataclass

SUCCESS = 0x0000


@dataclass(frozen=True, slots=True)
class DicomAddress:
    """An application entity that is called."""

    host: str
    port: int
    ae_title: str
