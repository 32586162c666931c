"""Where does an object lie, whatever process asks? In the object store under its location, or still in a spool."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from engine.errors import NotFoundError, StorageError
from engine.ports import ObjectStore
from engine.store.statements import changes_in, read_as_in
from pacs_gateway.repaired import repaired
from pacs_gateway.restated import restated
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


@dataclass(frozen=True, slots=True)
class Objects:
    """Where the objects of a hub are.

    folder     the object folder: the spool is in it, and the store too
    elsewhere  the store where it is not in the folder; what was moved into the folder before is still read from there
    missed     told, from whatever thread, of a location at which nothing is any more
    """

    folder: Path
    elsewhere: ObjectStore | None = None
    missed: Callable[[str], None] | None = None

    def stored_file(self, location: str) -> Path:
        """Where the file is once the object has been moved into the folder's own store."""
        return self.folder / "store" / checked(location)


def open_object(objects: Objects, location: str) -> BinaryIO:
    """An indexed object, opened for reading as a file of PS3.10, wherever it is between spool and store.

    Its text is repaired where its label is wrong, and what was decided of it since it was sent is in it. Raises
    NotFoundError when it is nowhere, StorageError when it may be in a store that cannot be read now.
    """
    key, changes, charset = changes_in(location)
    file = _opened(objects, key)
    if codec := read_as_in(location):
        file = repaired(file, codec)
    return restated(file, changes, charset) if changes else file


def _opened(objects: Objects, location: str) -> BinaryIO:
    stored = objects.stored_file(location)
    refused: OSError | None = None
    for _ in range(2):  # it may move from the spool to the store between the two looks
        try:
            return stored.open("rb")
        except FileNotFoundError:
            pass
        except OSError as error:  # the store is away; what it does not have yet can still be read
            refused = error
        try:
            return _in_spool(objects.folder, location)
        except FileNotFoundError:
            pass
        except OSError as error:
            refused = error
        if objects.elsewhere is not None:
            with suppress(NotFoundError):
                return objects.elsewhere.open(location)
    if refused is not None:
        raise StorageError(f"the object store cannot be read: {refused.strerror}") from refused
    if objects.missed is not None:
        objects.missed(location)
    raise NotFoundError("the object is not in the store", code="object-missing")


def _in_spool(objects: Path, location: str) -> BinaryIO:
    """Looks through the heads of every segment: an object is there for seconds, and seldom asked for meanwhile.

    Raises FileNotFoundError when it is in none of them, another OSError when one of them cannot be read.
    """
    try:
        facility, _, name = location.split("/")
        sha256 = bytes.fromhex(name.removesuffix(_SUFFIX))
    except ValueError:
        raise FileNotFoundError(location) from None
    unread: OSError = FileNotFoundError(location)
    for segment in sorted((objects / "spool").glob(f"*/*/*{SUFFIX}")):
        try:
            return cast(BinaryIO, io.BufferedReader(open_named(segment, facility, sha256), _BUFFER_BYTES))
        except FileNotFoundError:
            continue
        except OSError as error:  # it may be in there, or in the next
            unread = error
    raise unread
