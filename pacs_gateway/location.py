"""Where does an object lie, whatever process asks? In the object store under its location, or still in a spool."""

from __future__ import annotations

import io
import re
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

from engine.errors import NotFoundError, StorageError
from pacs_gateway.segments.segment import SUFFIX, open_named

_SUFFIX = ".dcm"
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]*")
_BUFFER_BYTES = 256 * 1024


def location(facility: str, study_uid: str, sha256: bytes) -> str:
    """The key of an object: its content, within one study of one facility."""
    return f"{facility}/{study_uid}/{sha256.hex()}{_SUFFIX}"


def checked(location: str) -> str:
    """A location that leads nowhere else. Raises StorageError for any other."""
    if not all(_NAME.fullmatch(part) for part in location.split("/")):
        raise StorageError("the location of an object is no safe path", code="location-unsafe")
    return location


def open_object(objects: Path, location: str) -> BinaryIO:
    """An indexed object, opened for reading as a file of PS3.10, wherever it is between spool and store.

    Raises NotFoundError when it is nowhere, StorageError when it may be in a store that cannot be read now.
    """
    stored = objects / "store" / checked(location)
    refused: OSError | None = None
    for _ in range(2):  # it may move from the spool to the store between the two looks
        try:
            return stored.open("rb")
        except FileNotFoundError:
            pass
        except OSError as error:  # the store is away; what it does not have yet can still be read
            refused = error
        with suppress(FileNotFoundError):
            return _in_spool(objects, location)
    if refused is not None:
        raise StorageError(f"the object store cannot be read: {refused.strerror}") from refused
    raise NotFoundError("the object is not in the store", code="object-missing")


def _in_spool(objects: Path, location: str) -> BinaryIO:
    """Looks through the heads of every segment: an object is there for seconds, and seldom asked for meanwhile."""
    try:
        facility, _, name = location.split("/")
        sha256 = bytes.fromhex(name.removesuffix(_SUFFIX))
    except ValueError:
        raise FileNotFoundError(location) from None
    for segment in sorted((objects / "spool").glob(f"*/*/*{SUFFIX}")):
        with suppress(FileNotFoundError):
            return cast(BinaryIO, io.BufferedReader(open_named(segment, facility, sha256), _BUFFER_BYTES))
    raise FileNotFoundError(location)
