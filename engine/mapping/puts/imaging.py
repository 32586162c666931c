"""IPC and ZDS: the study that an order brings."""

from __future__ import annotations

from typing import Any

from engine.identifiers import DICOM_UID
from engine.mapping.lens.back import Back, Field
from engine.mapping.registry import Options, Put, puts

_OID = "urn:oid:"


def _uid(identifier: Any) -> str | None:
    if identifier.get("system") != DICOM_UID:
        return None
    return str(identifier.get("value", "")).removeprefix(_OID) or None


@puts("study_uid")
def write_study_uid(options: Options) -> Put:
    return lambda identifier, back: _uid(identifier)


@puts("study_named")
def write_study_named(options: Options) -> Put:
    def put(reference: Any, back: Back) -> Field | None:
        return _uid(reference.get("identifier", {}))

    return put
