"""Who gets an answer that pynetdicom received? Whoever waits for it, and never the loop that serves requests.

That loop pauses while something is sent. It may just have looked whether it is to pause, though: then it takes the
answer off the queue and drops it ("Received unexpected C-STORE service message"), and who sent waits for nothing until
a time-out. Where a process has much else to do, that is so once in some hundred requests.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pynetdicom.dimse import DIMSEServiceProvider


def pytest_collection_finish() -> None:
    """Where any of the tests has to do with it; to load it takes long."""
    if "pynetdicom" in sys.modules:
        leave_answers_to_who_waits(pytest.MonkeyPatch())


def leave_answers_to_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    from pynetdicom.dimse import DIMSEServiceProvider

    taken = DIMSEServiceProvider.get_msg

    def get_msg(self: DIMSEServiceProvider, block: bool = False) -> Any:
        return taken(self, block) if block else next_request(self)

    monkeypatch.setattr(DIMSEServiceProvider, "get_msg", get_msg)


def next_request(provider: DIMSEServiceProvider) -> Any:
    """What the loop may take: nothing from the moment on at which it is told to pause."""
    received = provider.msg_queue
    with received.mutex:
        if not received.queue or not provider.assoc._reactor_checkpoint.is_set():
            return None, None
        return received.queue.popleft()
