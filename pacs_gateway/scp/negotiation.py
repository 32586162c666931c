"""What do we answer to an A-ASSOCIATE-RQ from somebody who may call? Context by context, role by role."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pacs_gateway.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from pacs_gateway.scp.callers import Caller
from pacs_gateway.scp.service import Services
from pacs_gateway.scu.peer import PLAIN
from pacs_gateway.transfer_syntaxes import TRANSFER_SYNTAXES, choose
from pacs_gateway.upper_layer.association import MAXIMUM_LENGTH
from pacs_gateway.upper_layer.commands import CommandField
from pacs_gateway.upper_layer.items import (
    AsynchronousOperationsWindow,
    ContextResult,
    PresentationContextAC,
    PresentationContextRQ,
    RoleSelection,
    UserInformation,
)
from pacs_gateway.upper_layer.pdus import (
    APPLICATION_CONTEXT_NOT_SUPPORTED,
    DICOM_APPLICATION_CONTEXT,
    PROTOCOL_VERSION,
    PROTOCOL_VERSION_NOT_SUPPORTED,
    AAssociateAC,
    AAssociateRJ,
    AAssociateRQ,
)

_ONE_AT_A_TIME = AsynchronousOperationsWindow(1, 1)
_VIDEO = frozenset(f"1.2.840.10008.5.1.4.1.1.77.1.{number}.1" for number in (1, 2, 4))
"""Storage classes whose objects cannot go without compression."""


def refusal_of(request: AAssociateRQ) -> AAssociateRJ | None:
    """Why no such association can be, whoever asks; None when it can. By what name it calls us does not matter."""
    if not request.protocol_version & PROTOCOL_VERSION:
        return PROTOCOL_VERSION_NOT_SUPPORTED
    if request.application_context_name != DICOM_APPLICATION_CONTEXT:
        return APPLICATION_CONTEXT_NOT_SUPPORTED
    return None


def answer_to(request: AAssociateRQ, caller: Caller, services: Services) -> AAssociateAC:
    """Accepts what our services provide to this caller, and says of the rest why not.

    Who may fetch objects with C-GET may be the provider of the storage classes, for these to be sent to it, and a
    provider of events may tell us of them. What is sent to it goes, if need be, without compression. Of the user
    information, roles and a window of operations are answered; extended negotiation is not, which leaves
    each service at its default, and a user identity is not, because it is not checked.
    """
    asked = request.user_information
    proposed = {context.abstract_syntax for context in request.presentation_contexts}
    gets = any(services.find(CommandField.C_GET_RQ, sop_class, caller) for sop_class in proposed)
    roles = {
        role.sop_class_uid: RoleSelection(
            role.sop_class_uid,
            role.scu,
            role.scp and (gets or _hears_of(role.sop_class_uid, caller, services)),
        )
        for role in asked.role_selections
    }
    provided = [uid for uid, role in roles.items() if role.scp and not role.scu]
    plain = _without_compression(request.presentation_contexts, provided)
    return AAssociateAC(
        called_ae_title=request.called_ae_title,
        calling_ae_title=request.calling_ae_title,
        presentation_contexts=tuple(
            _context(context, roles.get(context.abstract_syntax), caller, services, plain)
            for context in request.presentation_contexts
        ),
        user_information=UserInformation(
            maximum_length=MAXIMUM_LENGTH,
            implementation_class_uid=IMPLEMENTATION_CLASS_UID,
            implementation_version_name=IMPLEMENTATION_VERSION_NAME,
            asynchronous_operations_window=_ONE_AT_A_TIME if asked.asynchronous_operations_window else None,
            role_selections=tuple(role for uid, role in roles.items() if services.transfer_syntaxes(uid, caller)),
        ),
    )


def _hears_of(sop_class: str, caller: Caller, services: Services) -> bool:
    return services.find(CommandField.N_EVENT_REPORT_RQ, sop_class, caller) is not None


def _without_compression(contexts: Sequence[PresentationContextRQ], provided: Collection[str]) -> frozenset[int]:
    """Contexts that are accepted without compression although they name another encoding first.

    provided  classes of which the requestor is the provider only: one context of each must serve whatever is stored
              of it, and what is stored compressed can be had without compression, but rarely the other way round
    """
    found = set()
    for sop_class in {*provided} - _VIDEO:
        of_class = [context for context in contexts if context.abstract_syntax == sop_class]
        if any(choose(context.transfer_syntaxes, TRANSFER_SYNTAXES) in PLAIN for context in of_class):
            continue
        found.update([one.context_id for one in of_class if choose(one.transfer_syntaxes, PLAIN)][-1:])
    return frozenset(found)


def _context(
    proposed: PresentationContextRQ,
    role: RoleSelection | None,
    caller: Caller,
    services: Services,
    plain: Collection[int],
) -> PresentationContextAC:
    accepted = services.transfer_syntaxes(proposed.abstract_syntax, caller)
    chosen = choose(proposed.transfer_syntaxes, PLAIN if accepted and proposed.context_id in plain else accepted)
    if not accepted:
        result = ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED
    elif chosen is None:
        result = ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED
    elif role is not None and not role.scu and not role.scp:
        result = ContextResult.USER_REJECTION  # it would be the provider only, and asks for nothing to be sent to it
    else:
        return PresentationContextAC(proposed.context_id, ContextResult.ACCEPTANCE, chosen)
    return PresentationContextAC(proposed.context_id, result, proposed.transfer_syntaxes[0])
