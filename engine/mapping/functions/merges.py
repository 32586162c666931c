"""MRG, A24 and A29: records that the sender joins, links or deletes. None of it is done here, and that is said."""

from __future__ import annotations

from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope

_UNLINK, _DELETE = "A37", "A29"


@function(2, repeats=True)
def merge_not_applied(options: Options) -> Apply:
    """Gives nothing, and a finding: the sender joins, moves or renumbers the record that MRG names; nothing was."""

    def apply(prior: str, message_type: str, scope: Scope) -> None:
        text = "the sender joins, moves or renumbers the record named here; this patient was recorded, that one left"
        scope.doubt("merge-not-applied", text)

    return apply


@function(2, repeats=True)
def link_not_applied(options: Options) -> Apply:
    """Gives nothing, and a finding: the sender links or unlinks patients (ADT^A24, ADT^A37); they stay as they are."""

    def apply(patient: str, message_type: str, scope: Scope) -> None:
        does = "unlinks" if _event(message_type, scope) == _UNLINK else "links"
        scope.doubt("merge-not-applied", f"the sender {does} these patients; each was recorded, their link left")

    return apply


@function()
def person_deletion_not_applied(options: Options) -> Apply:
    """Gives nothing, and for a message that deletes a person (ADT^A29) a finding: nobody was deleted."""

    def apply(message_type: str, scope: Scope) -> None:
        if _event(message_type, scope) == _DELETE:
            scope.doubt("deletion-not-applied", "the sender deletes this person; the record was left as it is")

    return apply


def _event(message_type: str, scope: Scope) -> str:
    parts = scope.components(message_type)
    return parts[1] if len(parts) > 1 else ""
