"""What is known of a resource's rules once a mapping is loaded? How they run, all together and each by itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.mapping.definition import ResourceRules, Rule
from engine.mapping.elements import complete
from engine.mapping.mapped import Resource
from engine.mapping.single_rule import CompiledRule, compile_rule
from engine.mapping.straight import Fill, Identify, straight_fill, straight_identify
from engine.mapping.unread_parts import PartlyRead
from engine.terminology import Tables


@dataclass(frozen=True, slots=True)
class CompiledResource:
    """All that makes one resource of each group.

    segments  the names whose fields stand in a frame, by place
    needed    the rules without whose element there is no such resource
    """

    rules: ResourceRules
    segments: tuple[str, ...]
    compiled: tuple[CompiledRule, ...]
    references: tuple[Rule, ...]
    identify: Identify
    needed: tuple[CompiledRule, ...]
    _fills: dict[tuple[frozenset[str], frozenset[str]], Fill] = field(default_factory=dict)

    def fill(self, repeated: frozenset[str], missing: frozenset[str]) -> Fill:
        """Runs all rules where some segments stand several times in the group, and some are missing."""
        found = self._fills.get((repeated, missing))
        if found is None:
            found = straight_fill(self.compiled, self.segments, repeated, missing)
            self._fills[repeated, missing] = found
        return found

    def complete(self, out: Resource) -> None:
        """Puts the defaults where no rule gave anything, after the rules ran one by one."""
        for each in self.compiled:
            if each.rule.default is not None:
                complete(out, each.path, each.rule.default)


def compile_resource(rules: ResourceRules, facility: str, tables: Tables, partly: PartlyRead) -> CompiledResource:
    own = tuple(rule for rule in rules.rules if rule.refer is None)
    named = (name.segment for rule in (rules.id, *own) for name in rule.fields)
    segments = tuple(dict.fromkeys(named))
    places = {name: place for place, name in enumerate(segments)}
    compiled = tuple(compile_rule(rule, places, facility, tables, partly.watched_by(rules, rule)) for rule in own)
    return CompiledResource(
        rules=rules,
        segments=segments,
        compiled=compiled,
        references=tuple(rule for rule in rules.rules if rule.refer is not None),
        identify=straight_identify(rules.id, segments, facility, tables),
        needed=tuple(each for each in compiled if each.rule.needed),
    )
