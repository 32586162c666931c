"""How is a place in a message written? `PID-5`, and `OBX[3]-5` where the segment stands more than once."""

from __future__ import annotations

from collections.abc import Sequence

from engine.mapping.definition import FieldName, Rule


class Places:
    """Names the fields of one message by the order of its segments."""

    __slots__ = ("_names",)

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def of(self, name: FieldName, position: int) -> str:
        """The field of the segment at a position (-1: no such segment)."""
        if position < 0 or self._names.count(name.segment) == 1:
            return str(name)
        nth = self._names[: position + 1].count(name.segment)
        return f"{name.segment}[{nth}]-{str(name).partition('-')[2]}"

    def of_rule(self, rule: Rule, segments: Sequence[str], rows: Sequence[int]) -> str:
        """The first field a rule reads, in the frame of a resource."""
        if not rule.fields:
            return rule.to
        for name in rule.fields:
            position = rows[segments.index(name.segment)]
            if position >= 0:
                return self.of(name, position)
        return str(rule.fields[0])
