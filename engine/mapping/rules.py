"""What does one row of a mapping file say?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from engine.config.problems import nearest
from engine.mapping.definition import Direction, FieldName, Rule
from engine.mapping.reading import Node
from engine.mapping.registry import Function
from engine.mapping.row_text import row_of
from engine.terminology import Tables

RULE_KEYS = (
    "rule",
    "from",
    "else",
    "to",
    "with",
    "as",
    "table",
    "value",
    "refer",
    "default",
    "needed",
    "dir",
    "writes",
)
CODE_FROM_TABLE = "code"
"""The function of a rule that names a table and no function."""
PLAIN_TEXT = "text"
"""The function of a rule that names neither."""
_DIRECTIONS = (Direction.IN, Direction.BOTH)


@dataclass(frozen=True, slots=True)
class Known:
    """The names a rule may use."""

    functions: Mapping[str, Function]
    id_functions: Mapping[str, Function]
    tables: Tables
    rows: Sequence[Rule] = ()
    """Rows that are there already: shown to whoever writes one of them anew, and says too little or too much."""


def read_rule(node: Node, known: Known, *, makes_id: bool = False) -> Rule | None:
    """One row; None, with the problems noted, where it says too little."""
    if makes_id:
        node.allow("rule", "from", "with", "as", "needed")
    if not node.require("rule", *(("with",) if makes_id else ("to",))):
        return None
    target = node.text("to")
    functions = known.id_functions if makes_id else known.functions
    rule = Rule(
        id=node.text("rule"),
        line=node.line,
        to=target.removesuffix("+"),
        many=target.endswith("+"),
        sources=node.parsed("from", FieldName.parse),
        otherwise=node.parsed("else", FieldName.parse),
        function=node.name("with", functions),
        argument=node.text("as") or None,
        table=node.name("table", known.tables.names()),
        value=node.text("value") or None,
        refer=node.text("refer") or None,
        default=node.text("default") or None,
        needed=node.yes("needed"),
        both=node.name("dir", _DIRECTIONS) == Direction.BOTH,
        writes=node.parsed("writes", FieldName.parse),
    )
    if node.has("from") and not node.has("with"):
        rule = replace(rule, function=CODE_FROM_TABLE if rule.table else PLAIN_TEXT)
    function = functions.get(rule.function) if rule.function else None
    _check_origin(node, rule, function, makes_id)
    if function is not None:
        _check_function(node, rule, function, known.rows)
    if rule.both or rule.writes:
        _check_way_back(node, rule, function, known)
    return rule


def _check_origin(node: Node, rule: Rule, function: Function | None, makes_id: bool) -> None:
    """A row takes fields, a constant or a reference; a function that reads no field needs none of them."""
    origins = [key for key in ("from", "value", "refer") if node.has(key)]
    without = function is not None and function.fields == 0
    if len(origins) != 1 and not makes_id and not (without and not origins):
        node.wrong("expected exactly one of: from, value, refer")
    if rule.refer is not None and rule.argument is not None and "." in rule.to:
        node.at("to").wrong("expected an element of the resource itself for a reference that 'as' puts into entries")
    if rule.refer is not None and rule.argument is not None and not rule.many:
        node.at("as").wrong("expected a list ('+') when 'as' names the part of an entry that holds the reference")
    if rule.otherwise and len(rule.sources) != 1:
        node.at("else").wrong("expected one field in 'from' when there is an 'else'")


def _check_function(node: Node, rule: Rule, function: Function, rows: Sequence[Rule]) -> None:
    takes = function.fields
    if takes is not None and rule.sources and len(rule.sources) != takes:
        fields = "field" if takes == 1 else "fields"
        text = f"'{function.name}' takes {takes} {fields}; 'from' names {len(rule.sources)}"
        node.wrong(text + _as_it_stands(rule, function, rows))
    if function.table and rule.table is None and not node.has("table"):
        node.wrong(f"'{function.name}' needs a table")


def _as_it_stands(rule: Rule, function: Function, rows: Sequence[Rule]) -> str:
    """The row of this name that is there already, else another one with the same function: what to copy."""
    alike = [each for each in rows if each.function == function.name and len(each.sources) == function.fields]
    same = next((each for each in alike if each.id == rule.id), alike[0] if alike else None)
    return f". Compare {same.line}: {row_of(same)}" if same is not None else ""


def _check_way_back(node: Node, rule: Rule, function: Function | None, known: Known) -> None:
    """A row that also writes: its function must know the way back, and its table must say one local code for a code."""
    if rule.writes and not rule.both:
        node.at("writes").wrong("expected 'dir: both' in a row that writes")
    for name in rule.writes:
        if name not in rule.fields:
            node.at("writes").wrong(f"expected fields that the row reads; {name} stands in neither 'from' nor 'else'")
    if function is None or function.fields == 0:
        return
    if function.put is None:
        able = [each.name for each in known.functions.values() if each.put is not None]
        text = f"'{function.name}' only reads; expected one that also writes{nearest(function.name, able)}"
        node.at("dir").wrong(text)
    elif function.inverts and rule.table is not None:
        for code in known.tables[rule.table].ambiguous():
            if code != rule.default:
                text = f"table '{rule.table}' has several rows for '{code}'; mark one 'yes' in its column back"
                node.at("table").wrong(text)
