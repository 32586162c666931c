"""What must be known of the system that a message is written for?"""

from __future__ import annotations

from typing import Protocol


class Endpoint(Protocol):
    """What must be known of the system that a message is written for."""

    @property
    def version(self) -> str: ...
    @property
    def charset(self) -> str: ...
    @property
    def sending_application(self) -> str: ...
    @property
    def sending_facility(self) -> str: ...
    @property
    def receiving_application(self) -> str: ...
    @property
    def receiving_facility(self) -> str: ...
