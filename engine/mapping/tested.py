"""Which rules has no test exercised? What never gave anything in any test may say anything, and nobody would know.

A rule of a shared part counts as tested when a test of any mapping with that part made it give something. Rules of a
facility's own file count when a test ran as that facility; none is asked for of a row that makes an id as it is made
anyhow, of other fields: where the sender leaves them empty there is no such resource, and that is what it says.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.mapping.definition import Definition, Rule
from engine.mapping.mapped import Mapped
from engine.mapping.mapping_set import MappingSet
from engine.mapping.results_of_tests import TestResult

TITLE = "every rule is tested"


class Exercised:
    """Gathers, test after test, the rules that did something."""

    def __init__(self) -> None:
        self._rules: set[Rule] = set()

    def add(self, definition: Definition, mapped: Mapped) -> None:
        """Notes the rules of one mapped message: those that gave something, and those whose finding it is."""
        self._rules |= mapped.ran
        said = {finding.rule for finding in mapped.findings}
        if said:
            self._rules.update(rule for rule in _rules(definition) if rule.id in said)

    def untested(self, mappings: MappingSet) -> Iterator[TestResult]:
        """A failed test for each rule that did nothing in any, where it stands; each once."""
        told: set[Rule] = set()
        ids = {_making(entry.id) for definition in mappings.definitions() for entry in definition.resources}
        for definition in mappings.definitions_of_all():
            for rule in _rules(definition):
                if rule in self._rules or rule in told or (_is_of_a_facility(rule) and _making(rule) in ids):
                    continue
                told.add(rule)
                failure = (
                    f"rule {rule.id}: no test makes it give anything; add a message that does to a mapping_test.yaml"
                )
                if _is_of_a_facility(rule):
                    read = ", ".join(map(str, rule.fields)) or "what it reads"
                    failure += f" ({read} filled), or, if it is never sent, write {{rule: {rule.id}, remove: yes}}"
                yield TestResult(rule.line.file, rule.line.line, definition.name, TITLE, (failure,))


def _is_of_a_facility(rule: Rule) -> bool:
    return "facilities/" in rule.line.file


def _making(rule: Rule) -> tuple[str, str, str | None, str | None]:
    """What a row that makes an id does, whatever fields it reads; of any other row nothing that is asked for."""
    return rule.to, rule.id, rule.function, rule.argument


def _rules(definition: Definition) -> Iterator[Rule]:
    for resources in definition.resources:
        yield resources.id
        yield from resources.rules
