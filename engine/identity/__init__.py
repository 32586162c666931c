"""Who is this patient? Each source identifier keeps its own Patient; a golden Patient links them."""

from engine.identity.decide import Decision, Person, decide
from engine.identity.evidence import card_changed, same_evidence
from engine.identity.golden import golden_id, golden_patient, replaced_golden
from engine.identity.personal import PersonalKey, personal_keys

__all__ = [
    "Decision",
    "Person",
    "PersonalKey",
    "card_changed",
    "decide",
    "golden_id",
    "golden_patient",
    "personal_keys",
    "replaced_golden",
    "same_evidence",
]
