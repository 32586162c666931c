"""How do all rules of a resource run fastest? As one function, written out in Python when the mapping is loaded.

The function reads each field where it stands, asks what the rule remembers of such a text, and puts the value: no loop
over rules, no call for a field that is empty. It holds only what is usual. Where a field holds a null or repetitions,
or a text that is new, it calls the rule itself (`single_rule`), which says what is meant. What reads only segments that
this shape of message lacks is not written at all. For rows such as

    - {rule: obx-11, from: OBX-11, to: status, table: observation_status, default: unknown}
    - {rule: obx-16, from: OBX-16, to: performer+, with: practitioner}

it reads

    def fill(frame, more, scope, out):
        OBX = frame[0]
        # 'obx-11'
        if raw := OBX[11]:
            try:
                value = known_0[raw]
            except KeyError:
                run_0(frame, more, scope, out)
            else:
                if value is not None:
                    out['status'] = value
        # 'obx-16'
        if raw := OBX[16]:
            if '~' in raw or raw == NULL:
                run_1(frame, more, scope, out)
            elif (value := apply_1(raw, scope)) is not None:
                out['performer'] = extended(out['performer'], value) if 'performer' in out else [value]
        if 'status' not in out or out['status'] is None:
            out['status'] = 'unknown'

Whatever stands in a mapping file gets into this text only as the repr of a string, or as the name or the number of a
field, which were checked when the file was read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import CodeType
from typing import Any

from engine.codecs.er7 import NULL
from engine.mapping.definition import FieldName, Rule
from engine.mapping.elements import append, complete, extended, put, put_elements
from engine.mapping.frame import Frame, More, positions, reader
from engine.mapping.mapped import Resource
from engine.mapping.registry import ID_FUNCTIONS
from engine.mapping.scope import Scope
from engine.mapping.single_rule import CompiledRule, literal, options_of
from engine.terminology import Tables


class Unusual(Exception):
    """The first field gave nothing, and there are others to try: the rules are to be run one by one."""


Fill = Callable[[Frame, "More | None", Scope, Resource], None]
"""Runs every rule of a resource; which one has a doubt or fails is not said, and what is unusual raises."""

Identify = Callable[[Frame, str, Scope], "str | None"]
"""The id of a resource within another one (empty: none)."""

_EMPTY = "''"
"""What is written for a field of a segment that is missing."""

_SAME_FOR_ALL = {
    "NULL": NULL,
    "Unusual": Unusual,
    "append": append,
    "complete": complete,
    "extended": extended,
    "put": put,
    "put_elements": put_elements,
}


def straight_fill(
    rules: Sequence[CompiledRule],
    segments: Sequence[str],
    repeated: frozenset[str],
    missing: frozenset[str] = frozenset(),
) -> Fill:
    """The function for these rules in frames of these segments.

    Those `repeated` stand in `more` too; of those `missing` there is none, so nobody need look into them.
    """
    names: dict[str, Any] = {}
    for number, each in enumerate(rules):
        names |= {f"run_{number}": each.run, f"path_{number}": each.path}
        names |= {f"apply_{number}": each.apply, f"known_{number}": each.known}
    made: Fill = _made("fill", fill_text(rules, segments, repeated, missing), names)
    return made


def straight_identify(rule: Rule, segments: Sequence[str], facility: str, tables: Tables) -> Identify:
    """The function that makes the id of a resource from the fields of its rule."""
    function = ID_FUNCTIONS[rule.function or ""]
    places = {name: place for place, name in enumerate(segments)}
    names = {
        "make": function.make(options_of(rule, facility, tables)),
        "read": reader(positions(rule.sources, places), whole=function.repeats),
    }
    text = identify_text(rule.sources, segments, whole=function.repeats, enough=function.enough)
    made: Identify = _made("identify", text, names)
    return made


def fill_text(
    rules: Sequence[CompiledRule],
    segments: Sequence[str],
    repeated: frozenset[str],
    missing: frozenset[str] = frozenset(),
) -> str:
    lines = [*_unpacked(segments, {name.segment for each in rules for name in each.rule.fields} - missing)]
    for number, each in enumerate(rules):
        there = tuple(name for name in each.rule.fields if name.segment not in missing)
        if there or not each.rule.fields:
            lines.extend(_rule(number, each, there, repeated))
    for number, each in enumerate(rules):
        lines.extend(_default(number, each))
    return _written("fill(frame, more, scope, out)", lines or ["pass"])


def identify_text(sources: Sequence[FieldName], segments: Sequence[str], *, whole: bool, enough: int = 0) -> str:
    """`enough`: how many fields are looked at first, and the others only where these give nothing; 0: all at once."""
    carefully = "return make(*read(frame), within, scope)"
    lines: list[str] = []
    first = sources[: enough or None]
    if first and all(name.component is None for name in first):
        lines.extend(_unpacked(segments, {name.segment for name in first}))
        raws = [f"raw_{number}" for number in range(len(first))]
        lines.extend(f"{raw} = {_field(name)}" for raw, name in zip(raws, first, strict=True))
        made = f"make({', '.join(raws)}, within, scope)"
        if len(first) == len(sources):
            lines.extend((f"if not ({_unusual(raws, whole=whole)}):", f"    return {made}"))
        else:
            lines.append(f"if not ({_unusual(raws, whole=whole)}) and (found := {made}) is not None:")
            lines.append("    return found")
    return _written("identify(frame, within, scope)", [*lines, carefully])


def _rule(number: int, compiled: CompiledRule, there: Sequence[FieldName], repeated: frozenset[str]) -> Iterator[str]:
    """`there` are those of its fields whose segments are not missing: all, some, or none where it needs none."""
    rule, function = compiled.rule, compiled.function
    itself = f"run_{number}(frame, more, scope, out)"
    yield f"# {rule.id!r}"
    if function is None:
        yield f"value = {literal(rule.value or '')!r}"
        yield from _put(number, compiled)
    elif not rule.sources:
        yield f"if (value := apply_{number}(scope)) is not None:"
        yield from _indented(_put(number, compiled))
    elif (rule.many or function.gathers) and any(name.segment in repeated for name in there):
        yield itself
    elif function.gathers or any(name.component for name in there):
        yield f"if {_any_of(there)}:"
        yield f"    {itself}"
    elif len(rule.sources) > 1:
        raws = [f"raw_{at}" if name in there else _EMPTY for at, name in enumerate(rule.sources)]
        read = [(raw, name) for raw, name in zip(raws, rule.sources, strict=True) if name in there]
        yield from (f"{raw} = {_field(name)}" for raw, name in read)
        yield f"if {' or '.join(raw for raw, _ in read)}:"
        yield from _indented(_read(number, compiled, raws, last=True))
    else:
        yield f"if raw := {_any_of(there)}:"
        yield from _indented(_read(number, compiled, ["raw"], last=len(there) == 1))


def _read(number: int, compiled: CompiledRule, raws: Sequence[str], *, last: bool) -> Iterator[str]:
    """What becomes of texts of which one at least says something; unless they are the last, another field may."""
    if compiled.known is not None:
        # What is remembered was read once: it is no null, and has no repetitions unless they are part of it.
        yield "try:"
        yield f"    value = known_{number}[{', '.join(raws)}]"
        yield "except KeyError:"
        yield f"    run_{number}(frame, more, scope, out)"
        yield "else:"
        yield "    if value is not None:"
        yield from _indented(_put(number, compiled), 2)
        if not last:
            yield "    else:"
            yield "        raise Unusual"
        return
    assert compiled.function is not None
    yield f"if {_unusual(raws, whole=compiled.function.repeats)}:"
    yield f"    run_{number}(frame, more, scope, out)"
    yield f"elif (value := apply_{number}({', '.join(raws)}, scope)) is not None:"
    yield from _indented(_put(number, compiled))
    if not last:
        yield "else:"
        yield "    raise Unusual"


def _put(number: int, compiled: CompiledRule) -> Iterator[str]:
    elements = compiled.function is not None and compiled.function.elements
    name, nested, many = compiled.target, len(compiled.path) > 1, compiled.rule.many
    if many and nested:
        yield f"append(out, path_{number}, value)"
    elif many:
        yield f"out[{name!r}] = extended(out[{name!r}], value) if {name!r} in out else [value]"
    elif elements and nested:
        yield f"put_elements(out, path_{number}, value)"
    elif elements:
        yield "if 'extension' in value:"
        yield f"    put_elements(out, path_{number}, value)"
        yield "else:"
        yield "    out |= value"
    elif nested:
        yield f"put(out, path_{number}, value)"
    else:
        yield f"out[{name!r}] = value"


def _default(number: int, compiled: CompiledRule) -> Iterator[str]:
    default, name = compiled.rule.default, compiled.target
    if default is None:
        return
    if len(compiled.path) > 1:
        yield f"complete(out, path_{number}, {default!r})"
    else:
        yield f"if {name!r} not in out or out[{name!r}] is None:"
        yield f"    out[{name!r}] = {default!r}"


def _unpacked(segments: Sequence[str], used: Collection[str]) -> Iterator[str]:
    for place, name in enumerate(segments):
        if name in used:
            yield f"{name} = frame[{place}]"


def _field(name: FieldName) -> str:
    return f"{name.segment}[{name.number}]"


def _any_of(names: Sequence[FieldName]) -> str:
    return " or ".join(map(_field, names))


def _unusual(raws: Sequence[str], *, whole: bool) -> str:
    """A null; or repetitions, where only one is taken. A field of a segment that is missing is neither."""
    raws = [raw for raw in raws if raw != _EMPTY]
    repetitions = [] if whole else [f"'~' in {raw}" for raw in raws]
    return " or ".join((*repetitions, *(f"{raw} == NULL" for raw in raws)))


def _indented(lines: Iterable[str], steps: int = 1) -> Iterator[str]:
    return (f"{'    ' * steps}{line}" for line in lines)


def _written(head: str, lines: Sequence[str]) -> str:
    return "\n".join((f"def {head}:", *_indented(lines), ""))


def _made(name: str, text: str, names: Mapping[str, Any]) -> Any:
    made = {**_SAME_FOR_ALL, **names}
    exec(_code(text), made)
    return made[name]


@lru_cache(maxsize=4096)
def _code(text: str) -> CodeType:
    """The same rows give the same text, whichever mapping and facility they stand in."""
    return compile(text, "<rules of a mapping>", "exec")
