"""What is proposed is answered context by context and role by role."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from engine.config import AeEntry, DicomChannel
from engine.store.imaging import StepQuery
from engine.store.worklist import Step
from pacs_gateway.scp.callers import Caller, Callers, Unknown
from pacs_gateway.scp.echo import Echo
from pacs_gateway.scp.negotiation import answer_to, refusal_of
from pacs_gateway.scp.reception import Announced, Arriving
from pacs_gateway.scp.service import Operation, Request, Services
from pacs_gateway.scp.storage import Storage
from pacs_gateway.scp.worklist import WorklistFind
from pacs_gateway.storage_classes import STORAGE_CLASSES
from pacs_gateway.transfer_syntaxes import TRANSFER_SYNTAXES
from pacs_gateway.upper_layer.association import MAXIMUM_LENGTH
from pacs_gateway.upper_layer.commands import CommandField
from pacs_gateway.upper_layer.items import (
    AsynchronousOperationsWindow,
    ContextResult,
    PresentationContextRQ,
    RoleSelection,
    SopClassExtendedNegotiation,
    UserIdentityRQ,
    UserInformation,
)
from pacs_gateway.upper_layer.pdus import AAssociateAC, AAssociateRQ

IMPLICIT, EXPLICIT, JPEG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70"
JPEG_2000, BIG_ENDIAN, VIDEO = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.2", "1.2.840.10008.5.1.4.1.1.77.1.1.1"
VERIFICATION, CT, MR = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
WORKLIST, MPPS, STUDY_GET = "1.2.840.10008.5.1.4.31", "1.2.840.10008.3.1.2.3.3", "1.2.840.10008.5.1.4.1.2.2.3"
NO_CLASS, NO_SYNTAX, REFUSED = (
    ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED,
    ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED,
    ContextResult.USER_REJECTION,
)
CALLER = Caller("CT1", "baishi", "ae:imaging/CT1")


class NoReception:
    def begin(self, announced: Announced) -> Arriving:
        raise AssertionError("nothing is stored here")


class Getting:
    request = CommandField.C_GET_RQ

    def transfer_syntaxes(self, sop_class: str, caller: Caller) -> tuple[str, ...]:
        return (IMPLICIT,) if sop_class == STUDY_GET else ()

    def begin(self, request: Request) -> Operation:
        raise AssertionError("nothing is fetched here")


async def no_steps(facility: str, calling_ae: str, query: StepQuery, limit: int) -> list[Step]:
    raise AssertionError("nothing is asked here")


SERVICES = Services((Echo(), Storage("imaging", NoReception()), WorklistFind("imaging", no_steps)))


def answered(contexts: Sequence[tuple[str, tuple[str, ...]]], caller: Caller = CALLER, **told: Any) -> AAssociateAC:
    proposed = tuple(PresentationContextRQ(2 * at + 1, *context) for at, context in enumerate(contexts))
    request = AAssociateRQ("HUTONG", "CT1", proposed, UserInformation(16384, "1.2.3", **told))
    assert refusal_of(request) is None
    return answer_to(request, caller, SERVICES)


def test_a_mixed_proposal_is_served_as_far_as_it_goes() -> None:
    answer = answered(
        [
            (VERIFICATION, (IMPLICIT,)),
            (CT, (JPEG, EXPLICIT)),
            (WORKLIST, (EXPLICIT, IMPLICIT)),
            (MPPS, (IMPLICIT,)),
            (STUDY_GET, (IMPLICIT,)),
            (CT, ("1.2.3",)),
            (WORKLIST, (JPEG,)),
        ]
    )
    told = [(one.context_id, one.result, one.transfer_syntax) for one in answer.presentation_contexts]
    assert told == [
        (1, 0, IMPLICIT),
        (3, 0, JPEG),
        (5, 0, EXPLICIT),
        (7, NO_CLASS, IMPLICIT),
        (9, NO_CLASS, IMPLICIT),
        (11, NO_SYNTAX, "1.2.3"),
        (13, NO_SYNTAX, JPEG),
    ]
    assert answer.user_information.maximum_length == MAXIMUM_LENGTH
    assert answer.user_information.asynchronous_operations_window is None


def test_whoever_wants_objects_back_over_its_association_is_told_that_we_only_take_them() -> None:
    """As C-GET proposes it: the requestor would be the provider of the storage classes."""
    roles = (
        RoleSelection(CT, scu=False, scp=True),
        RoleSelection(MR, scu=True, scp=True),
        RoleSelection(MPPS, True, True),
    )
    answer = answered([(STUDY_GET, (IMPLICIT,)), (CT, (EXPLICIT,)), (MR, (EXPLICIT,))], role_selections=roles)
    assert [one.result for one in answer.presentation_contexts] == [NO_CLASS, REFUSED, 0]
    assert answer.user_information.role_selections == (
        RoleSelection(CT, scu=False, scp=False),
        RoleSelection(MR, scu=True, scp=False),
    )


def test_whoever_may_fetch_objects_is_sent_them_where_it_provides_their_class() -> None:
    contexts = tuple(
        PresentationContextRQ(2 * at + 1, uid, (IMPLICIT,)) for at, uid in enumerate((STUDY_GET, CT, MR, WORKLIST))
    )
    roles = (RoleSelection(CT, scu=False, scp=True), RoleSelection(MR, scu=False, scp=False))
    services = Services((*SERVICES.provided, Getting()))
    request = AAssociateRQ("HUTONG", "CT1", contexts, UserInformation(16384, "1.2.3", role_selections=roles))
    answer = answer_to(request, CALLER, services)
    assert [one.result for one in answer.presentation_contexts] == [0, 0, REFUSED, 0]
    assert answer.user_information.role_selections == roles


# contexts of one class of which the requestor is the provider, and the encodings in which they are accepted
FETCHED = [
    ([(IMPLICIT, JPEG)], [IMPLICIT]),
    ([(JPEG, IMPLICIT, EXPLICIT)], [IMPLICIT]),
    ([(BIG_ENDIAN, EXPLICIT, IMPLICIT)], [EXPLICIT]),
    ([(JPEG, EXPLICIT), (JPEG_2000, EXPLICIT), (EXPLICIT, IMPLICIT)], [JPEG, JPEG_2000, EXPLICIT]),
    ([(JPEG, EXPLICIT), (JPEG_2000, EXPLICIT)], [JPEG, EXPLICIT]),
    ([(JPEG,), (JPEG_2000,)], [JPEG, JPEG_2000]),
]


@pytest.mark.parametrize(("proposed", "accepted"), FETCHED)
def test_one_context_of_a_class_that_is_fetched_is_without_compression(
    proposed: list[tuple[str, ...]], accepted: list[str]
) -> None:
    services = Services((*SERVICES.provided, Getting()))
    for sop_class, expected in ((CT, accepted), (VIDEO, [syntaxes[0] for syntaxes in proposed])):
        contexts = [PresentationContextRQ(1, STUDY_GET, (IMPLICIT,))]
        contexts += [PresentationContextRQ(2 * at + 3, sop_class, syntaxes) for at, syntaxes in enumerate(proposed)]
        roles = (RoleSelection(sop_class, scu=False, scp=True),)
        request = AAssociateRQ("HUTONG", "CT1", tuple(contexts), UserInformation(16384, "1.2", role_selections=roles))
        answer = answer_to(request, CALLER, services)
        assert [one.transfer_syntax for one in answer.presentation_contexts[1:]] == expected


def test_a_window_is_answered_with_one_at_a_time_and_the_rest_is_not_answered() -> None:
    answer = answered(
        [(CT, (EXPLICIT,))],
        asynchronous_operations_window=AsynchronousOperationsWindow(0, 0),
        extended=(SopClassExtendedNegotiation(CT, b"\2\0\0\0\1\0"),),
        user_identity=UserIdentityRQ(1, True, b"nurse"),
    )
    told = answer.user_information
    assert told.asynchronous_operations_window == AsynchronousOperationsWindow(1, 1)
    assert (told.extended, told.user_identity_response) == ((), None)


def test_every_storage_class_is_taken_in_every_standard_encoding() -> None:
    assert len(STORAGE_CLASSES) > 180
    for sop_class in STORAGE_CLASSES:
        assert SERVICES.transfer_syntaxes(sop_class, CALLER) == set(TRANSFER_SYNTAXES)


@pytest.mark.parametrize(
    ("sop_class", "stores"),
    [
        ("1.2.826.0.1.3680043.9.9999.1", True),
        ("1.2.840.113619.4.30", True),
        ("1.2.840.10008.5.1.4.1.1.999", False),
        ("", False),
    ],
)
def test_private_classes_are_those_that_are_not_the_standards(sop_class: str, stores: bool) -> None:
    allowed = Caller("CT1", "baishi", "ae:imaging/CT1", private_classes=True)
    assert bool(SERVICES.transfer_syntaxes(sop_class, allowed)) is stores
    assert not SERVICES.transfer_syntaxes(sop_class, CALLER)


def test_a_service_is_found_by_request_and_class() -> None:
    assert isinstance(SERVICES.find(CommandField.C_STORE_RQ, CT, CALLER), Storage)
    assert isinstance(SERVICES.find(CommandField.C_ECHO_RQ, VERIFICATION, CALLER), Echo)
    assert SERVICES.find(CommandField.C_ECHO_RQ, CT, CALLER) is None
    assert SERVICES.find(CommandField.C_FIND_RQ, CT, CALLER) is None


def callers(**entry: Any) -> Callers:
    entries = (AeEntry(ae_title="CT1", facility="baishi", **entry),)
    return Callers(DicomChannel(type="dicom", name="imaging", ae_title="HUTONG", ae_entries=entries))


# address of the entry, the host that calls, whether it may
HOSTS = [
    (None, "192.0.2.1", True),
    ("192.0.2.1", "192.0.2.1", True),
    ("192.0.2.1", "192.0.2.2", False),
    ("192.0.2.1", "::ffff:192.0.2.1", True),
    ("fd00::1", "fd00:0::1%eth0", True),
    ("fd00::1", "192.0.2.1", False),
    ("localhost", "127.0.0.1", True),
    ("localhost", "192.0.2.1", False),
    ("no-such-host.invalid", "192.0.2.1", False),
]


@pytest.mark.parametrize(("address", "host", "may"), HOSTS)
async def test_the_host_that_an_entry_names_may_call(address: str | None, host: str, may: bool) -> None:
    caller = await callers(address=address).admit("CT1", host, None)
    assert (caller == CALLER) is may


async def test_an_unknown_title_may_not_call() -> None:
    assert await callers().admit("ct1", "192.0.2.1", None) is Unknown.TITLE
    assert await callers().admit("", "192.0.2.1", None) is Unknown.TITLE
