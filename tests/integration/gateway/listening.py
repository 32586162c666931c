"""How do the gateway's tests play a system that is told of steps and studies? pynetdicom, a stranger to us."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt

from engine.config import DicomEndpoint, Retry
from tests.integration.gateway.performing import PERFORMED_STEP
from tests.integration.gateway.sending import MANY_ASSOCIATIONS, PATIENCE_SECS
from tests.ports import free_port

QUICK = Retry(first_secs=0.01, max_secs=0.05)


class Listener:
    """A RIS that takes MPPS. What it hears is kept: operation, SOP Instance UID and the data set.

    answers  the status of each answer
    goes_on  cleared, it hears and does not answer
    """

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, Dataset]] = []
        self.answers = 0x0000
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.port = free_port()

    def _take_create(self, event: Any) -> tuple[int, Dataset]:
        return self._take("create", str(event.request.AffectedSOPInstanceUID), event.attribute_list)

    def _take_set(self, event: Any) -> tuple[int, Dataset]:
        return self._take("set", str(event.request.RequestedSOPInstanceUID), event.modification_list)

    def _take(self, operation: str, uid: str, said: Dataset) -> tuple[int, Dataset]:
        known = operation == "create" and any(one[:2] == (operation, uid) for one in self.heard)
        self.heard.append((operation, uid, said))
        self.goes_on.wait(PATIENCE_SECS)
        return 0x0111 if known and self.answers == 0 else self.answers, Dataset()

    @contextmanager
    def listening(self, sop_class: str = PERFORMED_STEP) -> Iterator[Listener]:
        """On its port, each time."""
        entity = AE("RIS")
        entity.maximum_associations = MANY_ASSOCIATIONS
        entity.add_supported_context(sop_class)
        handlers: list[Any] = [(evt.EVT_N_CREATE, self._take_create), (evt.EVT_N_SET, self._take_set)]
        server: Any = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        try:
            yield self
        finally:
            self.goes_on.set()
            server.shutdown()

    def endpoint(self, **changes: Any) -> DicomEndpoint:
        """The configured system that it is."""
        settings: dict[str, Any] = {
            "type": "dicom", "name": "ris", "facility": "county", "host": "127.0.0.1", "port": self.port,
            "ae_title": "RIS", "performed_steps_of": ("baishi",), "retry": QUICK,
        }  # fmt: skip
        return DicomEndpoint(**settings | changes)
