"""The beginning of a mapping, made from sample messages: what each column holds, and rows for a person to finish."""

from engine.mapping.draft.drafting import Draft, DraftedFile, Ground, draft
from engine.mapping.draft.samples import Samples, samples_of
from engine.mapping.draft.survey import Survey
from engine.mapping.draft.text import told, told_of_rows

__all__ = ["Draft", "DraftedFile", "Ground", "Samples", "Survey", "draft", "samples_of", "told", "told_of_rows"]
