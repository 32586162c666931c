"""Who is this patient? Each source identifier keeps its own Patient; a golden Patient links them."""

from engine.identity.decide import Decision, Person, decide
from engine.identity.evidence import card_changed, disagreements, same_evidence
from engine.identity.golden import golden_id, golden_patient, replaced_golden
from engine.identity.joins import Join, JoinKind, chain, persons, replacements, with_links
from engine.identity.personal import PersonalKey, personal_keys

__all__ = [
    "Decision",
    "Join",
    "JoinKind",
    "Person",
    "PersonalKey",
    "card_changed",
    "chain",
    "decide",
    "disagreements",
    "golden_id",
    "golden_patient",
    "personal_keys",
    "persons",
    "replaced_golden",
    "replacements",
    "same_evidence",
    "with_links",
]
