"""How are DICOM files sent as they are? C-STORE of the bytes that stand in each file, nothing decoded or re-encoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pynetdicom import _config
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from conformance.errors import ConformanceError, NoAnswerError
from conformance.simulators.dicom_address import DicomAddress

_CONTEXTS_PER_ASSOCIATION = 128
"""PS3.8 §9.3.2.2: presentation context ids are the odd numbers from 1 to 255."""


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """How one file was answered: a DIMSE status, or the reason why there is none."""

    path: Path
    sop_uid: str
    status: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Object:
    path: Path
    sop_class: str
    sop_uid: str
    transfer_syntax: str


def send_files(paths: Sequence[Path], address: DicomAddress, calling: str, timeout_secs: float) -> Iterator[FileAnswer]:
    """One answer per file, as it comes. Raises NoAnswerError when no association is accepted."""
    _config.STORE_SEND_CHUNKED_DATASET = True  # the only way to have pynetdicom leave the bytes alone
    objects = []
    for path in paths:
        try:
            objects.append(_read(path))
        except ConformanceError as error:
            yield FileAnswer(path, "", None, str(error))
    for group in _groups(objects):
        association = _associate(group, address, calling, timeout_secs)
        try:
            for each in group:
                yield _send(association, each)
        finally:
            association.release()


def _read(path: Path) -> _Object:
    try:
        meta = read_file_meta_info(path)
    except (InvalidDicomError, OSError) as error:
        raise ConformanceError("not a DICOM file") from error
    for keyword in ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID"):
        if not meta.get(keyword):
            raise ConformanceError(f"its file meta information has no {keyword}")
    return _Object(path, meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID)


def _groups(objects: Sequence[_Object]) -> Iterator[list[_Object]]:
    """Splits so that no group needs more presentation contexts than an association can have."""
    group: list[_Object] = []
    for each in objects:
        if len({(one.sop_class, one.transfer_syntax) for one in [*group, each]}) > _CONTEXTS_PER_ASSOCIATION:
            yield group
            group = []
        group.append(each)
    if group:
        yield group


def _associate(group: Sequence[_Object], address: DicomAddress, calling: str, timeout_secs: float) -> Association:
    entity = ApplicationEntity(calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = timeout_secs
    contexts = [build_context(*pair) for pair in sorted({(each.sop_class, each.transfer_syntax) for each in group})]
    association = entity.associate(address.host, address.port, contexts, ae_title=address.ae_title)
    if not association.is_established:
        reason = "refused the association" if association.is_rejected else "accepted no association"
        raise NoAnswerError(f"{address.ae_title}@{address.host}:{address.port} {reason}")
    return association


def _send(association: Association, each: _Object) -> FileAnswer:
    if not association.is_established:
        return FileAnswer(each.path, each.sop_uid, None, "the other side ended the association")
    try:
        status = association.send_c_store(each.path)
    except ValueError:
        return FileAnswer(each.path, each.sop_uid, None, "the other side does not take this kind of object")
    if "Status" not in status:
        return FileAnswer(each.path, each.sop_uid, None, "no answer")
    return FileAnswer(each.path, each.sop_uid, int(status.Status), str(status.get("ErrorComment", "")))
