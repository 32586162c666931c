"""The beginning of a mapping, made from sample messages: what each column holds, and rows for a person to finish."""

from engine.mapping.draft.drafting import Draft, DraftedFile, Ground, draft, drafts
from engine.mapping.draft.samples import Samples, samples_of

__all__ = ["Draft", "DraftedFile", "Ground", "Samples", "draft", "drafts", "samples_of"]
