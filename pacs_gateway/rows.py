"""What is the index row of an object that was answered? Made of the raw values of its identifying elements."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.codecs.text import UTF_8
from engine.store.imaging import Instance
from engine.store.statements import location_of
from pacs_gateway.background import places_of
from pacs_gateway.charset import UNICODE
from pacs_gateway.identify import identity_of, numbers_of
from pacs_gateway.location import location
from pacs_gateway.receiving import Kept

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Indexed:
    """An object and its row."""

    kept: Kept
    row: Instance


def with_rows(objects: Sequence[Kept]) -> tuple[list[Indexed], list[Kept]]:
    """Hashed objects with their rows, in their order; and those of which none can be made, which hold up no other."""
    made: list[Indexed] = []
    impossible: list[Kept] = []
    for kept in objects:
        try:
            made.append(Indexed(kept, row_of(kept)))
        except Exception as error:  # noqa: BLE001 - whatever one object does to us; a person hears of it
            tell_of(error)
            impossible.append(kept)
    return made, impossible


def tell_of(error: Exception) -> None:
    """Says in the log why an object has no row."""
    _log.error("an object stays in the spool, its row cannot be written: %s", places_of(error))


def row_of(kept: Kept) -> Instance:
    head, identity = kept.head, identity_of(kept.raw)
    found = identity.charset
    said: dict[str, Any] = {"declared": found.declared, "used": found.used}
    charset = {
        **said,
        "doubtful": found.doubtful,
        "findings": {finding.code: finding.text for finding in identity.findings},
    }
    key = location(head.facility, identity.study_uid, head.sha256)
    if found.repair:
        charset |= {"declared": UNICODE, "used": UTF_8, "sent": said}
        key = location_of(key, {}, UTF_8, read_as=found.used)
    return Instance(
        sop_uid=identity.sop_uid,
        facility=head.facility,
        sha256=head.sha256,
        study_uid=identity.study_uid,
        series_uid=identity.series_uid,
        sop_class=identity.sop_class,
        transfer_syntax=head.transfer_syntax,
        modality=identity.modality,
        number=identity.number,
        bytes=head.length,
        location=key,
        tags=json.dumps(identity.tags | numbers_of(kept.raw, head.transfer_syntax), ensure_ascii=False),
        charset=json.dumps(charset, ensure_ascii=False),
        peer=head.peer,
        stored_at=kept.received_at,
    )
