"""Which presentation contexts does a study need? For each class the encodings in which its objects could go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from engine.config import SendAs
from engine.store.imaging_outbox import Unsent
from pacs_gateway.scu.peer import PLAIN, Proposal
from pacs_gateway.scu.requestor import CONTEXT_LIMIT
from pacs_gateway.transfer_syntaxes import UNCOMPRESSED

TARGETS = {
    SendAs.JPEG_LS: "1.2.840.10008.1.2.4.80",
    SendAs.JPEG_2000: "1.2.840.10008.1.2.4.90",
    SendAs.HTJ2K: "1.2.840.10008.1.2.4.201",
    SendAs.RLE: "1.2.840.10008.1.2.5",
}
"""The transfer syntaxes of lossless encodings."""

Kind = tuple[str, str]
"""A SOP class, and the transfer syntax in which an object of it is stored."""
_T = TypeVar("_T")


def groups(unsent: Sequence[Unsent], send_as: SendAs) -> Iterator[tuple[list[Proposal], list[Unsent]]]:
    """What one association can carry, in the order given as far as that can be: nearly always everything."""
    return _groups(unsent, lambda one: (one.content.sop_class, one.content.transfer_syntax), send_as)


def groups_of_kinds(kinds: Iterable[Kind]) -> Iterator[tuple[list[Proposal], list[Kind]]]:
    """The same for objects that go as they are stored, or without compression."""
    return _groups(kinds, lambda kind: kind, SendAs.AS_STORED)


def _groups(
    things: Iterable[_T], kind_of: Callable[[_T], Kind], send_as: SendAs
) -> Iterator[tuple[list[Proposal], list[_T]]]:
    proposals: dict[Kind, list[Proposal]] = {}
    members: list[_T] = []
    for one in things:
        kind = kind_of(one)
        if kind not in proposals:
            further = _proposals(*kind, send_as, {sop_class for sop_class, _ in proposals})
            if sum(map(len, proposals.values())) + len(further) > CONTEXT_LIMIT:
                yield [proposal for listed in proposals.values() for proposal in listed], members
                proposals, members = {}, []
                further = _proposals(*kind, send_as, set())
            proposals[kind] = further
        members.append(one)
    if members:
        yield [proposal for listed in proposals.values() for proposal in listed], members


def _proposals(sop_class: str, transfer_syntax: str, send_as: SendAs, known: set[str]) -> list[Proposal]:
    """As it is stored, alone in its context, so that the peer cannot choose another; and what it could be made into."""
    proposals = [Proposal(sop_class, (transfer_syntax,))]
    if sop_class not in known:
        target = TARGETS.get(send_as)
        if target is not None and target != transfer_syntax and transfer_syntax in UNCOMPRESSED:
            proposals.append(Proposal(sop_class, (target,)))
        proposals.append(Proposal(sop_class, PLAIN))
    return proposals
