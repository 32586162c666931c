"""MRG, A24, A37 and A29: records that the sender joins, moves, renumbers, links or deletes.

What is done is noted as an act, and recording does it. These functions make ids because only such a one knows the id of
the patient or visit that stays.
"""

from __future__ import annotations

from typing import Any

from engine.finding import Severity
from engine.identifiers import facility_system, resource_id
from engine.mapping.acts import Act, Doing
from engine.mapping.functions.ids import own_repetition, patient_id, patient_key
from engine.mapping.functions.patients import DEFAULT_TYPE, authority_of, personal_identifier, typed
from engine.mapping.registry import Apply, MakeId, Options, function, makes_id
from engine.mapping.scope import Scope

_DELETE, _MOVE_ACCOUNT = "A29", "A44"
_NOT_APPLIED = "merge-not-applied"
_VISITS_STAY = (
    "the account was moved, and no visit, for the message names none: let the sender name it in MRG-5, or move each "
    "visit with ADT^A45"
)
_OTHER_VISITS_STAY = (
    "the account was moved, and the visit that the message names; if it has others, ADT^A45 moves each of them"
)
_NUMBER_STAYS = (
    "the sender moves this number from one person to another; it was recorded, its links left as they are. Compare the "
    "persons: undo a join that is wrong, link those who are one, and let the sender move visits with ADT^A45"
)


@makes_id(4, repeats=True)
def prior_patient_id(options: Options) -> MakeId:
    """The patient that MRG retires for that of PID (MRG-1, else MRG-4, MRG-2); PID-3 says what MRG leaves out."""
    facility = options.facility

    def make(mrg1: str, mrg4: str, mrg2: str, pid3: str, within: str, scope: Scope) -> str | None:
        fields = [said_in_full(raw, pid3, scope) for raw in (mrg1, mrg4, mrg2)]
        prior = next((field for field in fields if patient_key(field, scope) is not None), "")
        key = patient_key(prior, scope)
        if key is None or not within:
            scope.doubt(_NOT_APPLIED, "no number says which patient is to be joined to this one; nobody was")
            return None
        retired = resource_id("Patient", facility, *key)
        if retired == within:
            scope.doubt(_NOT_APPLIED, "the patient to be joined is this one itself; nobody was")
            return None
        if _names_several(prior, scope):
            scope.doubt(_NOT_APPLIED, "several patients are named by numbers of one kind; only the first was joined")
        scope.acts.append(Act(Doing.MERGE, f"Patient/{retired}", "MRG-1", f"Patient/{within}"))
        return retired

    return make


@function(5, repeats=True)
def prior_numbers(options: Options) -> Apply:
    """The identifiers of the patient that MRG retires (MRG-1, MRG-2, MRG-4); PID-3 says what MRG leaves out."""
    facility = options.facility

    def apply(_event: str, mrg1: str, mrg2: str, mrg4: str, pid3: str, scope: Scope) -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] = []
        for field in (mrg1, mrg2, mrg4):
            for raw in said_in_full(field, pid3, scope).split("~"):
                number = _number(raw, DEFAULT_TYPE, facility, scope)
                if number is not None and number not in found:
                    found.append(number)
        return found or None

    return apply


@makes_id(5, repeats=True)
def linked_patient_id(options: Options) -> MakeId:
    """The same as patient_id; a later PID is linked to the first, or with `as: unlink` not linked to it any more."""
    doing = Doing.UNLINK if options.argument == "unlink" else Doing.LINK
    identify = patient_id(options)

    def make(pid3: str, pid2: str, pid4: str, pid19: str, pid18: str, within: str, scope: Scope) -> str | None:
        found = identify(pid3, pid2, pid4, pid19, pid18, within, scope)
        patient = f"Patient/{found}"
        first = next((act.to or act.of for act in scope.acts), "")
        if not first:
            scope.acts.append(Act(doing, patient, "PID-3"))
        elif first != patient:
            named = [act for act in scope.acts if act.to]
            scope.acts[:] = [*named, Act(doing, patient, "PID-3", first)]
        return found

    return make


@makes_id(4, repeats=True)
def retired_patient_number(options: Options) -> MakeId:
    """The same patient, whose number in MRG (first field) is old, unless PID (second) says it too; `as` is its type."""
    facility, kind = options.facility, options.argument or DEFAULT_TYPE

    def make(number: str, current: str, mrg1: str, pid3: str, within: str, scope: Scope) -> str | None:
        if within and number and _same_patient(mrg1, pid3, scope):
            used = {scope.first(raw) for raw in current.split("~")}
            for raw in number.split("~"):
                identifier = _number(raw, kind, facility, scope)
                if identifier is not None and identifier["value"] not in used:
                    act = Act(Doing.RETIRE_NUMBER, f"Patient/{within}", "MRG", identifier=_old(identifier))
                    scope.acts.append(act)
        return within or None

    return make


@makes_id(4, repeats=True)
def retired_visit_number(options: Options) -> MakeId:
    """The same visit, whose alternate number in MRG (first field) is old, unless PV1 (second) says it too."""
    system = facility_system(options.facility, "visit", "other")

    def make(number: str, current: str, mrg1: str, pid3: str, within: str, scope: Scope) -> str | None:
        if within and number and _same_patient(mrg1, pid3, scope):
            used = {scope.first(raw) for raw in current.split("~")}
            for raw in number.split("~"):
                parts = scope.components(raw)
                if parts[0] and parts[0] not in used:
                    kind = parts[4].upper() if len(parts) > 4 and parts[4] else "VN"
                    identifier = {"use": "old", "type": typed(kind), "system": system, "value": parts[0]}
                    act = Act(Doing.RETIRE_NUMBER, f"Encounter/{within}", "MRG-6", identifier=identifier)
                    scope.acts.append(act)
        return within or None

    return make


@makes_id(3, repeats=True)
def joined_visit(options: Options) -> MakeId:
    """The same visit, of which the one that MRG-5 names becomes a part: it was merged into it, or numbered anew."""
    facility = options.facility

    def make(prior: str, mrg1: str, pid3: str, within: str, scope: Scope) -> str | None:
        if not _same_patient(mrg1, pid3, scope):
            return within or None
        act = _joining(prior, within, facility, scope)
        if act is None:
            scope.doubt(_NOT_APPLIED, "two numbers are needed to join one visit to another; nothing was joined")
        else:
            scope.acts.append(act)
        return within or None

    return make


@makes_id(4, repeats=True)
def moved_visit(options: Options) -> MakeId:
    """The same patient, to whom the visit of MRG-5 (else PV1-19) is moved from the patient of MRG-1."""
    facility = options.facility

    def make(prior: str, number: str, mrg1: str, pid3: str, within: str, scope: Scope) -> str | None:
        visit = scope.first(prior) or scope.first(number)
        if not within or not visit:
            scope.doubt(_NOT_APPLIED, "no number says which visit is to be moved to this patient; nothing was moved")
            return within or None
        key = patient_key(said_in_full(mrg1, pid3, scope), scope)
        before = f"Patient/{resource_id('Patient', facility, *key)}" if key is not None else ""
        scope.acts += _moving(visit, number, before, within, facility, scope)
        return within

    return make


@makes_id(6, repeats=True)
def moved_account(options: Options) -> MakeId:
    """The same patient, to whom the account of MRG-3 is moved (A44). The rest a person must move: a finding.

    A visit that the message names (MRG-5, else PV1-19) is moved with the account, as ADT^A45 does.
    """
    facility = options.facility

    def make(
        account: str, mrg1: str, pid3: str, message_type: str, prior: str, visit: str, within: str, scope: Scope
    ) -> str | None:
        key = patient_key(said_in_full(mrg1, pid3, scope), scope)
        number = _number(account.split("~")[0], "AN", facility, scope)
        before = resource_id("Patient", facility, *key) if key is not None else within
        if _event(message_type, scope) != _MOVE_ACCOUNT or number is None or before == within or not within:
            scope.doubt(_NOT_APPLIED, _NUMBER_STAYS)
            return within or None
        scope.acts.append(Act(Doing.RETIRE_NUMBER, f"Patient/{before}", "MRG-3", identifier=_old(number)))
        named = scope.first(prior) or scope.first(visit)
        if named:
            scope.acts += _moving(named, visit, f"Patient/{before}", within, facility, scope)
            scope.doubt("account-moved", _OTHER_VISITS_STAY, severity=Severity.INFORMATION)
        else:
            scope.doubt(_NOT_APPLIED, _VISITS_STAY)
        return within

    return make


@function()
def person_deletion_not_applied(options: Options) -> Apply:
    """Gives nothing, and for a message that deletes a person (ADT^A29) a finding: nobody was deleted."""

    def apply(message_type: str, scope: Scope) -> None:
        if _event(message_type, scope) == _DELETE:
            scope.doubt("deletion-not-applied", "the sender deletes this person; the record was left as it is")

    return apply


def said_in_full(field: str, pid3: str, scope: Scope) -> str:
    """A field of prior patient numbers, each with the authority and type of PID-3 where it says none itself.

    Both are numbers of one kind, and many systems write `MRG|12345` beside a PID-3 of `12345^^^HIS^MR`.
    """
    own = own_repetition(pid3, scope)
    if own is None or not field:
        return field
    return "~".join(_in_full(raw, own.split("^")) for raw in field.split("~"))


def _in_full(raw: str, own: list[str]) -> str:
    if not raw:
        return raw
    parts, own = [*raw.split("^"), *[""] * 5], [*own, *[""] * 5]
    if not parts[3].strip() and parts[4].strip() in ("", own[4].strip()):
        parts[3], parts[4] = own[3], own[4]
    return "^".join(parts).rstrip("^")


def _names_several(field: str, scope: Scope) -> bool:
    """Whether there is another number of the authority and type of the one by which the facility knows its patient."""
    kinds: dict[tuple[str, ...], set[str]] = {}
    for raw in field.split("~"):
        value, *kind = [*scope.components(raw), *[""] * 5][:5]
        if value:
            kinds.setdefault(tuple(kind[2:]), set()).add(value)
    own = own_repetition(field, scope)
    return own is not None and len(kinds[tuple([*scope.components(own), *[""] * 5][3:5])]) > 1


def _same_patient(mrg1: str, pid3: str, scope: Scope) -> bool:
    """Whether MRG is about the patient of PID; a doubt where it is about another, who is not joined by this event."""
    prior = patient_key(said_in_full(mrg1, pid3, scope), scope)
    if prior is None or prior == patient_key(pid3, scope):
        return True
    scope.doubt(
        _NOT_APPLIED, "MRG is about another patient than PID; neither the patients nor their numbers were joined"
    )
    return False


def _moving(visit: str, number: str, before: str, within: str, facility: str, scope: Scope) -> list[Act]:
    """That a visit is moved to this patient, and gets the number that it has from now on where that is another."""
    moved = Act(
        Doing.MOVE_VISIT,
        f"Encounter/{resource_id('Encounter', facility, visit)}",
        "MRG-5",
        f"Patient/{within}",
        before="" if before == f"Patient/{within}" else before,
    )
    now = scope.first(number)
    renumbered = _joining(visit, resource_id("Encounter", facility, now), facility, scope) if now else None
    return [moved, *([renumbered] if renumbered is not None else [])]


def _joining(prior: str, visit: str, facility: str, scope: Scope) -> Act | None:
    number = scope.first(prior)
    earlier = resource_id("Encounter", facility, number) if number else ""
    if not earlier or not visit or earlier == visit:
        return None
    identifier = {"use": "old", "type": typed("VN"), "system": facility_system(facility, "visit"), "value": number}
    return Act(Doing.JOIN_VISIT, f"Encounter/{earlier}", "MRG-5", f"Encounter/{visit}", identifier=identifier)


def _number(raw: str, kind: str, facility: str, scope: Scope) -> dict[str, Any] | None:
    parts = scope.components(raw)
    if not parts[0]:
        return None
    stated = parts[4] if len(parts) > 4 else ""
    found = personal_identifier(parts[0], stated, scope)
    if found is not None:
        return found
    system = facility_system(facility, "patient", authority_of(parts, raw))
    return {"type": typed(stated.upper() or kind), "system": system, "value": parts[0]}


def _old(identifier: dict[str, Any]) -> dict[str, Any]:
    return {**identifier, "use": "old"}


def _event(message_type: str, scope: Scope) -> str:
    parts = scope.components(message_type)
    return parts[1] if len(parts) > 1 else ""
