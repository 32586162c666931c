"""What is an export of a month? A folder of two files, written so that it is there whole or not at all.

`journal.ndjson.gz`   a line of JSON for each envelope, with all that belongs to it, and for each delivery that no
                      envelope caused; payloads, acknowledgments and receipts are in base64
`manifest.json`       what it is, how many lines, and the SHA-256 of the other file
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from engine.errors import ConfigurationError, StorageError

FORMAT = "hutong-journal-export"
VERSION = 1
LINES, MANIFEST = "journal.ndjson.gz", "manifest.json"
_LEVEL = 6
_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Manifest:
    """`print`: rows of each table in the month, and sums over them, as the hub worked them out before the export."""

    format: str
    version: int
    month: str
    hub: str
    exported_at: str
    lines: int
    bytes: int
    sha256: str
    print: dict[str, dict[str, int]]


class _OtherBytes(Exception):
    """A payload whose digest is not that of its envelope."""


class Export:
    """One month's folder. It has its name only once everything in it has been flushed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def is_there(self) -> bool:
        return (self.folder / MANIFEST).exists()

    def manifest(self) -> Manifest:
        """Raises StorageError for what is no manifest of ours."""
        try:
            manifest = Manifest(**json.loads((self.folder / MANIFEST).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise _broken(self, f"its {MANIFEST} cannot be read ({type(error).__name__})") from error
        if (manifest.format, manifest.version) != (FORMAT, VERSION):
            raise _broken(self, f"it is not of the format {FORMAT} {VERSION}")
        return manifest

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """A folder beside it, which takes its name at the end; one that an earlier run did not finish is begun anew.

        Raises ConfigurationError when the place holds something else.
        """
        if self.folder.exists() and not self.is_there and any(self.folder.iterdir()):
            raise ConfigurationError(f"{self.folder} holds something else: choose another --export folder")
        beside = self.folder.with_name(f"{self.folder.name}.unfinished")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True, mode=0o700)
        with (beside / LINES).open("wb") as file:
            writer = Writer(beside, file)
            yield writer
        if self.folder.exists():
            shutil.rmtree(self.folder)
        beside.replace(self.folder)
        _flush(self.folder.parent)


class Writer:
    def __init__(self, folder: Path, file: BinaryIO) -> None:
        self._folder = folder
        self._file = file
        # Without a name and a time in it, the same lines always give the same bytes.
        self._lines = gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=file, mtime=0)
        self._number = 0

    def write(self, lines: Sequence[bytes]) -> None:
        self._lines.write(b"".join(line + b"\n" for line in lines))
        self._number += len(lines)

    def finish(self, *, month: str, hub: str, exported_at: str, fingerprint: dict[str, dict[str, int]]) -> None:
        """Flushes the lines, and then what describes them."""
        self._lines.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        digest, length = _digest(self._folder / LINES)
        manifest = Manifest(FORMAT, VERSION, month, hub, exported_at, self._number, length, digest, fingerprint)
        with (self._folder / MANIFEST).open("w", encoding="utf-8") as file:
            json.dump(asdict(manifest), file, ensure_ascii=False, indent=2)
            file.flush()
            os.fsync(file.fileno())
        _flush(self._folder)


def verify(export: Export) -> Manifest:
    """Reads an export back: its digest, every line, every payload's digest, and as many rows as the manifest says.

    Raises StorageError, which says what is wrong.
    """
    manifest = export.manifest()
    path = export.folder / LINES
    if not path.exists():
        raise _broken(export, f"its {LINES} is missing")
    if _digest(path) != (manifest.sha256, manifest.bytes):
        raise _broken(export, f"its {LINES} is not the one that was written")
    found: Counter[str] = Counter()
    number = 0
    try:
        with gzip.open(path, "rb") as lines:
            for line in lines:
                number += 1
                _count(json.loads(line), found)
    except _OtherBytes:
        raise _broken(export, f"line {number} of its {LINES} holds other bytes than were received") from None
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise _broken(export, f"line {number} of its {LINES} cannot be read ({type(error).__name__})") from error
    expected = {table: rows for table, rows in manifest.print["rows"].items() if rows}
    if number != manifest.lines or dict(+found) != expected:
        raise _broken(export, f"it holds {dict(found)} and not {expected}")
    return manifest


def _count(line: dict[str, Any], found: Counter[str]) -> None:
    """Raises _OtherBytes for a payload that is not what was received."""
    if line["line"] == "envelope":
        if sha256(base64.b64decode(line["payload"], validate=True)).hexdigest() != line["sha256"]:
            raise _OtherBytes
        found["journal"] += 1
        found["outcome"] += line["outcome"] is not None
        found["outcome_earlier"] += len(line.get("outcome_earlier", ()))  # exports of earlier versions lack it
        found["finding"] += len(line["findings"])
    for delivery in [line] if line["line"] == "delivery" else line["deliveries"]:
        found["delivery"] += 1
        found["finding"] += len(delivery["findings"])
        found["delivery_attempt"] += len(delivery["attempt_log"])


def _digest(path: Path) -> tuple[str, int]:
    digest, length = sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            length += len(chunk)
    return digest.hexdigest(), length


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _broken(export: Export, why: str) -> StorageError:
    return StorageError(f"{export.folder} is no whole export: {why}", code="export-broken")
