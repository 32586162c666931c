"""How do we get what another system has? By C-MOVE to ourselves, or C-GET over our own association (PS3.4 C.4.2, 3)."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset

from engine.errors import DeliveryError, Disposition
from pacs_gateway import status
from pacs_gateway.query.identifier import encoded
from pacs_gateway.scu.find import next_message_id, refused
from pacs_gateway.scu.peer import PLAIN, Proposal, Response, Taker
from pacs_gateway.scu.requestor import CONTEXT_LIMIT, Requestor
from pacs_gateway.storage_classes import STORAGE_CLASSES
from pacs_gateway.transfer_syntaxes import EXPLICIT_VR_BIG_ENDIAN, TRANSFER_SYNTAXES
from pacs_gateway.upper_layer.commands import CommandField, CommandSet, Element

_COMMON = (
    "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.51",
)  # fmt: skip
_COMPRESSED = (
    *_COMMON,
    *(uid for uid in TRANSFER_SYNTAXES if uid not in (*PLAIN, *_COMMON, EXPLICIT_VR_BIG_ENDIAN)),
)
"""Those that archives keep most pictures in come first."""
_USUAL = (
    "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.2", "1.2.840.10008.5.1.4.1.1.1.2.1", "1.2.840.10008.5.1.4.1.1.1.3",
    "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.3.1",
    "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.2",
    "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.6.2", "1.2.840.10008.5.1.4.1.1.7",
    "1.2.840.10008.5.1.4.1.1.7.1", "1.2.840.10008.5.1.4.1.1.7.2", "1.2.840.10008.5.1.4.1.1.7.3",
    "1.2.840.10008.5.1.4.1.1.7.4", "1.2.840.10008.5.1.4.1.1.9.1.1", "1.2.840.10008.5.1.4.1.1.9.1.2",
    "1.2.840.10008.5.1.4.1.1.9.1.3", "1.2.840.10008.5.1.4.1.1.9.1.4", "1.2.840.10008.5.1.4.1.1.11.1",
    "1.2.840.10008.5.1.4.1.1.12.1", "1.2.840.10008.5.1.4.1.1.12.2", "1.2.840.10008.5.1.4.1.1.13.1.3",
    "1.2.840.10008.5.1.4.1.1.20", "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.77.1.1",
    "1.2.840.10008.5.1.4.1.1.77.1.2", "1.2.840.10008.5.1.4.1.1.77.1.4", "1.2.840.10008.5.1.4.1.1.77.1.5.1",
    "1.2.840.10008.5.1.4.1.1.77.1.5.4", "1.2.840.10008.5.1.4.1.1.88.11", "1.2.840.10008.5.1.4.1.1.88.22",
    "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.88.59", "1.2.840.10008.5.1.4.1.1.88.67",
    "1.2.840.10008.5.1.4.1.1.104.1", "1.2.840.10008.5.1.4.1.1.104.2", "1.2.840.10008.5.1.4.1.1.128",
    "1.2.840.10008.5.1.4.1.1.481.1", "1.2.840.10008.5.1.4.1.1.481.2", "1.2.840.10008.5.1.4.1.1.481.3",
    "1.2.840.10008.5.1.4.1.1.481.5",
)  # fmt: skip
"""What is proposed where nobody has said which classes a study has: an association has no room for all."""


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The sub-operations of a retrieval, as the peer counts them."""

    completed: int
    failed: int
    warning: int


def get_proposals(sop_class: str, classes: tuple[str, ...] = ()) -> list[Proposal]:
    """The contexts of a C-GET: what is asked, and ourselves as the provider of storage classes.

    A peer takes one encoding of each context, and can send nothing over it that it keeps in another: every compressed
    one has a context of its own, as far as there is room.

    classes  those that the study is said to have; none takes the usual ones
    """
    listed = [uid for uid in dict.fromkeys(classes) if uid in STORAGE_CLASSES][: (CONTEXT_LIMIT - 1) // 2] or _USUAL
    alone = (CONTEXT_LIMIT - 1) // len(listed) - 2
    encodings = [PLAIN, *((uid,) for uid in _COMPRESSED[:alone]), _COMPRESSED[alone:]]
    return [
        Proposal(sop_class),
        *(Proposal(uid, syntaxes, as_provider=True) for uid in listed for syntaxes in encodings if syntaxes),
    ]


async def move(requestor: Requestor, sop_class: str, identifier: Dataset, destination: str) -> Retrieved:
    """Has objects sent to an application entity that the peer knows by its title.

    Raises DeliveryError as `get` does, and `destination-unknown`, to HOLD, when the peer does not know it.
    """
    command = CommandSet.of(
        CommandField.C_MOVE_RQ,
        {
            Element.AFFECTED_SOP_CLASS_UID: sop_class,
            Element.MESSAGE_ID: next_message_id(),
            Element.PRIORITY: 0,
            Element.MOVE_DESTINATION: destination,
        },
        has_data_set=True,
    )
    return await _retrieve(requestor, sop_class, command, identifier, None)


async def get(requestor: Requestor, sop_class: str, identifier: Dataset, taker: Taker) -> Retrieved:
    """Has objects sent back over this association.

    Raises DeliveryError when the peer does not answer, or when not everything came: to HOLD where it will not.
    """
    command = CommandSet.of(
        CommandField.C_GET_RQ,
        {Element.AFFECTED_SOP_CLASS_UID: sop_class, Element.MESSAGE_ID: next_message_id(), Element.PRIORITY: 0},
        has_data_set=True,
    )
    return await _retrieve(requestor, sop_class, command, identifier, taker)


async def _retrieve(
    requestor: Requestor, sop_class: str, command: CommandSet, identifier: Dataset, taker: Taker | None
) -> Retrieved:
    asked = encoded(identifier, requestor.encoding_of(sop_class))
    last: Response | None = None
    async for response in requestor.ask_for_many(sop_class, command, asked, taker):
        last = response
    assert last is not None, "there is an answer, or an error was raised"
    told = last.command
    retrieved = Retrieved(
        told.number(Element.NUMBER_OF_COMPLETED_SUB_OPERATIONS),
        told.number(Element.NUMBER_OF_FAILED_SUB_OPERATIONS),
        told.number(Element.NUMBER_OF_WARNING_SUB_OPERATIONS),
    )
    if last.status == status.DESTINATION_UNKNOWN:
        raise DeliveryError(
            "the peer does not know where to move objects to: enter our AE title, host and port there",
            disposition=Disposition.HOLD,
            code="destination-unknown",
        )
    if last.status != status.SUCCESS or retrieved.failed:
        raise refused(f"a retrieval ({retrieved.failed} objects failed)", last.status or 0xB000, told)
    return retrieved
