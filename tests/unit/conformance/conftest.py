"""A DICOM counterpart that answers as told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # its names are made at run time
    ModalityWorklistInformationFind,
    Verification,
)

JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"


@dataclass
class Counterpart:
    """A worklist and storage provider that answers as told."""

    port: int = 0
    status: int = 0x0000
    name: str = "周珅"
    queries: list[Dataset] = field(default_factory=list)
    stored: list[Dataset] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        query = event.identifier
        self.queries.append(query)
        found = Dataset()
        found.SpecificCharacterSet = query.SpecificCharacterSet
        found.PatientName, found.PatientID, found.AccessionNumber = self.name, "B0001", "A1"
        found.PatientBirthDate, found.PatientSex = "19560312", "F"
        found.StudyInstanceUID, found.RequestedProcedureID = "1.2.3", "RP1"
        found.RequestedProcedureDescription = "胸部正位"
        step = Dataset()
        step.Modality, step.ScheduledProcedureStepID = "DX", "SP1"
        found.ScheduledProcedureStepSequence = Sequence([step])
        yield 0xFF00, found

    def store(self, event: evt.Event) -> int:
        self.received.append(event.encoded_dataset(include_meta=False))
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        self.stored.append(dataset)
        return self.status


@pytest.fixture
def counterpart() -> Iterator[Counterpart]:
    told = Counterpart()
    entity = AE("HUTONG")
    entity.add_supported_context(Verification)
    entity.add_supported_context(ModalityWorklistInformationFind)
    for context in AllStoragePresentationContexts:
        assert context.abstract_syntax is not None
        entity.add_supported_context(context.abstract_syntax, ["1.2.840.10008.1.2.1", JPEG_2000_LOSSLESS])
    handlers: list[tuple[evt.EventType, Callable[..., Any]] | tuple[evt.EventType, Callable[..., Any], list[Any]]] = [
        (evt.EVT_C_ECHO, lambda event: told.status),
        (evt.EVT_C_FIND, told.find),
        (evt.EVT_C_STORE, told.store),
    ]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    assert server.socket is not None
    told.port = server.socket.getsockname()[1]
    yield told
    server.shutdown()
