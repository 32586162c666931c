"""What does the answer to a notification mean? Heard, or why not."""

from __future__ import annotations

import json
from dataclasses import dataclass

from engine.store.notifications import Operation
from pacs_gateway import status

_WARNINGS = frozenset({0x0001, 0x0107, 0x0116})
"""Accepted, if not to the letter (PS3.7 annex C)."""
_WORDS = {
    0x0105: "it does not know an attribute",
    0x0106: "it does not take a value of an attribute",
    0x0110: "processing failure",
    0x0111: "it has such an instance already",
    0x0112: "it does not know the instance",
    0x0117: "it takes the instance for none",
    0x0118: "it does not know the SOP class",
    0x0120: "an attribute is missing",
    0x0121: "an attribute has no value",
    0x0122: "it does not support the SOP class",
    0x0124: "we are not authorised",
    0x0211: "it does not know the operation",
    0x0213: "it lacks resources",
}
"""What failing statuses say (PS3.7 annex C)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said to a message."""

    operation: Operation
    status: int

    @property
    def accepted(self) -> bool:
        # To a message that is repeated: an earlier attempt arrived, and its answer did not.
        repeated = self.operation is Operation.CREATE and self.status == status.DUPLICATE_SOP_INSTANCE
        return self.status == status.SUCCESS or self.status in _WARNINGS or repeated

    @property
    def code(self) -> str:
        return f"status-{self.status:04x}"

    @property
    def words(self) -> str:
        return _WORDS.get(self.status, "")

    @property
    def receipt(self) -> bytes:
        return json.dumps({"status": f"{self.status:04X}"}).encode()
