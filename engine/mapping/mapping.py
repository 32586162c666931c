"""What does a message become? One compiled mapping, ready to be applied."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from engine.codecs.er7 import Message
from engine.codecs.er7_header import USUAL
from engine.errors import MappingError
from engine.mapping.application import Application
from engine.mapping.compiled import compile_resource
from engine.mapping.definition import Definition
from engine.mapping.lens.lens import Identities, Lens
from engine.mapping.lens.written import WriteContext, Written
from engine.mapping.mapped import Context, Mapped, Resource
from engine.mapping.planning import Plan, Planner
from engine.mapping.sources import SourceTrail
from engine.mapping.unread_parts import PartlyRead
from engine.mapping.usual import with_usual_separators
from engine.terminology import Tables

LIMIT_PLANS = 2048
"""Distinct orders of segments that are remembered; a feed has some dozens."""


class Mapping:
    """One mapping file, with its facility's changes."""

    def __init__(self, definition: Definition, facility: str, tables: Tables) -> None:
        self.definition = definition
        self.name = definition.name
        self.version = definition.version
        self.facility = facility
        self.digest = _digest(definition, tables)
        self.label = f"{self.name}@{self.version}+{self.digest}"
        partly = PartlyRead(definition)
        resources = [compile_resource(rules, facility, tables, partly) for rules in definition.resources]
        self._planner = Planner(definition, resources, tables, partly)
        self._plans: dict[tuple[str, ...], Plan] = {}
        self._tables = tables
        self._lens: Lens | None = None

    def apply(self, message: Message, context: Context, *, with_sources: bool = False) -> Mapped:
        """Makes the resources of a message.

        Findings are what a person should look at; the resources beside them are good. Raises MappingError, which names
        rule and field, when the message can become nothing that is right: it is held.
        """
        trail = SourceTrail(message, self.version) if with_sources else None
        return self._result(self._application(message, context, trail))

    def write(self, resources: Sequence[Resource], context: WriteContext) -> Written:
        """The message that resources become by the rows with `dir: both`, and what of them it does not say.

        Raises MappingError when they can become no message that this mapping would take.
        """
        if self._lens is None:
            self._lens = Lens(self.definition, self.facility, self._tables, self._read_again)
        return self._lens.write(resources, context)

    def _read_again(self, message: Message, context: Context) -> tuple[Mapped, Identities]:
        application = self._application(message, context, None)
        return self._result(application), application.identities()

    def _application(self, message: Message, context: Context, trail: SourceTrail | None) -> Application:
        names = message.lines.names
        for needed in self.definition.needs:
            if needed not in names:
                text = f"the message has no {needed}, without which it says nothing"
                raise MappingError(text, location=needed, rule="needs", code="segment-missing")
        plan = self._plan_for(names)
        rows = message.lines.rows
        if message.separators != USUAL:
            rows = [with_usual_separators(segment) for segment in message.segments]
        return Application(plan, message, rows, context, trail)

    def _result(self, application: Application) -> Mapped:
        mapped = application.result()
        if not mapped.resources:
            starts = next(group.starts[0] for group in self.definition.groups.values() if group.starts)
            text = f"the message has no {starts}, so there is nothing to record of it"
            raise MappingError(text, location=starts, rule=self.name, code="nothing-mapped")
        return mapped

    def _plan_for(self, names: tuple[str, ...]) -> Plan:
        plan = self._plans.get(names)
        if plan is None:
            if len(self._plans) >= LIMIT_PLANS:
                self._plans.clear()
            plan = self._plans[names] = self._planner.plan(names)
        return plan


def _digest(definition: Definition, tables: Tables) -> str:
    """Six characters that differ when any rule or any table differs."""
    digest = blake2b(digest_size=3)
    digest.update(repr(definition).encode())
    for name in tables.names():
        digest.update(
            repr((name, sorted((key, sorted(row.items())) for key, row in tables[name].rows.items()))).encode()
        )
    return digest.hexdigest()
