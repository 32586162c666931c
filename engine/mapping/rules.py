"""What does one row of a mapping file say?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from engine.mapping.definition import FieldName, Rule
from engine.mapping.reading import Node
from engine.terminology import Tables

RULE_KEYS = ("rule", "from", "else", "to", "with", "as", "table", "value", "refer", "default", "needed")
CODE_FROM_TABLE = "code"
"""The function of a rule that names a table and no function."""
PLAIN_TEXT = "text"
"""The function of a rule that names neither."""


@dataclass(frozen=True, slots=True)
class Known:
    """The names a rule may use: functions with the number of fields each takes (None: any), and tables."""

    functions: Mapping[str, int | None]
    tables: Tables


def read_rule(node: Node, known: Known, *, makes_id: bool = False) -> Rule | None:
    """One row; None, with the problems noted, where it says too little."""
    if makes_id:
        node.allow("rule", "from", "with", "as", "needed")
    if not node.require("rule", *(("with",) if makes_id else ("to",))):
        return None
    target = node.text("to")
    rule = Rule(
        id=node.text("rule"),
        line=node.line,
        to=target.removesuffix("+"),
        many=target.endswith("+"),
        sources=node.parsed("from", FieldName.parse),
        otherwise=node.parsed("else", FieldName.parse),
        function=node.name("with", known.functions),
        argument=node.text("as") or None,
        table=node.name("table", known.tables.names()),
        value=node.text("value") or None,
        refer=node.text("refer") or None,
        default=node.text("default") or None,
        needed=node.yes("needed"),
    )
    takes = known.functions.get(rule.function) if rule.function else None
    origins = [key for key in ("from", "value", "refer") if node.has(key)]
    if len(origins) != 1 and not makes_id and takes != 0:
        node.wrong("expected exactly one of: from, value, refer")
    if rule.otherwise and len(rule.sources) != 1:
        node.at("else").wrong("expected one field in 'from' when there is an 'else'")
    if rule.sources and rule.function is None and not node.has("with"):
        rule = replace(rule, function=CODE_FROM_TABLE if rule.table else PLAIN_TEXT)
    if takes is None and rule.function:
        takes = known.functions.get(rule.function)
    if takes is not None and rule.sources and len(rule.sources) != takes:
        node.wrong(f"'{rule.function}' takes {takes} field{'s' if takes > 1 else ''}; 'from' names {len(rule.sources)}")
    return rule
