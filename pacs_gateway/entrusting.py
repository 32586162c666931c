"""Does an archive keep what we sent to it? Storage commitment as its user (PS3.4 annex J), once it has arrived."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import uuid4

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from engine.store import commitments, notifications
from engine.store.commitments import Named
from engine.store.database import Connection
from engine.store.notifications import Notification, Operation, Owed
from engine.studies import study_id
from pacs_gateway.committing import COMMITMENT, WELL_KNOWN_INSTANCE
from pacs_gateway.query.identifier import encoded
from pacs_gateway.scp.commitment import REQUEST_COMMITMENT
from pacs_gateway.transfer_syntaxes import IMPLICIT_VR_LITTLE_ENDIAN

TOGETHER = 5_000
"""Instances of one request: half a megabyte."""


async def entrust(connection: Connection, endpoint: str, study_uid: str, facility: str, at: datetime) -> int:
    """Owes the endpoint, in the caller's transaction, the question whether it keeps what it has taken of a study.

    How many instances it is asked for: those for which no earlier question is open or was answered well.
    """
    taken = await commitments.unentrusted(connection, endpoint, study_uid, facility)
    for first in range(0, len(taken), TOGETHER):
        some = taken[first : first + TOGETHER]
        transaction_uid = f"2.25.{uuid4().int}"
        await commitments.take(
            connection,
            transaction_uid=transaction_uid,
            channel="",
            facility=facility,
            other=endpoint,
            instances=some,
            at=at,
            by_us=True,
        )
        message = Notification(
            Operation.ACTION,
            COMMITMENT,
            WELL_KNOWN_INSTANCE,
            IMPLICIT_VR_LITTLE_ENDIAN,
            _request(transaction_uid, some),
            REQUEST_COMMITMENT,
        )
        about = f"ImagingStudy/{study_id(facility, study_uid)}"
        owed = Owed(endpoint, message, transaction_uid, about, "commits")
        await notifications.owe(connection, [owed], at)
    return len(taken)


def _request(transaction_uid: str, instances: Sequence[Named]) -> bytes:
    items = []
    for named in instances:
        item = Dataset()
        item.ReferencedSOPClassUID = named.sop_class
        item.ReferencedSOPInstanceUID = named.sop_uid
        items.append(item)
    request = Dataset()
    request.TransactionUID = transaction_uid
    request.ReferencedSOPSequence = Items(items)
    return encoded(request, IMPLICIT_VR_LITTLE_ENDIAN)
