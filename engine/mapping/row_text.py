"""How is a row written, as somebody would type it into a mapping file?"""

from __future__ import annotations

from collections.abc import Sequence

from engine.mapping.definition import FieldName, Rule


def row_of(rule: Rule) -> str:
    """A row as it stands in a file."""
    words = [f"rule: {rule.id}"]
    words += [f"from: {_fields(rule.sources)}"] if rule.sources else []
    words += [f"else: {_fields(rule.otherwise)}"] if rule.otherwise else []
    target = f'"{rule.to}"' if "[" in rule.to else rule.to
    words += [f"to: {target}{'+' if rule.many else ''}"] if rule.to else []
    implied = "code" if rule.table else "text"
    words += [f"with: {rule.function}"] if rule.function and not (rule.to and rule.function == implied) else []
    words += [f'as: "{rule.argument}"'] if rule.argument else []
    words += [f"table: {rule.table}"] if rule.table else []
    words += [f"default: {rule.default}"] if rule.default else []
    words += ["needed: yes"] if rule.needed else []
    return "{" + ", ".join(words) + "}"


def _fields(names: Sequence[FieldName]) -> str:
    return str(names[0]) if len(names) == 1 else f"[{', '.join(map(str, names))}]"
