"""What becomes of one C-STORE? Identified, spooled, indexed; only then may it be answered 0000."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from engine.clock import Clock
from engine.errors import ParseError, StorageError
from engine.store.imaging import Instance, Standing
from pacs_gateway import part10
from pacs_gateway.identify import Identity, identify
from pacs_gateway.spool import Key, Spool


@dataclass(frozen=True, slots=True)
class Sent:
    """One object as a peer sent it: its command, its context and the bytes of its data set.

    peer  `AET@host:port`
    """

    sop_class: str
    sop_uid: str
    transfer_syntax: str
    data: bytes
    facility: str
    peer: str

    @property
    def ae_title(self) -> str:
        return self.peer.partition("@")[0]


class Store:
    """Keeps objects. Blocking and thread-safe: called by the thread of each association.

    commit   commits one index row and says what it is; blocks until then; raises StorageError
    unsure   told of an object whose row may or may not be there, because its commit failed
    """

    def __init__(
        self, spool: Spool, commit: Callable[[Instance], Standing], unsure: Callable[[Key], None], clock: Clock
    ) -> None:
        self._spool = spool
        self._commit = commit
        self._unsure = unsure
        self._clock = clock

    def keep(self, sent: Sent) -> Standing:
        """On return the object and its index row are durable.

        Raises ParseError (no whole data set, or not the one the command announced) and StorageError (disk or
        database); then nothing of it is visible.
        """
        identity = identify(sent.data, sent.transfer_syntax)
        _as_announced(sent, identity)
        digest = hashlib.sha256(sent.data).digest()
        key = Key(sent.facility, identity.study_uid, digest)
        with self._spool.turn(key):
            if not self._spool.holds(key):
                header = part10.header(
                    sop_class=identity.sop_class,
                    sop_uid=identity.sop_uid,
                    transfer_syntax=sent.transfer_syntax,
                    sender=sent.ae_title,
                )
                self._spool.write(key, (header, sent.data))
            try:
                return self._commit(self._row(sent, identity, key))
            except StorageError:
                self._unsure(key)
                raise

    def _row(self, sent: Sent, identity: Identity, key: Key) -> Instance:
        charset = {
            "declared": identity.charset.declared,
            "used": identity.charset.used,
            "doubtful": identity.charset.doubtful,
            "findings": {finding.code: finding.text for finding in identity.findings},
        }
        return Instance(
            sop_uid=identity.sop_uid,
            facility=sent.facility,
            sha256=key.sha256,
            study_uid=identity.study_uid,
            series_uid=identity.series_uid,
            sop_class=identity.sop_class,
            transfer_syntax=sent.transfer_syntax,
            modality=identity.modality,
            number=identity.number,
            bytes=len(sent.data),
            location=key.path,
            tags=json.dumps(identity.tags, ensure_ascii=False),
            charset=json.dumps(charset, ensure_ascii=False),
            peer=sent.peer,
            stored_at=self._clock(),
        )


def _as_announced(sent: Sent, identity: Identity) -> None:
    """PS3.4 B.2.3: A900 when the data set is not of the class, or not the instance, that the command names."""
    if identity.sop_uid != sent.sop_uid:
        raise ParseError("SOP Instance UID differs from the command's", code="uid-differs", location="(0008,0018)")
    if identity.sop_class != sent.sop_class:
        raise ParseError("SOP Class UID differs from the command's", code="sop-class-differs", location="(0008,0016)")
