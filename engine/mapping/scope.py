"""What does a rule's function know besides the field it is given? The message's context, and where its doubts go."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, NamedTuple

from engine.codecs.er7_escape import unescape
from engine.codecs.er7_header import USUAL
from engine.finding import Severity
from engine.mapping.acts import Act
from engine.mapping.mapped import Context, Resource

THE_ROW = "{rule}"
"""Stands in the text of a doubt for the row that has it."""


class Doubt(NamedTuple):
    """What a function noticed of the value it was given; the rule and the field are added to it.

    component   of the field, from 1; 0 where the whole field is meant
    repetition  of the field, from 0
    once        as in Finding
    """

    code: str
    text: str
    severity: Severity
    component: int
    repetition: int
    once: str = ""


class Scope:
    """One message while it is mapped. Every field reaches the functions with the usual separators."""

    __slots__ = (
        "_payload",
        "acts",
        "charset",
        "context",
        "doubts",
        "ids",
        "left_out",
        "mentioned",
        "notes",
        "repetition",
        "reports",
    )

    def __init__(self, context: Context, charset: str, payload: bytes) -> None:
        self._payload = payload
        self.context = context
        self.charset = charset
        self.doubts: list[Doubt] = []
        self.repetition = 0
        """The repetition at work, from 0."""
        self.ids: set[str] = set()
        """The ids given out so far."""
        self.reports: dict[str, list[str]] = {}
        """The ids of the reports on an order, by each number of it."""
        self.mentioned: dict[str, Resource] = {}
        """Resources that a field merely names (practitioners, organisations), by reference."""
        self.notes = object()
        """Stands for `mentioned` where somebody wants to know it again without keeping what is in it."""
        self.acts: list[Act] = []
        """What the message does to records besides saying what they hold."""
        self.left_out: dict[str, None] = {}
        """Fields (`OBX-6`) that a rule read and found no place for, and components (`PID-3.6`) that no rule reads of
        fields that are read; each once, in the order of the rules."""

    def doubt(
        self, code: str, text: str, component: int = 0, severity: Severity = Severity.WARNING, once: str = ""
    ) -> None:
        """Notes a finding. `text` says what is odd, never the value, unless it is a code that is told of `once`."""
        self.doubts.append(Doubt(code, text, severity, component, self.repetition, once))

    def mention(self, reference: str, resource: Resource) -> None:
        """Notes a resource that a field names; what an earlier field said of it stays."""
        already = self.mentioned.get(reference)
        if already is None:
            self.mentioned[reference] = resource
        elif already is not resource and not resource.keys() <= already.keys():
            self.mentioned[reference] = {**resource, **already}

    def apart(self, apply: Callable[..., Any], *given: Any) -> tuple[Any, dict[str, Resource]]:
        """What a function gives, and the resources that it mentioned, which are not noted yet."""
        around, notes = self.mentioned, self.notes
        self.mentioned, self.notes = {}, object()
        try:
            return apply(*given, self), self.mentioned
        finally:
            self.mentioned, self.notes = around, notes

    def for_trial(self) -> Scope:
        """The same message for a function that is only tried: nothing of what it notes is kept."""
        trial = Scope(self.context, self.charset, self._payload)
        trial.ids = set(self.ids)
        trial.reports = {number: [*reports] for number, reports in self.reports.items()}
        return trial

    def fingerprint(self) -> str:
        """What tells this message from every other: the last resort for something that nobody numbered."""
        return blake2b(self._payload, digest_size=16).hexdigest()

    def plain(self, raw: str) -> str:
        """A component as people read it: no escapes, no blanks around; a null is nothing here."""
        if "\\" in raw:
            raw = unescape(raw, USUAL, self.charset)
        raw = raw.strip()
        return "" if raw == '""' else raw

    def first(self, raw: str) -> str:
        """The first component of a field, or the first subcomponent of a component."""
        if raw.isalnum():  # most are, and then there is nothing to take away
            return raw
        if "^" in raw:
            raw = raw[: raw.index("^")]
        if "&" in raw:
            raw = raw[: raw.index("&")]
        return self.plain(raw)

    def components(self, raw: str) -> list[str]:
        """The components of a repetition, each as people read it; of subcomponents the first."""
        parts = raw.split("^")
        if "&" in raw:
            parts = [part.split("&", 1)[0] for part in parts]
        if "\\" in raw or '"' in raw:
            return [self.plain(part) for part in parts]
        return list(map(str.strip, parts))
